"""What the API server sends, taken apart piece by piece: the lines of a watch, the objects of a list."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct, field
from urllib3.response import BaseHTTPResponse

from pydnsk8s.kube.decode import as_shape

_CHUNK = 1 << 16  # octets; decoding them takes about a millisecond
_MAX_LINE = 8 << 20  # octets of one event; etcd keeps no object over 1.5 MB
_MAX_PAGE = 256 << 20  # octets
_PAGE_SECONDS = 120.0
# Decoding a body in one go stops everything else in the process; this is where it takes two milliseconds.
_LARGE = 1 << 20  # octets

_scan = json.JSONDecoder().raw_decode
_between = re.compile(r"[\s,:]*").match


class TooMuchError(Exception):
    """The server sends more than there is room or time for."""


class ListMeta(Struct, gc=False):
    """At which revision a list was made, and how to ask for the rest of it."""

    resource_version: str = field(default="", name="resourceVersion")
    more: str = field(default="", name="continue")


class _Page(Struct, gc=False):
    metadata: ListMeta
    items: list[Raw] | None = None


def lines(response: BaseHTTPResponse) -> Iterator[list[bytes]]:
    """The lines of a response, as many at a time as have arrived, until it ends."""
    rest: list[bytes] = []
    size = 0
    while chunk := response.read1(_CHUNK):
        first, *whole = chunk.split(b"\n")
        rest.append(first)
        size += len(first)
        if whole:
            yield [b"".join(rest), *whole[:-1]]
            rest, size = [whole[-1]], len(whole[-1])
        if size > _MAX_LINE:
            raise TooMuchError(f"an event of more than {_MAX_LINE} octets")


def body(response: BaseHTTPResponse) -> bytes:
    """The whole of a response."""
    chunks: list[bytes] = []
    size = 0
    end = time.monotonic() + _PAGE_SECONDS
    while chunk := response.read1(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > _MAX_PAGE:
            raise TooMuchError(f"a list of more than {_MAX_PAGE} octets")
        if time.monotonic() > end:
            raise TooMuchError(f"a list that takes more than {_PAGE_SECONDS:.0f} seconds")
    return b"".join(chunks)


class Page:
    """A list's objects, to be iterated over once; msgspec.DecodeError on the way if it is no list."""

    def __init__(self, document: bytes) -> None:
        self._document = document
        self.meta = ListMeta()
        """What the list says of itself; known after the last object."""

    def __iter__(self) -> Iterator[bytes | Raw]:
        if len(self._document) <= _LARGE:
            whole = as_shape(self._document, _Page)
            self.meta = whole.metadata
            yield from whole.items or ()
            return
        # The server did not heed the limit, or the objects are huge.
        try:
            yield from self._scan()
        except (ValueError, IndexError, RecursionError) as error:
            raise msgspec.DecodeError(f"not a list: {error}") from None

    def _scan(self) -> Iterator[bytes]:
        text = self._document.decode("latin-1")  # so that the places in the text are those in the octets
        at = _skip(text, text.index("{") + 1)
        while text[at] != "}":
            name, at = _scan(text, at)
            begin = at = _skip(text, at)
            if name == "items" and text[at] == "[":
                at = _skip(text, at + 1)
                while text[at] != "]":
                    begin = at
                    _, at = _scan(text, at)
                    yield self._document[begin:at]
                    at = _skip(text, at)
                at += 1
            else:
                _, at = _scan(text, at)
                if name == "metadata":
                    self.meta = as_shape(self._document[begin:at], ListMeta)
            at = _skip(text, at)


def _skip(text: str, at: int) -> int:
    found = _between(text, at)
    return found.end() if found else at
