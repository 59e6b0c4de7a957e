"""Reads the single words of a ``gslb`` directive; each reader points its error at the word."""

from __future__ import annotations

import re

from pydnsk8s import codes, names, subnet, upstream
from pydnsk8s.corefile import Option
from pydnsk8s.upstream import Address

from .origins import local_name


def leading_addresses(words: list[str]) -> tuple[list[str], list[str]]:
    """The addresses at the beginning, with or without a port, and the rest."""
    for at, word in enumerate(words):
        if not re.fullmatch(r"[0-9a-fA-F.]*[.:\]][0-9a-fA-F.:\[\]]*|\[.*", word):
            return words[:at], words[at:]
    return words, []


def server(option: Option, text: str) -> Address:
    """The DNS server at an IP address."""
    try:
        found = upstream.parse(text)
    except ValueError as error:
        raise option.error(f"{option.name}: {error}", text) from None
    if not isinstance(found, Address) or found.scheme != "dns":
        raise option.error(f"{option.name}: expected IP[:PORT] of a DNS server, found {text!r}", text)
    return found


def told(option: Option, name: bytes) -> bytes:
    """The name, if it can have the prefix under which clusters tell their addresses."""
    try:
        local_name(name)
    except ValueError:
        raise option.error(f"gslb: {names.text(name)} is too long for 'localtargets-' in front of it") from None
    return name


def host(option: Option, text: str) -> str:
    """A host name, without its final dot."""
    option.domain(text)
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", text):
        raise option.error(f"{option.name}: expected a host name, found {text!r}", text)
    return text.rstrip(".")


def type(option: Option, text: str) -> int:
    """The number of a record type."""
    try:
        return codes.parse_type(text)
    except ValueError as error:
        raise option.error(f"check: {error}", text) from None


def span(option: Option, text: str) -> tuple[int, int]:
    """The least and the most of a range such as ``200-399``, or twice the same number."""
    low, dash, high = text.partition("-")
    least = option.number(low, 100, 599)
    return least, option.number(high, least, 599) if dash else least


def pattern(option: Option, text: str) -> re.Pattern[bytes]:
    """A regular expression for the body of a page."""
    try:
        return re.compile(text.encode())
    except re.error as error:
        raise option.error(f"check: not a regular expression: {error}", text) from None


def network(option: Option, text: str) -> subnet.Network:
    """An address or an address prefix."""
    try:
        return subnet.network(text)
    except ValueError as error:
        raise option.error(f"{option.name}: {error}", text) from None
