"""skydns values: what a key and its JSON say about a name.

The key of ``www.example.org`` is the prefix and ``/org/example/www``; one more segment tells several values apart. A
path is a key without its prefix and in lower case: ``org/example/www``.

A row is a value packed to be held by the thousand: a place, which is the path or its front, what else of the path there
is, and the rest in MessagePack, with NULs in between. That takes a third of the room, and rows are in the order of
their places, then of their paths.
"""

from __future__ import annotations

import socket

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pydnsk8s import codes, names, rdata

ADDRESSES = {4: codes.A, 16: codes.AAAA}
_LONGEST_PATH = 253  # RFC 1035 section 2.3.4: with the first length octet and the root's it makes 255
_LONGEST_TEXT = 60_000  # octets; more does not fit a message with its length octets
_MOST = {
    "port": 0xFFFF,
    "priority": 0xFFFF,
    "weight": 0x7FFFFFFF,
    "ttl": 0x7FFFFFFF,
    "targetstrip": 127,
}  # ttl: RFC 2181 section 8
_NO_PORT = -1


class Value(Struct, frozen=True, gc=False, array_like=True):
    """What one key says."""

    path: bytes = b""
    kind: int = 0
    """A, AAAA, or CNAME where the host is a name; 0 without a host."""
    host: bytes = b""
    """A packed address, or a name."""
    port: int = 0
    """-1 keeps it out of SRV answers."""
    priority: int = 0
    """Also an MX record's preference; 0 if not given."""
    weight: int = 0
    text: bytes = b""
    mail: bool = False
    ttl: int = 0
    """Seconds; 0 if not given."""
    strip: int = 0
    """How many of the path's labels only tell values apart."""
    group: str = ""
    lease: int = 0
    key: bytes = b""
    """How the path is written in etcd; empty if just like that."""

    @property
    def owner(self) -> bytes:
        """The path without the labels that only tell values apart."""
        return stripped(self.path, self.strip)


class _Json(Struct, forbid_unknown_fields=True, gc=False):
    """A value as ExternalDNS and SkyDNS write it."""

    host: str = ""
    port: int = 0
    priority: int = 0
    weight: int = 0
    text: str = ""
    mail: bool = False
    ttl: int = 0
    targetstrip: int = 0
    group: str = ""
    owner: str = ""


_decoder = msgspec.json.Decoder(_Json)
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Value).decode
_KNOWN = frozenset(_Json.__struct_fields__)


def path_of(name: bytes, zone: bytes = names.ROOT, top: bytes = b"") -> bytes | None:
    """The path of a name in wire form, below the one of a zone it is in; None if no key can stand for it."""
    path, at, border = b"", 0, len(name) - len(zone)
    while at < border:
        end = at + 1 + name[at]
        label = name[at + 1 : end]
        if b"/" in label or b"\0" in label:
            return None
        path = b"/" + label + path
        at = end
    return top + path if top else path[1:]


def name_of(path: bytes) -> bytes:
    """The name in wire form that a checked path stands for."""
    return names.join(*reversed(path.split(b"/"))) if path else names.ROOT


def stripped(path: bytes, labels: int) -> bytes:
    """The path without its last labels; the whole path if it has no more than that (as CoreDNS does)."""
    return path.rsplit(b"/", labels)[0] if 0 < labels <= path.count(b"/") else path


def check(path: bytes) -> None:
    """Raise ValueError if a path stands for no name."""
    if len(path) > _LONGEST_PATH:
        raise ValueError("the key makes a name over 255 octets")
    if not all(0 < len(segment) <= names.MAX_LABEL for segment in path.split(b"/")):
        raise ValueError("the key has an empty segment, or one over 63 octets")
    if b"\0" in path:
        raise ValueError("the key has a NUL octet")


def read(path: bytes, document: bytes, lease: int = 0, key: bytes = b"") -> Value:
    """The value of a checked path; ValueError says what is wrong with its JSON."""
    shape = _shape(document)
    for field, most in _MOST.items():
        number = getattr(shape, field)
        if not (_NO_PORT if field == "port" else 0) <= number <= most:
            raise ValueError(f"{field}: expected 0 to {most}, found {number}")
    text = shape.text.encode()
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"text: expected at most {_LONGEST_TEXT} octets, found {len(text)}")
    kind, host = _host(shape.host)
    return Value(
        path,
        kind,
        host,
        shape.port,
        shape.priority,
        shape.weight,
        text,
        shape.mail,
        shape.ttl,
        shape.targetstrip,
        shape.group,
        lease,
        key,
    )


def pack(value: Value, place: bytes) -> bytes:
    """The row of a value at a place."""
    return row_start(value.path, place) + _pack(replace(value, path=b""))


def unpack(row: bytes) -> Value:
    """The value of a row."""
    place, rest, packed = row.split(b"\0", 2)
    return replace(_unpack(packed), path=place + rest)


def place_of(row: bytes) -> bytes:
    """The place of a row."""
    return row[: row.index(b"\0")]


def key_of(row: bytes) -> bytes:
    """The key of a row, without the prefix."""
    value = unpack(row)
    return value.key or value.path


def row_start(path: bytes, place: bytes) -> bytes:
    """What the rows of a path at a place begin with."""
    return b"%b\0%b\0" % (place, path[len(place) :])


def write(**fields: str | int | bool) -> bytes:
    """The JSON of a value, with the fields of :class:`_Json` that are not empty, in its order."""
    return msgspec.json.encode({field: fields[field] for field in _Json.__struct_fields__ if fields.get(field)})


def _shape(document: bytes) -> _Json:
    try:
        return _decoder.decode(document)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        # The rare rest, as CoreDNS reads it: other letter case, nulls, and fields nobody knows.
        fields = msgspec.json.decode(document, type=dict[str, object])
        known = {name.lower(): held for name, held in fields.items() if held is not None and name.lower() in _KNOWN}
        return msgspec.convert(known, _Json)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _host(text: str) -> tuple[int, bytes]:
    if not text:
        return 0, b""
    try:
        return codes.A, socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        pass
    if ":" not in text:
        return codes.CNAME, names.parse(text)
    try:
        packed = rdata.unmapped(socket.inet_pton(socket.AF_INET6, text))
    except (OSError, ValueError):
        raise ValueError(f"host: neither an address nor a name: {text!r}") from None
    return ADDRESSES[len(packed)], packed
