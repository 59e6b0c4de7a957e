"""Records as pairs of key and value, as ExternalDNS writes them, and what records a pair makes."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pydnsk8s import codes, names, rdata
from pydnsk8s.etcd import values
from pydnsk8s.etcd.values import Value, name_of, path_of

TYPES = ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT")
_TTL = 300  # seconds, of values that say nothing about it
_DEFAULTS = (10, 100)  # priority and weight of values that say nothing about them
_NAME_SERVERS = b"dns/ns"  # where skydns keeps those of a zone, below its apex
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]+(?<!-)")


class Entry(NamedTuple):
    """One pair of key and value."""

    key: bytes
    document: bytes


class Made(NamedTuple):
    """One record, in text."""

    name: str
    ttl: int
    type: int
    data: str

    def __str__(self) -> str:
        return f"{self.name} {self.ttl} {codes.type_name(self.type)} {self.data}"


def path(name: str) -> bytes:
    """The path of a name, or of an address's reverse name; ValueError for what is neither."""
    try:
        found = path_of(names.reverse(ipaddress.ip_address(name).packed))
    except ValueError:
        found = path_of(names.parse(name))
    if found is None:
        raise ValueError(f"a label with a slash or a NUL has no key: {name!r}")
    return found


def entry(prefix: bytes, name: str, type: str, words: Sequence[str], ttl: int = 0) -> Entry:
    """The pair for one record; ValueError says what cannot be written."""
    fields = _fields(type, words)
    if ttl:
        fields["ttl"] = ttl
    if type == "PTR":  # one for each address, under the very key
        return Entry(prefix + path(name), values.write(**fields))
    place = path(name) + b"/" + _NAME_SERVERS if type == "NS" else path(name)
    # The same record has the same key, so that writing it again makes no second one.
    suffix = hashlib.sha256(" ".join((type, *words)).encode()).hexdigest()[:8].encode()
    return Entry(prefix + place + b"/" + suffix, values.write(**fields, targetstrip=1))


def _fields(type: str, words: Sequence[str]) -> dict[str, str | int | bool]:
    match type, *words:
        case ["A", address]:
            return {"host": _address(address, 4)}
        case ["AAAA", address]:
            return {"host": _address(address, 6)}
        case ["NS", address]:
            return {"host": _address(address)}
        case ["CNAME" | "PTR", host]:
            return {"host": _host(host)}
        case ["MX", preference, host]:
            return {"host": _host(host), "priority": _number("preference", preference), "mail": True}
        case ["SRV", priority, weight, port, host]:
            return {
                "host": _host(host),
                "port": _number("port", port),
                "priority": _number("priority", priority),
                "weight": _number("weight", weight),
            }
        case ["TXT", _, *_]:
            return {"text": " ".join(words)}
    raise ValueError(f"expected: {_USAGE[type]}")


_USAGE = {
    "A": "A ADDRESS",
    "AAAA": "AAAA ADDRESS",
    "CNAME": "CNAME NAME",
    "MX": "MX PREFERENCE NAME",
    "NS": "NS ADDRESS, that of the name server ns.dns in the zone",
    "PTR": "PTR NAME",
    "SRV": "SRV PRIORITY WEIGHT PORT NAME",
    "TXT": "TXT TEXT",
}


def _address(text: str, version: int = 0) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or version not in (0, address.version) or "%" in text:
        raise ValueError(f"not an IP{f'v{version}' if version else ''} address: {text!r}")
    return str(address)


def _host(text: str) -> str:
    name = text.rstrip(".")
    names.parse(name)
    if not all(map(_LABEL.fullmatch, name.split("."))) or name.rpartition(".")[2].isdigit():
        raise ValueError(f"not a host name: {text!r}")
    return name.lower()


def _number(what: str, text: str) -> int:
    # skydns takes 0 for a field that is not there.
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 0xFFFF):
        raise ValueError(f"{what}: expected a whole number from 1 to 65535, found {text!r}")
    return int(text)


def records(value: Value) -> Iterator[Made]:
    """The records that one value makes at the name it is meant for."""
    for name, type, data in _records(name_of(value.owner), value):
        yield Made(names.text(name), value.ttl or _TTL, type, rdata.text(type, data))


def _records(owner: bytes, value: Value) -> Iterator[tuple[bytes, int, bytes]]:
    priority, weight = value.priority or _DEFAULTS[0], value.weight or _DEFAULTS[1]
    is_name = value.kind == codes.CNAME
    target = value.host if is_name else owner
    if value.owner.endswith(b"/" + _NAME_SERVERS) and value.kind:
        yield name_of(value.owner[: -len(_NAME_SERVERS) - 1]), codes.NS, target
    if value.kind and not is_name:
        yield owner, value.kind, value.host
    if value.mail and value.kind:
        yield owner, codes.MX, rdata.mx(priority, target)
    if value.port > 0 and value.kind:
        yield owner, codes.SRV, rdata.srv(priority, weight, value.port, target)
    if is_name and not value.mail and not value.port:
        yield owner, codes.PTR if names.is_reverse(owner) else codes.CNAME, value.host
    if value.text:
        yield owner, codes.TXT, rdata.txt(value.text)
