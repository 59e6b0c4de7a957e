"""A login at an API server: where that is, how we trust it, and what proves who we are."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import urllib3

from pydnsk8s.kube.source import SourceError

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


def read_token(file: Path) -> Mapping[str, str]:
    """The header that shows the bearer token in a file; AccessError if there is none."""
    try:
        token = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(f"cannot read {file}: {error}") from None
    return bearing(f"Bearer {token}" if token else "", str(file))


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
