"""The kinds of reply."""

from __future__ import annotations

import time

import pytest

from pydnsk8s import codes, names
from pydnsk8s.message import Edns, Query, Record, Reply
from pydnsk8s.response import Kind, classify, kind

NAME = names.parse("www.example.org")
ZONE = names.parse("example.org")
A = Record(NAME, codes.A, 60, b"\xc0\0\2\1")
CNAME = Record(NAME, codes.CNAME, 60, ZONE)
SOA = Record(ZONE, codes.SOA, 60, ZONE + ZONE + bytes(20))
NS = Record(ZONE, codes.NS, 60, NAME)
QUERY = Query(NAME, codes.A)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(answer=[A]), Kind.NO_ERROR),
        (Reply(answer=[CNAME], authority=[SOA]), Kind.NO_ERROR),
        (Reply(), Kind.NO_ERROR),
        (Reply(authority=[SOA]), Kind.NO_DATA),
        (Reply(authority=[NS]), Kind.DELEGATION),
        (Reply(authority=[NS, SOA]), Kind.NO_DATA),
        (Reply(codes.NXDOMAIN, authority=[SOA]), Kind.NAME_ERROR),
        (Reply(codes.NXDOMAIN), Kind.NAME_ERROR),
        (Reply(codes.NXDOMAIN, answer=[CNAME], authority=[SOA]), Kind.NAME_ERROR),
        (Reply(codes.SERVFAIL), Kind.SERVER_ERROR),
        (Reply(codes.NOTIMP), Kind.SERVER_ERROR),
        (Reply(codes.REFUSED), Kind.OTHER_ERROR),
        (Reply(23), Kind.OTHER_ERROR),
    ],
)
def test_a_reply_is_of_the_kind_its_code_and_sections_say(reply: Reply, expected: Kind) -> None:
    assert kind(QUERY, reply) == expected


def test_transfers_notifications_and_updates_are_kinds_of_their_own() -> None:
    assert kind(Query(ZONE, codes.AXFR), Reply(answer=[SOA])) == Kind.META
    assert kind(Query(ZONE, codes.IXFR), Reply(answer=[SOA])) == Kind.META
    assert kind(Query(ZONE, codes.SOA, flags=codes.OPCODE_NOTIFY << 11), Reply()) == Kind.META
    assert kind(Query(ZONE, codes.SOA, flags=codes.OPCODE_UPDATE << 11), Reply()) == Kind.UPDATE


@pytest.mark.parametrize(("age", "expected"), [(3600, Kind.OTHER_ERROR), (-3600, Kind.NO_ERROR)])
def test_an_expired_signature_counts_for_who_asked_for_signatures(age: int, expected: Kind) -> None:
    expiration = (int(time.time()) - age) % 2**32
    signature = Record(NAME, codes.RRSIG, 60, bytes(8) + expiration.to_bytes(4, "big") + bytes(6) + ZONE + b"sig")
    reply = Reply(answer=[A, signature])
    assert kind(Query(NAME, codes.A, edns=Edns(do=True)), reply) == expected
    assert kind(QUERY, reply) == Kind.NO_ERROR


def test_every_kind_has_a_class() -> None:
    assert {name: classify(name) for name in Kind} == {
        Kind.NO_ERROR: "success",
        Kind.DELEGATION: "success",
        Kind.NAME_ERROR: "denial",
        Kind.NO_DATA: "denial",
        Kind.SERVER_ERROR: "error",
        Kind.OTHER_ERROR: "error",
        Kind.META: "error",
        Kind.UPDATE: "error",
    }
