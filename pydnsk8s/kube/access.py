"""The way to a Kubernetes API server: where it is, how we trust it, and how we prove who we are."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import urllib3
from urllib3.response import BaseHTTPResponse

from pydnsk8s.kube import measures
from pydnsk8s.kube.source import SourceError
from pydnsk8s.version import VERSION

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token and the cluster's certificate authority."""

_CONNECT_SECONDS = 5.0
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


class Access:
    """Sends requests to one API server; safe to use from several threads.

    ``log_in`` reads everything anew. It is called at once, and again whenever the server does not accept us any more.
    """

    def __init__(self, log_in: Callable[[], Login]) -> None:
        self._log_in = log_in
        self._login = log_in()
        self._renewing = threading.Lock()
        parts = urllib3.util.parse_url(self._login.url)
        if parts.scheme not in {"http", "https"} or not parts.host:
            raise AccessError(
                f"not the URL of an API server: {self._login.url!r}; expected http://HOST:PORT or https://HOST:PORT"
            )
        self.host = parts.netloc or ""
        """The server's host and port, for the numbers."""

    @classmethod
    def endpoint(cls, url: str, cert: str | None = None, key: str | None = None, ca: str | None = None) -> Access:
        """The server at a URL, with the files of a client certificate and of the authority that signed the server's."""

        def log_in() -> Login:
            check_certificates(cert, key, ca)
            return Login(url.rstrip("/"), pool(cert, key, ca), who=f"with the certificate {cert}" if cert else "")

        return cls(log_in)

    @classmethod
    def in_cluster(cls, account: Path = SERVICE_ACCOUNT, environ: Mapping[str, str] = os.environ) -> Access:
        """The server of the cluster that this pod runs in, as the pod's service account."""
        # Written out, because importing the kubernetes package for it takes 35 MB and a third of a second.
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
        if not host or not port:
            raise AccessError("not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
        ca, token = str(account / "ca.crt"), account / "token"
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

        def log_in() -> Login:
            check_certificates(ca=ca)
            read_token(token)
            return Login(url, pool(ca=ca), lambda: read_token(token), f"with the token in {token}")

        return cls(log_in)

    @classmethod
    def kubeconfig(cls, file: Path, context: str | None = None) -> Access:
        """The server and the user of a kubeconfig's context, or of its current one."""
        from pydnsk8s.kube.kubeconfig import log_in

        return cls(lambda: log_in(file, context))

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._login.url

    @property
    def who(self) -> str:
        """How we prove who we are, in words for the log."""
        return self._login.who or "without credentials"

    def get(self, path: str, parameters: Mapping[str, str], silence: float) -> BaseHTTPResponse:
        """The response to a GET, its body unread; ``silence`` is how many seconds without a byte are too many.

        Raises AccessError for missing credentials, urllib3.exceptions.HTTPError for everything on the way.
        """
        login = self._login
        response = self._ask(login, path, parameters, silence)
        if response.status == 401:
            # The credentials may have been replaced since they were read. If not, the second answer is the same.
            response.close()
            response = self._ask(self._renewed(login), path, parameters, silence)
        return response

    def _renewed(self, refused: Login) -> Login:
        with self._renewing:
            if self._login is refused:  # else another thread has just been here
                self._login = self._log_in()
            return self._login

    def _ask(self, login: Login, path: str, parameters: Mapping[str, str], silence: float) -> BaseHTTPResponse:
        headers = {"Accept": "application/json", "User-Agent": f"pydnsk8s/{VERSION}", **login.headers()}
        began, code = time.monotonic(), "<error>"
        try:
            response = login.pool.request(
                "GET",
                f"{login.url}{path}?{urlencode(parameters)}",
                headers=headers,
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=silence),
                preload_content=False,
                retries=False,
                redirect=False,
            )
            code = str(response.status)
            return response
        finally:
            measures.count_request(self.host, code, time.monotonic() - began)


def pool(cert: str | None = None, key: str | None = None, ca: str | None = None) -> urllib3.PoolManager:
    """Connections to servers whose certificate this authority signed; the files are read at each connecting."""
    return urllib3.PoolManager(maxsize=_SPARE, socket_options=KEEP_ALIVE, cert_file=cert, key_file=key, ca_certs=ca)


def read_token(file: Path) -> Mapping[str, str]:
    """The header that shows the bearer token in a file; AccessError if there is none."""
    try:
        token = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(f"cannot read {file}: {error}") from None
    if not token or not token.isprintable():
        raise AccessError(f"{file}: expected a token, found {'nothing' if not token else 'more than one line'}")
    return {"Authorization": f"Bearer {token}"}


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
