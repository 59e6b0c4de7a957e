"""Addresses written into names, by the rules of sslip.io and by those of nip.io."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

_START, _END = "(?<![^.-])", "(?![^.-])"  # an address stands alone or between dots and dashes
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_GROUP = "[0-9a-f]{1,4}"
_SHORTENED = (  # so many groups before the double dash, and at most seven in all
    f"{'-'.join([_GROUP] * before)}--{f'(?:{_GROUP}(?:-{_GROUP}){{0,{6 - before}}})?' if before < 7 else ''}"
    for before in range(8)
)

_V4 = (
    re.compile(f"{_START}{_OCTET}(?:-{_OCTET}){{3}}{_END}"),
    re.compile(f"{_START}{_OCTET}(?:[.]{_OCTET}){{3}}{_END}"),
)
_V4_HEX = re.compile(f"{_START}[0-9a-f]{{8}}{_END}")
_V6 = re.compile(f"{_START}(?:{'-'.join([_GROUP] * 8)}|{'|'.join(_SHORTENED)}){_END}")
_V6_HEX = re.compile("(?<![^.])[0-9a-f]{32}(?![^.])")
_LAST = re.compile(f"{_START}({_OCTET})[.-]({_OCTET})[.-]({_OCTET})[.-]({_OCTET})\\Z")
_LAST_HEX = re.compile(f"{_START}[0-9a-f]{{8}}\\Z")


class Addresses(NamedTuple):
    """The packed addresses of each family that a name holds."""

    v4: bytes | None = None
    v6: bytes | None = None


def sslip(text: str) -> Addresses:
    """The leftmost address of each family: dashed ones first, then dotted ones (IPv4), then those in hexadecimal."""
    return Addresses(_v4(text), _v6(text))


def _v4(text: str) -> bytes | None:
    for written in _V4:
        if found := written.search(text):
            return socket.inet_aton(found[0].replace("-", "."))
    found = _V4_HEX.search(text)
    return bytes.fromhex(found[0]) if found else None


def _v6(text: str) -> bytes | None:
    if found := _V6.search(text):
        return socket.inet_pton(socket.AF_INET6, found[0].replace("-", ":"))
    found = _V6_HEX.search(text)
    return bytes.fromhex(found[0]) if found else None


def nip(text: str) -> Addresses:
    """The last four parts of the text, parted by dots or dashes, or its last one in hexadecimal; IPv4 only."""
    if found := _LAST.search(text):
        return Addresses(bytes(int(octet) for octet in found.groups()))
    found = _LAST_HEX.search(text)
    return Addresses(bytes.fromhex(found[0]) if found else None)


def label(address: bytes) -> str:
    """The label that stands for an address in both sets of rules, IPv6 in sslip.io's only."""
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, address).replace(".", "-").replace(":", "-")
