"""The form of a line in the query log: text with placeholders such as ``{name}`` and ``{>id}``."""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from pydnsk8s import codes, names
from pydnsk8s.log import escape
from pydnsk8s.message import Client
from pydnsk8s.response import classify, kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydnsk8s.message import Seen

COMMON = (
    '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" '
    "{rcode} {>rflags} {rsize} {duration}"
)
COMBINED = COMMON + ' "{>opcode}"'
EMPTY = "-"
"""Stands for what is not known."""

_PLACEHOLDER = re.compile(r"(\{[^{}]*\})")


class Line:
    """A form, taken apart once."""

    def __init__(self, form: str) -> None:
        form = form.replace("{common}", COMMON).replace("{combined}", COMBINED)
        pieces = _PLACEHOLDER.split(form)
        self._template = "%s".join(piece.replace("%", "%%") for piece in pieces[::2])
        self._values = tuple(_value(placeholder[1:-1]) for placeholder in pieces[1::2])

    def write(self, seen: Seen) -> str:
        """The line for one query."""
        return self._template % tuple([value(seen) for value in self._values])


def _value(placeholder: str) -> Callable[[Seen], str]:
    if placeholder in _VALUES:
        return _VALUES[placeholder]
    if placeholder.startswith("/"):
        return partial(_label, placeholder[1:])
    return lambda _: EMPTY


def _label(label: str, seen: Seen) -> str:
    value = seen.query.labels.get(label)
    # Metadata may come from the network: it must not end the line.
    return escape(value()) or EMPTY if value is not None else EMPTY


@lru_cache(4096)
def _host(address: bytes) -> str:
    text = Client(address, 0).text
    return f"[{text}]" if ":" in text else text


def _buffer_size(seen: Seen) -> str:
    query = seen.query
    if query.client.transport != "udp":
        return "65535"
    return str(max(512, query.edns.size)) if query.edns else "512"


def _flags(seen: Seen) -> str:
    return ",".join(flag for flag, bit in _FLAGS.items() if seen.flags & bit)


_FLAGS = {
    "qr": codes.QR,
    "aa": codes.AA,
    "tc": codes.TC,
    "rd": codes.RD,
    "ra": codes.RA,
    "ad": codes.AD,
    "cd": codes.CD,
}

_VALUES: dict[str, Callable[[Seen], str]] = {
    "type": lambda seen: codes.type_name(seen.query.type),
    "name": lambda seen: names.text(seen.query.name),
    "class": lambda seen: codes.class_name(seen.query.klass),
    "proto": lambda seen: seen.query.client.transport,
    "remote": lambda seen: _host(seen.query.client.address),
    "local": lambda seen: _host(seen.query.client.local),
    "port": lambda seen: str(seen.query.client.port),
    "size": lambda seen: str(seen.query.size),
    "rsize": lambda seen: str(seen.size),
    "rcode": lambda seen: codes.rcode_name(seen.reply.rcode),
    "duration": lambda seen: f"{seen.seconds:.9f}s",
    ">rflags": _flags,
    ">bufsize": _buffer_size,
    ">do": lambda seen: "true" if seen.query.do else "false",
    ">id": lambda seen: str(seen.query.id),
    ">opcode": lambda seen: str(seen.query.opcode),
    "/log/class": lambda seen: classify(kind(seen.query, seen.reply)),
    "/log/type": lambda seen: kind(seen.query, seen.reply),
}
