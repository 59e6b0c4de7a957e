"""The way to a Kubernetes API server: where it is, how we trust it, and how we prove who we are."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlencode

import urllib3
from urllib3.response import BaseHTTPResponse

from pydnsk8s.kube.source import SourceError
from pydnsk8s.version import VERSION

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token and the cluster's certificate authority."""

_CONNECT_SECONDS = 5.0
# A watch may be silent for minutes; only the kernel can tell that from a peer which is gone, here within a minute.
_KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


class AccessError(SourceError):
    """The API server cannot be reached as it is described, or the description cannot be read."""


class Access:
    """Sends requests to one API server; safe to use from several threads."""

    def __init__(
        self, url: str, pool: urllib3.PoolManager, credentials: Callable[[], Mapping[str, str]] = dict
    ) -> None:
        parts = urllib3.util.parse_url(url)
        if parts.scheme not in {"http", "https"} or not parts.host:
            raise AccessError(f"not the URL of an API server: {url!r}; expected http://HOST:PORT or https://HOST:PORT")
        self.url = url.rstrip("/")
        self._pool = pool
        self._credentials = credentials

    @classmethod
    def endpoint(cls, url: str, cert: str | None = None, key: str | None = None, ca: str | None = None) -> Access:
        """The server at a URL, with the files of a client certificate and of the authority that signed the server's."""
        for file in filter(None, (cert, key, ca)):
            if not os.access(file, os.R_OK):
                raise AccessError(f"cannot read {file}")
        return cls(url, _pool(cert, key, ca))

    @classmethod
    def in_cluster(cls, account: Path = SERVICE_ACCOUNT, environ: Mapping[str, str] = os.environ) -> Access:
        """The server of the cluster that this pod runs in, as the pod's service account."""
        # Written out, because importing the kubernetes package for it takes 35 MB and a third of a second.
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
        if not host or not port:
            raise AccessError("not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
        ca, token = account / "ca.crt", account / "token"
        if not os.access(ca, os.R_OK):
            raise AccessError(f"cannot read {ca}")

        def credentials() -> Mapping[str, str]:
            # The kubelet replaces the token about every hour; requests are rare enough to read it for each.
            try:
                return {"Authorization": f"Bearer {token.read_text('ascii').strip()}"}
            except (OSError, UnicodeDecodeError) as error:
                raise AccessError(f"cannot read {token}: {error}") from None

        credentials()
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        return cls(url, _pool(ca=str(ca)), credentials)

    @classmethod
    def kubeconfig(cls, file: Path, context: str | None = None) -> Access:
        """The server and the user of a kubeconfig's context, or of its current one."""
        from kubernetes.client import Configuration
        from kubernetes.client.rest import RESTClientObject
        from kubernetes.config import ConfigException, load_kube_config

        settings = Configuration()
        settings.socket_options = _KEEP_ALIVE
        try:
            load_kube_config(  # type: ignore[no-untyped-call]  # kubernetes types its models only
                str(file), context, settings, persist_config=False
            )
        except (ConfigException, OSError, ValueError) as error:
            raise AccessError(f"cannot use {file}: {error}") from None

        def credentials() -> Mapping[str, str]:
            try:
                value = settings.get_api_key_with_prefix("BearerToken", "authorization")
            except (ConfigException, OSError, ValueError) as error:
                raise AccessError(f"cannot renew the credentials of {file}: {error}") from None
            return {"Authorization": value} if value else {}

        return cls(settings.host, RESTClientObject(settings).pool_manager, credentials)

    def get(self, path: str, parameters: Mapping[str, str], silence: float) -> BaseHTTPResponse:
        """The response to a GET, its body unread; ``silence`` is how many seconds without a byte are too many.

        Raises AccessError for missing credentials, urllib3.exceptions.HTTPError for everything on the way.
        """
        return self._pool.request(
            "GET",
            f"{self.url}{path}?{urlencode(parameters)}",
            headers={"Accept": "application/json", "User-Agent": f"pydnsk8s/{VERSION}", **self._credentials()},
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=silence),
            preload_content=False,
            retries=False,
            redirect=False,
        )


def _pool(cert: str | None = None, key: str | None = None, ca: str | None = None) -> urllib3.PoolManager:
    # One connection for each kind that is followed.
    return urllib3.PoolManager(maxsize=5, socket_options=_KEEP_ALIVE, cert_file=cert, key_file=key, ca_certs=ca)
