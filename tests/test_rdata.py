"""Record data: built, written and read back."""

from __future__ import annotations

import dns.rdata
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, names, rdata, testing
from pydnsk8s.message import Record
from tests import strategies as draw


@given(draw.record_sets())
def test_what_is_written_can_be_read(records: list[Record]) -> None:
    for record in records:
        assert rdata.parse(record.type, rdata.text(record.type, record.data)) == record.data


@given(draw.record_sets())
def test_a_line_of_text_is_the_record_it_stands_for(records: list[Record]) -> None:
    for record in records:
        assert testing.record(testing.text(record)) == record


@given(st.integers(1, 300), st.binary(max_size=40))
def test_any_data_can_be_shown(type: int, data: bytes) -> None:
    assert isinstance(rdata.text(type, data), str)


@pytest.mark.parametrize(
    ("type", "data", "text"),
    [
        (codes.SRV, rdata.srv(0, 100, 53, names.parse("a.example.org")), "0 100 53 a.example.org."),
        (codes.MX, rdata.mx(10, names.parse("mx.example.org")), "10 mx.example.org."),
        (codes.TXT, rdata.txt(b"one", b'"two"'), '"one" "\\"two\\""'),
        (codes.TXT, rdata.txt(b""), '""'),
        (codes.HINFO, rdata.hinfo(b"cpu", b"os"), '"cpu" "os"'),
        (65280, b"\1\2", "\\# 2 0102"),
        (codes.A, b"\1\2", "\\# 2 0102"),
    ],
)
def test_data_in_presentation_form(type: int, data: bytes, text: str) -> None:
    assert rdata.text(type, data) == text


def test_a_serial_wraps_round() -> None:
    zone = names.parse("example.org")
    assert rdata.text(codes.SOA, rdata.soa(zone, zone, 2**32 + 7, timers=(1, 2, 3, 4))).split()[2:] == list("71234")


@given(st.binary(max_size=700))
def test_a_long_text_is_split_and_nothing_lost(text: bytes) -> None:
    data = rdata.txt(text)
    strings = dns.rdata.from_wire("IN", "TXT", data, 0, len(data)).strings  # type: ignore[attr-defined]
    assert b"".join(strings) == text
    assert all(len(string) <= 255 for string in strings)


@pytest.mark.parametrize(("type", "text"), [(codes.A, "192.0.2"), (codes.MX, "mx"), (codes.AAAA, ""), (codes.SRV, "x")])
def test_what_is_no_data_is_an_error_that_says_so(type: int, text: str) -> None:
    with pytest.raises(ValueError, match=f"not {codes.type_name(type)} data"):
        rdata.parse(type, text)


def test_a_relative_name_is_below_the_origin() -> None:
    assert rdata.parse(codes.CNAME, "www", origin=names.parse("example.org")) == names.parse("www.example.org")


@given(st.integers(0, 0xFFFF))
def test_numbers_and_mnemonics_lead_back(number: int) -> None:
    assert codes.parse_type(codes.type_name(number)) == number
    assert codes.parse_class(codes.class_name(number)) == number
    assert codes.parse_rcode(codes.rcode_name(number & 0xFFF)) == number & 0xFFF


@pytest.mark.parametrize("text", ["", "TYPE", "TYPE65536", "AA", "-1", "TYPE١"])
def test_what_is_no_type_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a record type"):
        codes.parse_type(text)
