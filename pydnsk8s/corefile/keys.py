"""The keys of a server block: ``[SCHEME://]ZONE[:PORT]``, a zone being a name or an address prefix."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pydnsk8s import names

from .problem import CorefileError
from .tokens import SPACE, Token

SCHEMES = ("dns", "tls", "quic", "grpc", "https", "https3")
_ODD = re.compile(rf'[{SPACE},{{}}()"]')  # legal in a name, but here always a slip of the pen
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Key:
    """One zone, or the reverse zones of one address prefix, and where to serve it."""

    scheme: str
    zones: tuple[bytes, ...]
    port: int | None
    """As written; 0 asks the system for a free one."""
    text: str
    token: Token = field(compare=False)


def read(text: str, token: Token) -> Key:
    """The key that the text is; raises CorefileError at the token that holds it."""
    scheme, separator, rest = text.rpartition("://")
    if separator and scheme.lower() not in SCHEMES:
        raise _wrong(token, f"unknown scheme '{scheme}://'", f"known are {', '.join(SCHEMES)}")
    if odd := _ODD.search(text):
        raise _wrong(token, f"a key cannot hold {odd[0]!r}: '{text}'", _ODD_HINTS.get(odd[0], ""))
    zone, port = _split(rest, token)
    if not zone:
        raise _wrong(token, f"the key '{text}' has no zone", f"write '.' or '.:{port or 53}' to serve every name")
    try:
        zones = names.zones(zone)
    except ValueError as error:
        raise _wrong(token, str(error)) from None
    return Key(scheme.lower() or "dns", zones, port, text, token)


_ODD_HINTS = {
    ",": "put a space after the comma between two keys",
    "{": "put a space before '{'; an environment variable is written {$NAME}",
    "(": "a snippet's name stands alone: (name) {",
    ")": "a snippet's name stands alone: (name) {",
    " ": "a quoted word or the value of an environment variable is a single key",
}


def _split(text: str, token: Token) -> tuple[str, int | None]:
    """The zone and the port; only a number behind the last colon is a port, for prefixes have colons too."""
    zone, colon, port = text.rpartition(":")
    if not colon:
        return text, None
    if not port:
        raise _wrong(token, f"expected a port after the last colon: '{text}'")
    if re.fullmatch("[0-9]{1,9}", port) and (":" not in zone or "/" in zone):
        if int(port) > _HIGHEST_PORT:
            raise _wrong(token, f"expected a port from 0 to {_HIGHEST_PORT}, found {port}")
        return zone, int(port)
    if "/" in port:
        return text, None
    if ":" in zone and "/" not in zone:
        raise _wrong(token, f"not a zone: '{text}'", "an address needs a prefix length, such as /64")
    raise _wrong(token, f"expected a port after the last colon, found '{port}'")


def _wrong(token: Token, message: str, hint: str = "") -> CorefileError:
    return CorefileError(token.problem(message, hint))
