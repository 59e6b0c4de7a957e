"""Answers by the book: a name has the values meant for it, and an alias nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydnsk8s import codes, names
from pydnsk8s.etcd.values import Value
from pydnsk8s.message import Record
from pydnsk8s.plugins.etcd import records
from pydnsk8s.plugins.etcd.reading import Answer, Reading

_FINAL = (codes.NOERROR, codes.NXDOMAIN)


def answer(reading: Reading) -> Answer | None:
    """The answer to the query; None if its name does not exist."""
    query = reading.query
    values: Sequence[Value] | None = reading.find(query.name)
    apex = query.name == reading.zone
    if apex and query.type == codes.NS:
        servers = reading.special(b"ns")
        return None if servers is None else records.servers(reading, servers, _resolver(reading))
    if apex and query.type in (codes.A, codes.AAAA) and (found := reading.special(b"apex")):
        values = found.values
    if values is None:
        return None
    values = records.grouped(values)
    value = None if apex else _alias(reading, values)
    if value is None:
        return _of_type(reading, values)
    record = records.alias(reading, query.name, value)
    if query.type == codes.CNAME:
        return Answer([record])
    return _follow(reading, record)


def _alias(reading: Reading, values: Iterable[Value]) -> Value | None:
    """The value that makes the name an alias.

    In a reverse zone a host is what the address points to, and with a port or for mail it is what SRV and MX point to;
    where there is an address there can be no alias beside it (RFC 1034 section 3.6.2).
    """
    found: Value | None = None
    for value in values:
        if value.kind in (codes.A, codes.AAAA):
            return None
        if found is None and value.kind == codes.CNAME and not value.mail and not value.port:
            found = value
    return None if found is None or names.is_reverse(reading.zone) else found


def _follow(reading: Reading, record: Record) -> Answer:
    if record.data == reading.query.name:
        return Answer()
    reached = reading.look_up(record.data, reading.query.type)
    if reached is None or reached.rcode not in _FINAL:
        return Answer([record])
    reading.truncated = reached.truncated
    # RFC 6604 section 3: the code tells of the end of the chain.
    chain = list(dict.fromkeys((record, *reached.answer)))
    return Answer(chain, authority=reached.authority, rcode=reached.rcode)


def _of_type(reading: Reading, values: Sequence[Value]) -> Answer:
    owner, type = reading.query.name, reading.query.type
    match type:
        case codes.A | codes.AAAA:
            made = [records.address(reading, owner, value) for value in values if value.kind == type]
        case codes.TXT:
            made = [records.text(reading, owner, value) for value in values if value.text]
        case codes.SRV:
            return records.services(reading, [value for value in values if value.port > 0], _resolver(reading))
        case codes.MX:
            return records.mail(reading, values, _resolver(reading))
        case codes.PTR if names.is_reverse(reading.zone):
            return records.pointers(reading, values)
        case _:
            made = []
    return Answer(list(dict.fromkeys(made)) if len(made) > 1 else made)


def _resolver(reading: Reading) -> records.Resolve:
    def resolve(target: bytes) -> list[Record]:
        replies = [reading.look_up(target, type) for type in (codes.A, codes.AAAA)]
        return [record for reply in replies if reply and reply.rcode == codes.NOERROR for record in reply.answer]

    return resolve
