"""The checks a target has to pass: a TCP connection, an HTTP page, a DNS answer."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import h11

from pydnsk8s import codes, names
from pydnsk8s.upstream import Address, Unanswered
from pydnsk8s.upstream.outstanding import reason
from pydnsk8s.version import VERSION

from .health import Finding
from .lookups import ask

_MOST_BODY = 64 * 1024
_MOST_HEADER = 16 * 1024
_CHUNK = 16 * 1024
# What is wrong with us and tells nothing of the target.
_OURS = frozenset(
    (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.ENETDOWN)
)


class FailedError(Exception):
    """Why a target has not passed a check."""


class Check(Protocol):
    """One thing a target has to do; equal ones ask the same of it."""

    @property
    def kind(self) -> str:
        """Its name in the Corefile."""

    async def run(self, address: str, seconds: float) -> None:
        """Return if the target passes; FailedError or OSError tell why it does not."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address and what it has to pass."""

    address: bytes
    checks: tuple[Check, ...]

    @property
    def kind(self) -> str:
        return "+".join(dict.fromkeys(check.kind for check in self.checks))

    def __str__(self) -> str:
        return address_text(self.address)

    async def look(self, seconds: float) -> Finding:
        """Run the checks until one fails."""
        for check in self.checks:
            try:
                async with asyncio.timeout(seconds):
                    await check.run(str(self), seconds)
            except TimeoutError:
                return Finding(False, f"{check}: no answer within {seconds:g} s")
            except FailedError as error:
                return Finding(False, f"{check}: {error}")
            except OSError as error:
                return _failed(check, error)
        return Finding(True)


def _failed(check: Check, error: OSError) -> Finding:
    if isinstance(error, ssl.SSLError) or not error.errno:
        return Finding(False, f"{check}: {reason(error)}")
    return Finding(None if error.errno in _OURS else False, f"{check}: {os.strerror(error.errno).lower()}")


def address_text(address: bytes) -> str:
    """A packed address in text."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


@dataclass(frozen=True, slots=True)
class Tcp:
    """Takes connections."""

    port: int
    kind = "tcp"

    def __str__(self) -> str:
        return f"tcp {self.port}"

    async def run(self, address: str, seconds: float) -> None:
        """Connect, and hang up."""
        _, writer = await asyncio.open_connection(address, self.port)
        writer.close()


@dataclass(frozen=True, slots=True)
class Dns:
    """Has records of a name."""

    name: bytes
    type: int
    port: int = 53
    kind = "dns"

    def __str__(self) -> str:
        return f"dns {names.text(self.name)} {codes.type_name(self.type)}"

    async def run(self, address: str, seconds: float) -> None:
        """Ask; an answer without such a record does not pass."""
        try:
            rcode, answer = await ask(Address("dns", address, self.port), self.name, self.type, seconds)
        except Unanswered as error:
            raise FailedError(str(error)) from None
        if rcode != codes.NOERROR:
            raise FailedError(codes.rcode_name(rcode))
        if not any(record.type == self.type for record in answer):
            raise FailedError("no such record")


@dataclass(frozen=True, slots=True)
class Http:
    """Shows a page; redirects are not followed."""

    kind: str
    """``http`` or ``https``."""
    path: str
    port: int
    host: str
    """The name asked for, which a certificate has to prove."""
    least: int = 200
    most: int = 399
    body: re.Pattern[bytes] | None = None
    """What has to be found in the first 64 KiB of the page."""
    proven: bool = True
    """Whether the certificate must be good."""
    authorities: str = ""
    """Certificates, in PEM form, of those trusted; the system's if empty."""

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"

    async def run(self, address: str, seconds: float) -> None:
        """Get the page."""
        tls = context(self.proven, self.authorities) if self.kind == "https" else None
        reader, writer = await asyncio.open_connection(
            address, self.port, ssl=tls, server_hostname=self.host if tls else None
        )
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEADER)
        try:
            writer.write(connection.send(self._request()) or b"")
            writer.write(connection.send(h11.EndOfMessage()) or b"")
            await self._judge(connection, reader)
        finally:
            writer.transport.abort()  # close() would wait for the other side to end TLS

    def _request(self) -> h11.Request:
        usual = self.port == (443 if self.kind == "https" else 80)
        headers = [
            ("Host", self.host if usual else f"{self.host}:{self.port}"),
            ("User-Agent", f"pydnsk8s/{VERSION}"),
            ("Accept", "*/*"),
            ("Connection", "close"),
        ]
        return h11.Request(method="GET", target=self.path, headers=headers)

    async def _judge(self, connection: h11.Connection, reader: asyncio.StreamReader) -> None:
        try:
            response = await self._next(connection, reader)
            while isinstance(response, h11.InformationalResponse):
                response = await self._next(connection, reader)
            if not isinstance(response, h11.Response):
                raise FailedError("no HTTP response")
            self._judge_status(response.status_code)
            if self.body is not None:
                await self._judge_body(self.body, connection, reader)
        except h11.RemoteProtocolError as error:
            raise FailedError(f"not HTTP: {error}") from None

    async def _judge_body(
        self, wanted: re.Pattern[bytes], connection: h11.Connection, reader: asyncio.StreamReader
    ) -> None:
        page = bytearray()
        while len(page) < _MOST_BODY and isinstance(data := await self._next(connection, reader), h11.Data):
            page += data.data
        if wanted.search(bytes(page[:_MOST_BODY])) is None:
            raise FailedError("the page does not have what is looked for")

    async def _next(self, connection: h11.Connection, reader: asyncio.StreamReader) -> object:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await reader.read(_CHUNK))
        return event

    def _judge_status(self, status: int) -> None:
        if not self.least <= status <= self.most:
            raise FailedError(f"status {status}")


@lru_cache(64)
def context(proven: bool, authorities: str) -> ssl.SSLContext:
    """How to know a target by its certificate; ssl.SSLError for authorities that are no certificates."""
    if not proven:
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname = False
        blind.verify_mode = ssl.CERT_NONE
        return blind
    return ssl.create_default_context(cadata=authorities or None)
