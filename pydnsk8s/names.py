"""Domain names in wire form: parsing, printing, suffixes, reverse names.

Rule: inside the server a name is its uncompressed wire form in lower case, root octet included.
``bytes.lower()`` over a whole wire name is safe: a length octet is at most 63 and ``A`` is 65
(RFC 1035 section 2.3.4, RFC 4343 section 3).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

ROOT = b"\0"
IN_ADDR = b"\7in-addr\4arpa\0"
IP6 = b"\3ip6\4arpa\0"

MAX_NAME = 255  # RFC 1035 section 2.3.4, octets on the wire
MAX_LABEL = 63
OUT = 1 << 16  # octets: the step out of every message
STEPS = (0, *range(2, MAX_LABEL + 2), *[OUT] * (255 - MAX_LABEL))
"""How far it is from one length octet to the next, by what it is: nowhere from the root's, OUT from what is none."""
_ESCAPE = re.compile(rb"\\(\d\d\d|\D)")
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*/+=:,~!#%&'?^`{|}[]<>")


def parse(text: str) -> bytes:
    r"""The lower-case wire form of a name in presentation form; the final dot may be missing.

    ``\.`` and ``\DDD`` are understood (RFC 1035 section 5.1). Raises ValueError for an empty
    label, a label over 63 octets or a name over 255.
    """
    return parse_keeping_case(text).lower()


def parse_keeping_case(text: str) -> bytes:
    """As :func:`parse`, but the letters stay as they were written."""
    if text == ".":
        return ROOT
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        raise ValueError(f"not a domain name (write it in its xn-- form): {text!r}") from None
    labels = [raw] if b"." not in raw else raw.split(b".")
    if b"\\" in raw:
        labels = _split_escaped(raw, text)
    if labels[-1] == b"":
        labels.pop()
    if not labels:
        raise ValueError("empty domain name")
    for label in labels:
        if not 0 < len(label) <= MAX_LABEL:
            reason = "an empty label" if not label else "a label over 63 octets"
            raise ValueError(f"not a domain name ({reason}): {text!r}")
    wire = b"".join(bytes((len(label),)) + label for label in labels) + ROOT
    if len(wire) > MAX_NAME:
        raise ValueError(f"not a domain name (over 255 octets): {text!r}")
    return wire


def _split_escaped(raw: bytes, text: str) -> list[bytes]:
    labels, label, at = [], bytearray(), 0
    while at < len(raw):
        if raw[at] == 0x5C:
            match = _ESCAPE.match(raw, at)
            if match is None:
                raise ValueError(f"not a domain name (a lone backslash): {text!r}")
            escaped = match[1]
            value = int(escaped) if len(escaped) == 3 else escaped[0]
            if value > 255:
                raise ValueError(f"not a domain name (escape over 255): {text!r}")
            label.append(value)
            at = match.end()
        elif raw[at] == 0x2E:
            labels.append(bytes(label))
            label.clear()
            at += 1
        else:
            label.append(raw[at])
            at += 1
    labels.append(bytes(label))
    return labels


def text(name: bytes) -> str:
    """The presentation form of a wire name, with the final dot."""
    return "".join(_label_text(label) + "." for label in labels(name)) or "."


def _label_text(label: bytes) -> str:
    if _PLAIN.issuperset(label):
        return label.decode("ascii")
    return "".join(
        chr(octet) if octet in _PLAIN else f"\\{chr(octet)}" if 0x21 <= octet <= 0x7E else f"\\{octet:03}"
        for octet in label
    )


def labels(name: bytes) -> tuple[bytes, ...]:
    """The labels of a wire name, leftmost first, without the root's empty one."""
    found, at = [], 0
    while length := name[at]:
        found.append(name[at + 1 : at + 1 + length])
        at += 1 + length
    return tuple(found)


def join(*labels: bytes, to: bytes = ROOT) -> bytes:
    """The wire name made of these labels in front of ``to``; ValueError if it would be too long."""
    wire = b"".join([bytes((len(label),)) + label for label in labels]) + to
    if len(wire) > MAX_NAME or any(not 0 < len(label) <= MAX_LABEL for label in labels):
        raise ValueError("the name would be too long")
    return wire


def suffixes(name: bytes) -> Iterator[bytes]:
    """The name, then each of its parents down to the root."""
    at = 0
    while True:
        yield name[at:]
        length = name[at]
        if not length:
            return
        at += 1 + length


def parent(name: bytes) -> bytes:
    """The name without its leftmost label; the root's parent is the root."""
    return name[1 + name[0] :] if name[0] else ROOT


def is_under(name: bytes, zone: bytes) -> bool:
    """Whether the name is the zone's apex or below it; both in lower case."""
    if not name.endswith(zone):
        return False
    if len(zone) == 1 or len(zone) == len(name):
        return True
    # The bytes may match in mid-label ("xexample.org"), so walk to the border.
    at, border = 0, len(name) - len(zone)
    while at < border:
        at += 1 + name[at]
    return at == border


def are_apart(zone: bytes, zones: Iterable[bytes]) -> bool:
    """Whether no name is both in the zone and in one of the others."""
    return not any(is_under(zone, other) or is_under(other, zone) for other in zones)


def closest(name: bytes, zones: tuple[bytes, ...]) -> bytes | None:
    """The longest of the zones that the name is in, or None."""
    best: bytes | None = None
    for zone in zones:
        if name.endswith(zone) and (best is None or len(zone) > len(best)) and is_under(name, zone):
            best = zone
    return best


def cut(name: bytes, zones: tuple[bytes, ...]) -> tuple[bytes, list[int]] | None:
    """The longest of the zones that the name is in, and where each label left of it starts; None for none."""
    best: tuple[bytes, list[int]] | None = None
    for zone in zones:
        if name.endswith(zone) and (best is None or len(zone) > len(best[0])):
            starts, at, border = [], 0, len(name) - len(zone)
            while at < border:
                starts.append(at)
                at += 1 + name[at]
            if at == border:
                best = zone, starts
    return best


@lru_cache(1024)
def is_reverse(name: bytes) -> bool:
    """Whether the name is that of an address or of a network (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    return is_under(name, IN_ADDR) or is_under(name, IP6)


@lru_cache(4096)
def reverse(address: bytes) -> bytes:
    """The in-addr.arpa or ip6.arpa name of a packed address (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    if len(address) == 4:
        return join(*(str(octet).encode() for octet in reversed(address)), to=IN_ADDR)
    return join(*(b"%x" % nibble for octet in reversed(address) for nibble in (octet & 15, octet >> 4)), to=IP6)


def address(name: bytes) -> bytes | None:
    """The packed address that a complete reverse name stands for, or None."""
    try:
        if name.endswith(IN_ADDR):
            octets = labels(name[: -len(IN_ADDR)] + ROOT)
            if len(octets) == 4 and all(octet.isdigit() and str(int(octet)).encode() == octet for octet in octets):
                return bytes(int(octet) for octet in reversed(octets))
        elif name.endswith(IP6) and len(name) == 64 + len(IP6):
            nibbles = labels(name[: -len(IP6)] + ROOT)
            if len(nibbles) == 32:
                return bytes.fromhex(b"".join(reversed(nibbles)).decode("ascii"))
    except (ValueError, IndexError):
        return None
    return None


def network(name: bytes) -> bytes | str | None:
    """The network an incomplete reverse name stands for: leading octets for IPv4, nibbles in hexadecimal for IPv6."""
    try:
        if name.endswith(IN_ADDR) and len(name) > len(IN_ADDR):
            octets = labels(name[: -len(IN_ADDR)] + ROOT)
            if len(octets) < 4 and all(octet.isdigit() and str(int(octet)).encode() == octet for octet in octets):
                return bytes(int(octet) for octet in reversed(octets))
        elif name.endswith(IP6) and len(name) > len(IP6):
            nibbles = b"".join(reversed(labels(name[: -len(IP6)] + ROOT))).decode("ascii")
            if len(nibbles) * 2 == len(name) - len(IP6) and len(nibbles) < 32 and int(nibbles, 16) >= 0:
                return nibbles
    except (ValueError, IndexError):
        return None
    return None


def zones(text: str) -> tuple[bytes, ...]:
    """The zone, or for an address prefix such as ``10.0.0.0/17`` its reverse zones.

    A prefix off an octet (IPv4) or nibble (IPv6) border stands for every zone of the next longer
    border; bits behind the prefix are masked. Raises ValueError for what is neither.
    """
    if "/" not in text:
        return (parse(text),)
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        if text.rpartition("/")[2].isdigit() and re.fullmatch(r"[0-9a-fA-F:.]+/\d+", text):
            raise ValueError(f"not an address prefix: {text!r}") from None
        return (parse(text),)
    step = 8 if network.version == 4 else 4
    depth = -(-network.prefixlen // step)
    tail = 4 - depth if network.version == 4 else 32 - depth
    found = []
    for net in network.subnets(new_prefix=depth * step) if depth else [network]:
        whole = reverse(net.network_address.packed)
        for _ in range(tail):
            whole = parent(whole)
        found.append(whole)
    return tuple(found)
