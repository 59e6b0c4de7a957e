"""DNSEndpoint objects as the API writes them: record sets with their labels, as k8gb and ExternalDNS use them."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Protocol

from msgspec import Struct, field

from pydnsk8s import codes, names, rdata
from pydnsk8s.kube.objects import DNSEndpoint, RecordSet, Weight

# Those of ExternalDNS.
_TYPES = frozenset((codes.A, codes.AAAA, codes.CNAME, codes.TXT, codes.NS, codes.MX, codes.SRV, codes.PTR, codes.NAPTR))
_MAX_TTL = 0x7FFFFFFF  # RFC 2181 section 8
_MAX_DATA = 0xFFFF  # RFC 1035 section 3.2.1
_WEIGHT = "weight-"

_log = logging.getLogger("pydnsk8s.kube")


class _Meta(Struct, gc=False):
    name: str
    namespace: str = ""
    labels: dict[str, str] | None = None


class _Entry(Struct, gc=False):
    dns_name: str = field(default="", name="dnsName")
    record_type: str | None = field(default=None, name="recordType")
    record_ttl: int | None = field(default=None, name="recordTTL")
    targets: list[str | None] | None = None
    labels: dict[str, str] | None = None


class _Spec(Struct, gc=False):
    endpoints: list[_Entry] | None = None


class DNSEndpointShape(Struct, gc=False):
    """A DNSEndpoint; what one of its entries has wrong takes none of the others away."""

    metadata: _Meta
    spec: _Spec | None = None

    def strip(self) -> DNSEndpoint:
        """What DNS needs of it."""
        meta = self.metadata
        # Quoted, for it has not been checked: it cannot forge a line of the log.
        called = ascii(f"{meta.namespace}/{meta.name}")
        entries = (self.spec.endpoints if self.spec else None) or ()
        return DNSEndpoint(
            namespace=meta.namespace.lower(),
            name=meta.name.lower(),
            labels=_shared(tuple(sorted((meta.labels or {}).items()))),
            records=tuple(found for entry in entries for found in _record_sets(entry, called)),
        )


# k8gb labels all its objects alike.
@lru_cache(4096)
def _shared(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return labels


def _record_sets(entry: _Entry, called: str) -> Iterator[RecordSet]:
    """The record sets of one entry; a line in the log for everything that cannot be one."""
    try:
        name = names.parse(entry.dns_name)
        type = codes.parse_type(entry.record_type or "A")
        if type not in _TYPES:
            raise ValueError(f"records of type {entry.record_type} cannot be served")
    except ValueError as error:
        _log.warning("ignoring an entry of DNSEndpoint %s: %s", called, error)
        return
    ttl = min(entry.record_ttl, _MAX_TTL) if entry.record_ttl and entry.record_ttl > 0 else None
    labels = entry.labels or {}
    strategy = labels.get("strategy", "").lower()
    if type not in (codes.A, codes.AAAA):
        if data := tuple(dict.fromkeys(_data(type, entry, called))):
            yield RecordSet(name, type, ttl, data, strategy)
        return
    weights = tuple(_weights(labels, called))
    held = tuple(dict.fromkeys(_each(_packed, entry, called)))
    # A target is of the family it is written in, whichever of the two types the entry names.
    for each, octets in ((codes.A, 4), (codes.AAAA, 16)):
        if data := tuple(address for address in held if len(address) == octets):
            ours = tuple(weight for weight in weights if len(weight.address) == octets)
            yield RecordSet(name, each, ttl, data, strategy, ours)


def _data(type: int, entry: _Entry, called: str) -> Iterable[bytes]:
    if type in (codes.CNAME, codes.NS, codes.PTR):
        return _each(names.parse, entry, called)
    if type != codes.TXT:
        return _each(lambda target: rdata.parse(type, target), entry, called)
    # As k8gb does: the targets are the strings of one record.
    text = rdata.txt(*(target.encode() for target in entry.targets or () if target))
    if len(text) > _MAX_DATA:
        _log.warning("ignoring %s of DNSEndpoint %s: a text of %d octets", ascii(entry.dns_name), called, len(text))
        return ()
    return (text,) if text else ()


class _Read(Protocol):
    def __call__(self, target: str, /) -> bytes: ...


def _each(read: _Read, entry: _Entry, called: str) -> Iterator[bytes]:
    """What the targets of an entry mean."""
    for target in entry.targets or ():
        try:
            yield read(target or "")
        except ValueError as error:
            _log.warning("ignoring a target of %s in DNSEndpoint %s: %s", ascii(entry.dns_name), called, error)


def _packed(text: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        raise ValueError(f"{text!r} is not an IP address") from None


def _weights(labels: dict[str, str], called: str) -> Iterator[Weight]:
    """What the labels ``weight-TAG-INDEX-WEIGHT: ADDRESS`` say; the tag may have dashes of its own."""
    for label in sorted(label for label in labels if label.startswith(_WEIGHT)):
        try:
            match label.removeprefix(_WEIGHT).rsplit("-", 2):
                case [tag, _, weight] if tag and weight.isascii() and weight.isdigit() and len(weight) < 10:
                    yield Weight(tag, int(weight), _packed(labels[label]))
                case _:
                    raise ValueError("expected weight-TAG-INDEX-WEIGHT")
        except ValueError as error:
            _log.warning("ignoring the label %s in DNSEndpoint %s: %s", ascii(label), called, error)
