"""Real etcd servers on free ports: alone or three together, with and without TLS, started, killed and asked things."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from pydnsk8s.etcd.access import Access, EtcdError
from pydnsk8s.etcd.client import Client
from tests.peers.programs import program
from tests.ports import free_port


@dataclass
class Tls:
    """An authority, and files with what it signed."""

    folder: Path
    ca: Path = field(init=False)
    cert: Path = field(init=False)
    key: Path = field(init=False)

    def __post_init__(self) -> None:
        self.ca, self.cert, self.key = (self.folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        leaf = authority.issue_cert("127.0.0.1", "localhost", common_name="root")
        self.cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(self.key)


class Member:
    """One etcd server; it keeps its ports and data when it is started again."""

    def __init__(self, name: str, folder: Path, tls: Tls | None = None, *, client_certificates: bool = False) -> None:
        self.name = name
        self.folder = folder
        self.tls = tls
        self.client_certificates = client_certificates
        scheme = "https" if tls else "http"
        self.endpoint = f"{scheme}://127.0.0.1:{free_port()}"
        self.peer = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, members: Sequence[Member]) -> None:
        cluster = ",".join(f"{member.name}={member.peer}" for member in members)
        words = {
            "name": self.name,
            "data-dir": str(self.folder / self.name),
            "listen-client-urls": self.endpoint,
            "advertise-client-urls": self.endpoint,
            "listen-peer-urls": self.peer,
            "initial-advertise-peer-urls": self.peer,
            "initial-cluster": cluster,
            "heartbeat-interval": "20",
            "election-timeout": "200",
            "log-level": "error",
        }
        if self.tls:
            words |= {"cert-file": str(self.tls.cert), "key-file": str(self.tls.key)}
        if self.tls and self.client_certificates:
            words |= {"client-cert-auth": "true", "trusted-ca-file": str(self.tls.ca)}
        with (self.folder / f"{self.name}.log").open("ab") as log:
            command = [program("etcd"), *(f"--{name}={value}" for name, value in words.items())]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        """End it without a goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def check(self) -> None:
        """An error with its last words if it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            words = (self.folder / f"{self.name}.log").read_text(errors="replace")
            raise AssertionError(f"etcd {self.name} ended with {self._process.returncode}:\n{words[-2000:]}")


@dataclass
class Cluster:
    """Some members, and a way to talk to them."""

    members: list[Member]

    @property
    def access(self) -> Access:
        tls = self.members[0].tls
        endpoints = tuple(member.endpoint for member in self.members)
        if tls is None:
            return Access(endpoints)
        if self.members[0].client_certificates:
            return Access(endpoints, cert=tls.cert, key=tls.key, ca=tls.ca)
        return Access(endpoints, ca=tls.ca)

    def start(self, member: Member) -> None:
        member.start(self.members)

    async def answers(self, access: Access | None = None) -> None:
        """Return once some member answers."""
        async with asyncio.timeout(20):
            while True:
                for member in self.members:
                    member.check()
                for endpoint in self.access.endpoints:
                    try:
                        async with Client(access or self.access, endpoint) as client:
                            await client.header(b"/", b"0")
                            return
                    except EtcdError:
                        await asyncio.sleep(0.02)

    async def put(self, pairs: dict[str, str], lease: int = 0) -> int:
        """Write pairs through whichever member takes them; the last revision."""
        revision = 0
        for key, value in pairs.items():
            revision = await self._write(key, value, lease)
        return revision

    async def _write(self, key: str, value: str, lease: int) -> int:
        async with asyncio.timeout(20):
            while True:
                for endpoint in self.access.endpoints:
                    try:
                        # One that waits for a new leader would keep us.
                        async with Client(self.access, endpoint, 0.5) as client:
                            return await client.put(key.encode(), value.encode(), lease=lease)
                    except EtcdError:
                        await asyncio.sleep(0.02)

    async def delete(self, *keys: str) -> None:
        async with Client(self.access, self.access.endpoints[0]) as client:
            for key in keys:
                await client.delete(key.encode())

    async def gateway(self, path: str, token: str = "", **fields: object) -> dict[str, str]:
        """Ask for what our client does not do, as JSON over HTTP; octets go as base64."""
        return await asyncio.to_thread(self._gateway, path, token, fields)

    def _gateway(self, path: str, token: str, fields: dict[str, object]) -> dict[str, str]:
        member = self.members[0]
        context = ssl.create_default_context(cafile=str(member.tls.ca)) if member.tls else None
        headers = {"Content-Type": "application/json", **({"Authorization": token} if token else {})}
        request = urllib.request.Request(f"{member.endpoint}/v3/{path}", json.dumps(fields).encode(), headers)
        with urllib.request.urlopen(request, timeout=10, context=context) as response:
            answer: dict[str, str] = json.load(response)
            return answer

    async def lease(self, seconds: int) -> int:
        return int((await self.gateway("lease/grant", TTL=seconds))["ID"])

    async def protect(self, user: str, password: str, prefix: str = "/skydns/") -> str:
        """Switch logins on, with root and a user who may read a prefix; root's token."""
        for name, secret in (("root", "root"), (user, password)):
            await self.gateway("auth/user/add", name=name, password=secret)
            await self.gateway("auth/role/add", name=name)
            await self.gateway("auth/user/grant", user=name, role=name)
        permission = {"permType": "READ", "key": encoded(prefix), "range_end": encoded(prefix[:-1] + "0")}
        await self.gateway("auth/role/grant", name=user, perm=permission)
        await self.gateway("auth/enable")
        return (await self.gateway("auth/authenticate", name="root", password="root"))["token"]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@asynccontextmanager
async def running(
    folder: Path, members: int = 1, tls: Tls | None = None, *, client_certificates: bool = False
) -> AsyncIterator[Cluster]:
    """A cluster that answers, until the block ends."""
    cluster = Cluster(
        [Member(f"m{number}", folder, tls, client_certificates=client_certificates) for number in range(members)]
    )
    try:
        for member in cluster.members:
            cluster.start(member)
        await cluster.answers()
        yield cluster
    finally:
        for member in cluster.members:
            member.kill()
