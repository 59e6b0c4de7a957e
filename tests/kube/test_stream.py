"""What the API server sends is taken apart the same way however it is cut, spaced and sized."""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.response import BaseHTTPResponse

from pydnsk8s.kube import stream

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
objects = st.dictionaries(st.text(), values, max_size=4)


class Response:
    """Arrives in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def read1(self, amount: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def response(*pieces: bytes) -> BaseHTTPResponse:
    return cast("BaseHTTPResponse", Response(*pieces))


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_LARGE", 0)


@given(
    st.lists(objects) | st.none(),
    st.sampled_from([None, 1]),
    st.sampled_from([(",", ":"), (", ", ": ")]),
    st.booleans(),
    st.permutations(["kind", "metadata", "items"]),
)
def test_a_large_list_gives_the_objects_that_decoding_it_in_one_go_gives(
    items: list[Any] | None, indent: int | None, separators: tuple[str, str], ascii_only: bool, order: list[str]
) -> None:
    whole = {"kind": "List", "metadata": {"resourceVersion": "7", "continue": "more"}, "items": items}
    document = json.dumps(
        {name: whole[name] for name in order}, indent=indent, separators=separators, ensure_ascii=ascii_only
    ).encode("utf-8", "replace")
    page = stream.Page(document)
    assert [json.loads(bytes(found)) for found in page] == (json.loads(document)["items"] or [])
    assert (page.meta.resource_version, page.meta.more) == ("7", "more")


@given(st.binary(max_size=60) | st.text('{}[]",:items ', max_size=40).map(str.encode))
def test_what_is_no_list_is_a_decode_error(document: bytes) -> None:
    try:
        list(stream.Page(document))
    except msgspec.DecodeError:
        pass


@pytest.mark.parametrize("depth", [100, 100_000])
def test_nesting_without_end_is_a_decode_error_at_most(depth: int) -> None:
    with pytest.raises(msgspec.DecodeError):
        list(stream.Page(b'{"items": [' + b"[" * depth))


@given(st.lists(st.binary(max_size=5).filter(lambda line: b"\n" not in line), max_size=8), st.data())
def test_lines_are_whole_however_they_arrive(lines: list[bytes], data: st.DataObject) -> None:
    sent = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    pieces = [sent[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert [line for some in stream.lines(response(*pieces)) for line in some] == lines


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_MAX_LINE", 10)
    with pytest.raises(stream.TooMuchError, match="an event of more than 10 octets"):
        list(stream.lines(response(*[b"12345"] * 3)))


def test_a_list_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_MAX_PAGE", 10)
    assert stream.body(response(b"12345", b"67890")) == b"1234567890"
    with pytest.raises(stream.TooMuchError, match="a list of more than 10 octets"):
        stream.body(response(*[b"12345"] * 3))
    monkeypatch.setattr(stream, "_PAGE_SECONDS", -1.0)
    with pytest.raises(stream.TooMuchError, match="takes more than"):
        stream.body(response(b"1"))
