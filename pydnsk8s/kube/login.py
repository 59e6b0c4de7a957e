"""A login at an API server: where that is, how we trust it, and what proves who we are."""

from __future__ import annotations

import logging
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import urllib3

from pydnsk8s.kube.source import SourceError

_log = logging.getLogger("pydnsk8s.kube")

# A watch may be silent for minutes; only the kernel can tell that from a peer which is gone, here within a minute.
KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]
_SPARE = 64  # idle connections; each list and each watch needs one


class AccessError(SourceError):
    """The API server cannot be reached as it is described, or the description cannot be read."""


class Login(NamedTuple):
    """Where to go, and as whom."""

    url: str
    pool: urllib3.PoolManager
    headers: Callable[[], Mapping[str, str]] = dict
    """What proves to the server who asks; read for each request, because tokens are replaced all the time."""
    who: str = "without credentials"
    """In words for the log."""


def pool(cert: str | None = None, key: str | None = None, ca: str | None = None) -> urllib3.PoolManager:
    """Connections to servers whose certificate this authority signed; the files are read at each connecting."""
    return urllib3.PoolManager(maxsize=_SPARE, socket_options=KEEP_ALIVE, cert_file=cert, key_file=key, ca_certs=ca)


class TokenFile:
    """A file with a bearer token, which somebody else replaces from time to time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._last: Mapping[str, str] | None = None

    def headers(self) -> Mapping[str, str]:
        """The header that shows the token to the server; AccessError if there never was one."""
        try:
            self._last = self._read()
        except AccessError as error:
            # In the middle of being replaced, as a rule: the former token is good until the server refuses it.
            if self._last is None:
                raise
            _log.warning("%s; going on with the token it held before", error)
        return self._last

    def _read(self) -> Mapping[str, str]:
        try:
            token = self._file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AccessError(f"cannot read {self._file}: {error}") from None
        return bearing(f"Bearer {token}" if token else "", str(self._file))


def bearing(value: str, source: str) -> Mapping[str, str]:
    """The header that shows a token to the server; AccessError, which names the source and not the token, for none."""
    if not value or not (value.isascii() and value.isprintable()):
        raise AccessError(f"{source}: expected a token, found {'what cannot be one' if value else 'nothing'}")
    return {"Authorization": value}


def check_certificates(cert: str | None = None, key: str | None = None, ca: str | None = None) -> None:
    """Raise AccessError, which names the file, for certificates and keys that cannot be used."""
    for file in filter(None, (cert, key, ca)):
        if not os.access(file, os.R_OK):
            raise AccessError(f"cannot read {file}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca:
            context.load_verify_locations(ca)
    except OSError as error:
        raise AccessError(f"{ca}: expected the certificates of an authority (PEM): {_words(error)}") from None
    try:
        if cert:
            # Without a password at hand the library would ask for one at the terminal.
            context.load_cert_chain(cert, key, password=lambda: "")
    except OSError as error:
        raise AccessError(f"{cert}, {key}: expected a certificate and its key (PEM): {_words(error)}") from None


def _words(error: OSError) -> str:
    return getattr(error, "reason", "") or error.strerror or str(error)
