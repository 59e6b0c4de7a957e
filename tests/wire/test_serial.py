"""The serial that a query brings along: the version an IXFR client has (RFC 1995 section 3)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given

from pydnsk8s import codes, names, rdata
from pydnsk8s.message import NOBODY
from pydnsk8s.testing import transfer_query
from pydnsk8s.wire import FormError, parse
from tests.strategies import u32, wire_names


@given(u32)
def test_the_serial_of_the_soa_record_is_read(serial: int) -> None:
    query = parse(transfer_query("example.org", serial), NOBODY)
    assert (query.type, query.serial, query.plain) == (codes.IXFR, serial, False)


@given(u32, wire_names, wire_names)
def test_it_is_read_whatever_the_names_before_it(serial: int, primary: bytes, mailbox: bytes) -> None:
    data = rdata.soa(primary, mailbox, serial, timers=(1, 2, 3, 4))
    packet = transfer_query("example.org", 0)
    start = packet.index(b"\xc0\x0c", 12)
    record = b"\xc0\x0c" + struct.pack(">HHIH", codes.SOA, codes.IN, 0, len(data)) + data
    assert parse(packet[:start] + record, NOBODY).serial == serial


def test_a_query_without_one_has_none() -> None:
    assert parse(transfer_query("example.org"), NOBODY).serial is None


def test_data_too_short_for_a_serial_has_none() -> None:
    packet = transfer_query("example.org", 1)
    start = packet.index(b"\xc0\x0c", 12)
    record = b"\xc0\x0c" + struct.pack(">HHIH", codes.SOA, codes.IN, 0, 21) + bytes(21)
    assert parse(packet[:start] + record, NOBODY).serial is None


@pytest.mark.parametrize("missing", range(1, 30))
def test_a_record_cut_off_is_malformed(missing: int) -> None:
    with pytest.raises(FormError):
        parse(transfer_query("example.org", 1)[:-missing], NOBODY)


def test_the_serial_goes_along_with_derived_queries() -> None:
    query = parse(transfer_query("example.org", 7), NOBODY)
    assert query.with_(name=names.ROOT).serial == 7
