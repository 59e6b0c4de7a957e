"""The way to a Kubernetes API server: requests that log in, and log in anew when they are not let in any more."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlencode

import urllib3
from urllib3.response import BaseHTTPResponse

from pydnsk8s.kube import measures
from pydnsk8s.kube.login import AccessError, Login, TokenFile, check_certificates, pool
from pydnsk8s.version import VERSION

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token and the cluster's certificate authority."""

_CONNECT_SECONDS = 5.0


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
        ca, file = str(account / "ca.crt"), account / "token"
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

        def log_in() -> Login:
            check_certificates(ca=ca)
            token = TokenFile(file)
            token.headers()  # none is an error at once
            return Login(url, pool(ca=ca), token.headers, f"with the token in {file}")

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
        # The credentials, or the authority, may have been replaced since they were read. If not, the second answer is
        # the same.
        try:
            response = self._ask(login, path, parameters, silence)
        except urllib3.exceptions.SSLError:
            return self._ask(self._renewed(login), path, parameters, silence)
        if response.status == 401:
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
