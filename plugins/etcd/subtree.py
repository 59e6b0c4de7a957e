"""Answers as CoreDNS and SkyDNS give them: a name has its own values and those of all names below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydnsk8s import codes, names
from pydnsk8s.etcd.tree import MOST
from pydnsk8s.etcd.values import Value
from pydnsk8s.message import Record
from pydnsk8s.plugins.etcd import records
from pydnsk8s.plugins.etcd.reading import Answer, Found, Reading

_ADDRESSES = (codes.A, codes.AAAA)
_DATA = (*_ADDRESSES, codes.TXT)
_POINTING = (codes.CNAME, codes.PTR, codes.SRV, codes.MX)
_LONGEST_CHAIN = 10  # aliases; as CoreDNS


def answer(reading: Reading) -> Answer | None:
    """The answer to the query; None if its name does not exist."""
    query = reading.query
    found = _find(reading)
    if found is None:
        return None
    if query.type in _DATA:
        return Answer(_data(reading, query.name, found.values, query.type, ()))
    return _pointing(reading, found)


def _find(reading: Reading) -> Found | None:
    """What the answer is made from."""
    query = reading.query
    if query.name == reading.zone:
        if query.type == codes.NS:
            return reading.special(b"ns")
        if query.type in _ADDRESSES and (found := reading.special(b"apex")):
            return found
    # There are no records of other types: that there is anything is all they need to know.
    return reading.find_subtree(query.name, MOST if query.type in _DATA or query.type in _POINTING else 1)


def _pointing(reading: Reading, found: Found) -> Answer:
    """The records whose data are names."""

    def resolve(target: bytes) -> Iterable[Record]:
        return [record for each in _ADDRESSES for record in _addresses_of(reading, target, each)]

    match reading.query.type:
        case codes.CNAME:
            named = [value for value in found.own if value.kind == codes.CNAME]
            return Answer([records.alias(reading, reading.query.name, value) for value in named[:1]])
        case codes.PTR:
            return records.pointers(reading, found.own)
        case codes.SRV:
            return records.services(reading, _with_host(found.values), resolve)
        case codes.MX:
            return records.mail(reading, _with_host(found.values), resolve)
        case codes.NS if reading.query.name == reading.zone:
            return records.servers(reading, found, resolve)
    return Answer()


def _with_host(values: Iterable[Value]) -> Sequence[Value]:
    return records.grouped([value for value in values if value.kind])


def _data(reading: Reading, owner: bytes, values: Iterable[Value], type: int, chain: tuple[bytes, ...]) -> list[Record]:
    """The records of one type that values make, aliases followed; ``chain`` holds the aliases that led here."""
    made: dict[Record, None] = {}
    wanted = [value for value in values if value.kind or (type == codes.TXT and value.text)]
    for value in records.grouped(wanted):
        if type == codes.TXT and value.text:
            made[records.text(reading, owner, value)] = None
        elif value.kind == codes.CNAME:
            made.update(dict.fromkeys(_follow(reading, owner, value, type, chain)))
        elif value.kind == type:
            made[records.address(reading, owner, value)] = None
    return list(made)


def _follow(reading: Reading, owner: bytes, value: Value, type: int, chain: tuple[bytes, ...]) -> Sequence[Record]:
    """An alias and what it leads to; nothing if that is nothing in this zone (as CoreDNS does)."""
    target = value.host
    # What is below a name is part of it here: an alias that points there is a loop.
    if names.is_under(target, owner) or target in chain or len(chain) >= _LONGEST_CHAIN:
        return ()
    record = records.alias(reading, owner, value)
    if names.is_under(target, reading.zone):
        found = reading.find_subtree(target)
        data = _data(reading, target, found.values, type, (*chain, target)) if found else ()
        return (record, *data) if data else ()
    reply = reading.look_up(target, type)
    if reply is None:
        return ()
    reading.truncated = reading.truncated or reply.truncated
    return (record, *(reply.answer if reply.rcode == codes.NOERROR else ()))


def _addresses_of(reading: Reading, host: bytes, type: int) -> Sequence[Record]:
    if names.is_under(host, reading.zone):
        found = reading.find_subtree(host)
        return _data(reading, host, found.values, type, (host,)) if found else ()
    reply = reading.look_up(host, type)
    return reply.answer if reply is not None and reply.rcode == codes.NOERROR else ()
