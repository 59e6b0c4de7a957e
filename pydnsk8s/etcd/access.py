"""The way to an etcd cluster: its endpoints, how we trust them, and how we prove who we are."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT = "http://localhost:2379"
_PORT = 2379
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class EtcdError(Exception):
    """What etcd or the way to it refused, in words for the operator."""


@dataclass(frozen=True, slots=True)
class Access:
    """Everything needed to reach one cluster."""

    endpoints: tuple[str, ...] = (DEFAULT,)
    """URLs; a bare ``HOST:PORT`` is reached as the others are."""
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    """Whether endpoints without a scheme are reached over TLS."""
    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    """The authority that signed the servers' certificates; those the system trusts if None."""

    def target(self, endpoint: str) -> str:
        """An endpoint as gRPC names it."""
        return address(endpoint)[1]

    def encrypted(self, endpoint: str) -> bool:
        """Whether the endpoint is reached over TLS."""
        scheme, _ = address(endpoint)
        return scheme == "https" or (not scheme and self.tls)

    def certificates(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """The authority's certificate, our key and our certificate, as they are on disk now.

        They are read for each connection: whoever renews them need not tell us. EtcdError for what cannot be read.
        """
        return _read(self.ca) if self.ca else _trusted(), _read(self.key), _read(self.cert)


def address(endpoint: str) -> tuple[str, str]:
    """The scheme of an endpoint (empty if it has none) and its ``HOST:PORT``; ValueError for what is not one."""
    complaint = f"not an etcd endpoint: {endpoint!r}; expected http://HOST:PORT, https://HOST:PORT or HOST:PORT"
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(complaint) from None
    rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in ("", "http", "https") or not host or rest:
        raise ValueError(complaint)
    return parts.scheme, f"[{host}]:{port or _PORT}" if ":" in host else f"{host}:{port or _PORT}"


def _read(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        raise EtcdError(f"cannot read {file}: {error.strerror}") from None


def _trusted() -> bytes | None:
    """The authorities this system trusts; None leaves the choice to gRPC, which brings its own list."""
    file = ssl.get_default_verify_paths().cafile
    for candidate in (file, *_BUNDLES):
        if candidate and Path(candidate).is_file():
            return _read(Path(candidate))
    return None
