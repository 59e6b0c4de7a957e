"""Requests for the objects of one scope: refusals in words to act on, and broken off when no longer wanted."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec
from msgspec import Struct
from urllib3.response import BaseHTTPResponse

from pydnsk8s.kube.access import Access
from pydnsk8s.kube.decode import as_shape
from pydnsk8s.kube.resources import Scope

_MAX_STATUS = 64 << 10  # octets


class RefusedError(Exception):
    """The API server answered, but not with what was asked for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status


class Status(Struct, gc=False):
    """How the API server says that something went wrong."""

    code: int = 0
    message: str = ""


class Requests:
    """Asks for one scope, one request at a time; ``cancel`` may be called from another thread."""

    def __init__(self, access: Access, scope: Scope) -> None:
        self.cancelled = threading.Event()
        self._access = access
        self._scope = scope
        self._versions = scope.resource.versions
        self._unknown = 0
        self._response: BaseHTTPResponse | None = None

    @property
    def absent(self) -> bool:
        """Whether the server has said of every version of the resource that it does not know it."""
        return self._unknown >= len(self._versions)

    def cancel(self) -> None:
        """Break off the present request and let no other begin."""
        self.cancelled.set()
        response = self._response
        if response is not None:
            try:
                response.shutdown()
            except (RuntimeError, ValueError, OSError):
                pass  # the response has just ended by itself

    @contextmanager
    def open(self, verb: str, parameters: Mapping[str, str], silence: float) -> Iterator[BaseHTTPResponse]:
        """A response to read from; RefusedError if it is not what was asked for, and what Access.get raises."""
        path = self._scope.path(self._versions[0])
        response = self._access.get(path, {**self._scope.selectors, **parameters}, silence)
        self._response = response
        try:
            # Looked at after the response can be seen by ``cancel``: one of the two notices the other.
            if self.cancelled.is_set():
                raise RefusedError(response.status, "no longer wanted")
            if response.status == 404:
                self._versions = (*self._versions[1:], self._versions[0])
                self._unknown += 1
            if response.status != 200:
                raise RefusedError(response.status, self._why(response, verb))
            self._unknown = 0
            yield response
        finally:
            self._response = None
            response.close()

    def _why(self, response: BaseHTTPResponse, verb: str) -> str:
        try:
            told = as_shape(response.read(_MAX_STATUS), Status).message
        except msgspec.DecodeError:
            told = ""
        told = told or response.reason or ""
        resource, namespace = self._scope.resource.name, self._scope.namespace
        if response.status == 401:
            return f"the API server does not accept us {self._access.who}: {told}"
        if response.status == 403:
            where = f"namespace {namespace}" if namespace else "all namespaces"
            return f"missing RBAC: {verb} {resource} in {where}: {told}"
        if self.absent:
            return f"the server does not know {resource}: {told}"
        return told
