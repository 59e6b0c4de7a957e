"""Two servers as two clusters, each in a network namespace of its own, and the link between them cut."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.peers.programs import PATIENCE, program, said

pytestmark = [pytest.mark.peer, pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")]

ADDRESSES = {"eu": "192.0.2.1", "us": "192.0.2.2"}
COREFILE = """
example.org:1053 {{
    gslb app.example.org {{
        strategy failover
        ttl 1
        cluster eu {eu} primary
        cluster us {us}
        local {own}
        check http / port 8080
        interval 300ms
        timeout 300ms
        fall 2
        retain 1m
    }}
}}
"""


class Cluster:
    """One namespace: its DNS server, its application, and a client."""

    def __init__(self, tag: str, stack: AsyncExitStack) -> None:
        self.tag = tag
        self.space = f"gslb-{tag}-{os.getpid()}"
        self.application: asyncio.subprocess.Process | None = None
        self._stack = stack

    async def run(self, *words: str) -> asyncio.subprocess.Process:
        """A program inside of the namespace, until the test ends."""
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            program("ip"), "netns", "exec", self.space, *words, stdout=quiet, stderr=quiet
        )

        async def end() -> None:
            if process.returncode is None:
                process.terminate()
            await process.wait()

        self._stack.push_async_callback(end)
        return process

    async def answer(self) -> str:
        """The address a client of this cluster is given."""
        words = "+short", "+tries=1", "+timeout=1", "@127.0.0.1", "-p", "1053", "app.example.org"
        return (await said("ip", "netns", "exec", self.space, program("dig"), *words)).strip()

    async def answers(self, wanted: str) -> None:
        """Wait for this answer."""
        found = ""
        try:
            async with asyncio.timeout(PATIENCE):
                while (found := await self.answer()) != wanted:  # noqa: ASYNC110 - it is asked anew each time
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{self.tag} still answers {found!r}, not {wanted!r}") from None


async def ip(*words: str) -> None:
    output = await said("ip", *words)
    assert output == "", output


@asynccontextmanager
async def linked(stack: AsyncExitStack) -> AsyncIterator[dict[str, Cluster]]:
    """Both namespaces, their public addresses on the loopback so that they outlive the link."""
    clusters = {tag: Cluster(tag, stack) for tag in ADDRESSES}
    eu, us = clusters.values()
    made = []
    try:
        for cluster in clusters.values():
            await ip("netns", "add", cluster.space)
            made.append(cluster.space)
            await ip("-n", cluster.space, "link", "set", "lo", "up")
            await ip("-n", cluster.space, "address", "add", f"{ADDRESSES[cluster.tag]}/32", "dev", "lo")
        await ip("-n", eu.space, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", us.space)
        for own, here in ((eu, "198.51.100.1"), (us, "198.51.100.2")):
            await ip("-n", own.space, "address", "add", f"{here}/24", "dev", "wire")
            await link(own, "up")
        await ip("-n", eu.space, "route", "add", f"{ADDRESSES['us']}/32", "via", "198.51.100.2")
        await ip("-n", us.space, "route", "add", f"{ADDRESSES['eu']}/32", "via", "198.51.100.1")
        yield clusters
    finally:
        for space in made:
            await ip("netns", "delete", space)


async def link(cluster: Cluster, state: str) -> None:
    await ip("-n", cluster.space, "link", "set", "wire", state)


def corefile(tag: str, *, peers: bool) -> str:
    words = {
        other: f"peer {address}:1053" if peers and other != tag else address for other, address in ADDRESSES.items()
    }
    return COREFILE.format(own=tag, **words)


async def start(clusters: Sequence[Cluster], folder: Path, *, peers: bool) -> None:
    for cluster in clusters:
        web = "-m", "http.server", "--bind", ADDRESSES[cluster.tag], "8080", "--directory", str(folder)
        cluster.application = await cluster.run(sys.executable, *web)
        file = folder / f"{cluster.tag}.conf"
        file.write_text(corefile(cluster.tag, peers=peers))
        await cluster.run(sys.executable, "-m", "pydnsk8s", "-conf", str(file))


@pytest_asyncio.fixture(params=[True, False], ids=["peers", "addresses"])
async def clusters(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Cluster, Cluster]]:
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(linked(stack))
        eu, us = made.values()
        await start([eu, us], tmp_path, peers=request.param)
        await eu.answers(ADDRESSES["eu"])
        await us.answers(ADDRESSES["eu"])
        yield eu, us


async def test_a_dead_application_is_replaced_in_both_clusters(clusters: tuple[Cluster, Cluster]) -> None:
    eu, us = clusters
    assert eu.application is not None
    eu.application.terminate()
    await eu.answers(ADDRESSES["us"])
    await us.answers(ADDRESSES["us"])


@pytest.mark.parametrize("clusters", [True], indirect=True, ids=["peers"])
async def test_peers_that_lose_their_link_neither_flap_nor_split(clusters: tuple[Cluster, Cluster]) -> None:
    eu, us = clusters
    await link(us, "down")
    seen = set()
    for _ in range(20):
        seen.add((await eu.answer(), await us.answer()))
        await asyncio.sleep(0.1)
    assert seen == {(ADDRESSES["eu"], ADDRESSES["eu"])}
