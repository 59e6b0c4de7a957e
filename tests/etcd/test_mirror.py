"""A tree follows real etcd servers: through restarts, compactions, logins and the loss of members."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pydnsk8s import names
from pydnsk8s.etcd.access import Access, EtcdError
from pydnsk8s.etcd.client import Client
from pydnsk8s.etcd.mirror import Mirror
from pydnsk8s.etcd.tree import Tree
from tests.kube.until import until

from .servers import Cluster, Member, Tls, running

pytestmark = pytest.mark.peer

ZONE = names.parse("example.org")


def value(address: str) -> str:
    return json.dumps({"host": address, "targetstrip": 1})


@asynccontextmanager
async def mirrored(access: Access, prefix: bytes = b"/skydns/") -> AsyncIterator[tuple[Tree, Mirror]]:
    tree = Tree((ZONE,), prefix)
    mirror = Mirror(access, tree)
    await mirror.start(10)
    try:
        yield tree, mirror
    finally:
        await mirror.stop()


def held(tree: Tree) -> dict[str, str]:
    """The first labels in the tree with their addresses."""
    return {
        value.owner.rpartition(b"/")[2].decode(): ".".join(map(str, value.host))
        for value in tree.below(b"org/example", set())
    }


async def test_what_is_there_is_listed_and_what_changes_is_followed(tmp_path: Path) -> None:
    async with running(tmp_path) as etcd:
        await etcd.put({f"/skydns/org/example/h{at}/x": value("192.0.2.1") for at in range(3)})
        await etcd.put({"/skydns/net/example/h/x": value("192.0.2.1"), "/skydnsx/org/example/h9/x": value("192.0.2.9")})
        async with mirrored(etcd.access) as (tree, mirror):
            assert tree.synced
            assert held(tree) == {"h0": "192.0.2.1", "h1": "192.0.2.1", "h2": "192.0.2.1"}
            await etcd.put(
                {"/skydns/org/example/h1/x": value("192.0.2.2"), "/skydns/org/example/h3/x": value("192.0.2.3")}
            )
            await etcd.delete("/skydns/org/example/h0/x")
            await until(lambda: held(tree) == {"h1": "192.0.2.2", "h2": "192.0.2.1", "h3": "192.0.2.3"})
            assert mirror.trouble == ""


async def test_a_long_list_comes_in_pages_that_show_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydnsk8s.etcd.mirror._PAGE", 7)
    async with running(tmp_path) as etcd:
        await etcd.put({f"/skydns/org/example/h{at:02}/x": value("192.0.2.1") for at in range(50)})
        async with mirrored(etcd.access) as (tree, _):
            assert len(tree) == 50


async def test_a_value_larger_than_grpc_would_take_is_read(tmp_path: Path) -> None:
    async with running(tmp_path) as etcd:
        text = json.dumps({"text": "x" * 1_000_000})
        await etcd.put({f"/skydns/org/example/t{at}": text for at in range(5)})
        await etcd.put({"/skydns/org/example/h/x": value("192.0.2.1")})
        async with mirrored(etcd.access) as (tree, _):
            assert held(tree)["h"] == "192.0.2.1"
            assert len(tree.faults) == 5


async def test_what_changed_while_etcd_was_away_or_compacted_is_made_up_for(tmp_path: Path) -> None:
    async with running(tmp_path) as etcd:
        (member,) = etcd.members
        await etcd.put({f"/skydns/org/example/h{at}/x": value("192.0.2.1") for at in range(3)})
        async with mirrored(etcd.access) as (tree, mirror):
            member.kill()
            await until(lambda: bool(mirror.trouble))
            assert len(held(tree)) == 3
            assert tree.synced
            # A server of its own on the same data, so that the mirror cannot see what happens.
            other = Cluster([Member(member.name, tmp_path)])
            other.members[0].peer = member.peer
            other.start(other.members[0])
            await other.answers()
            await other.delete("/skydns/org/example/h0/x")
            revision = await other.put({f"/skydns/org/example/h{at}/x": value("192.0.2.2") for at in (1, 4)})
            await other.gateway("kv/compaction", revision=revision)
            other.members[0].kill()
            etcd.start(member)
            await until(lambda: held(tree) == {"h1": "192.0.2.2", "h2": "192.0.2.1", "h4": "192.0.2.2"})
            await until(lambda: mirror.trouble == "")


async def test_a_cluster_set_up_anew_is_listed_anew(tmp_path: Path) -> None:
    async with running(tmp_path) as etcd:
        (member,) = etcd.members
        await etcd.put({f"/skydns/org/example/h{at}/x": value("192.0.2.1") for at in range(9)})
        async with mirrored(etcd.access) as (tree, _):
            member.kill()
            member.name = "anew"
            etcd.start(member)
            await etcd.put({"/skydns/org/example/new/x": value("192.0.2.2")})
            await until(lambda: held(tree) == {"new": "192.0.2.2"})


async def test_a_dead_endpoint_is_passed_over(tmp_path: Path) -> None:
    async with running(tmp_path) as etcd:
        await etcd.put({"/skydns/org/example/h/x": value("192.0.2.1")})
        async with mirrored(Access(("http://127.0.0.1:1", *etcd.access.endpoints))) as (tree, _):
            assert held(tree) == {"h": "192.0.2.1"}


async def test_the_start_does_not_wait_for_an_etcd_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(5), mirrored(Access(("http://127.0.0.1:1",))) as (tree, mirror):
        assert not tree.synced
        assert "127.0.0.1:1" in mirror.trouble
        assert "serving nothing yet" in caplog.text


async def test_leases_are_asked_about(tmp_path: Path) -> None:
    async with running(tmp_path) as etcd:
        lease = await etcd.lease(600)
        await etcd.put({"/skydns/org/example/h/x": value("192.0.2.1")}, lease)
        async with mirrored(etcd.access) as (tree, _):
            await until(lambda: 500 < tree.leases.left(lease) <= 600)
            await etcd.gateway("lease/revoke", ID=lease)
            await until(lambda: not held(tree))
            assert len(tree.leases) == 0


async def test_tls_with_a_private_authority(tmp_path: Path) -> None:
    tls = Tls(tmp_path)
    async with running(tmp_path, tls=tls) as etcd:
        await etcd.put({"/skydns/org/example/h/x": value("192.0.2.1")})
        async with mirrored(etcd.access) as (tree, _):
            assert held(tree) == {"h": "192.0.2.1"}
        async with mirrored(Access(etcd.access.endpoints)) as (tree, mirror):
            assert not tree.synced, "a server that nobody vouches for was trusted"
            assert mirror.trouble


async def test_client_certificates_and_logins_together(tmp_path: Path) -> None:
    tls = Tls(tmp_path)
    async with running(tmp_path, tls=tls, client_certificates=True) as etcd:
        await etcd.put({"/skydns/org/example/h/x": value("192.0.2.1")})
        async with mirrored(etcd.access) as (tree, _):
            assert held(tree) == {"h": "192.0.2.1"}
        async with mirrored(Access(etcd.access.endpoints, ca=tls.ca)) as (tree, _):
            assert not tree.synced, "we came in without a certificate"


async def test_a_login_is_renewed_when_the_users_change(tmp_path: Path) -> None:
    async with running(tmp_path) as etcd:
        await etcd.put({"/skydns/org/example/h/x": value("192.0.2.1")})
        access = Access(etcd.access.endpoints, "dns", "secret")
        async with Client(access, access.endpoints[0]) as client, mirrored(access) as (tree, mirror):
            assert (await client.range(b"/skydns/", b"/skydns0")).kvs, "a login was asked of who needs none"
            token = await etcd.protect("dns", "secret")
            await etcd.gateway("auth/user/add", token, name="somebody", password="else")
            assert (await client.range(b"/skydns/", b"/skydns0")).kvs
            with pytest.raises(EtcdError, match="permission denied"):
                await client.range(b"/other")
            root = Access(etcd.access.endpoints, "root", "root")
            async with Client(root, root.endpoints[0]) as writer:
                await writer.put(b"/skydns/org/example/h/x", value("192.0.2.2").encode())
                await until(lambda: held(tree) == {"h": "192.0.2.2"})
                await etcd.gateway("auth/user/changepw", token, name="dns", password="other")
                etcd.members[0].kill()
                etcd.start(etcd.members[0])
                await etcd.answers(root)
                await until(lambda: "authentication failed" in mirror.trouble)
                assert held(tree) == {"h": "192.0.2.2"}
                token = (await etcd.gateway("auth/authenticate", name="root", password="root"))["token"]
                await etcd.gateway("auth/user/changepw", token, name="dns", password="secret")
                await writer.put(b"/skydns/org/example/h/x", value("192.0.2.3").encode())
                await until(lambda: held(tree) == {"h": "192.0.2.3"})
        assert "secret" not in repr(access)


async def test_members_killed_in_turn_lose_no_change(tmp_path: Path) -> None:
    async with running(tmp_path, members=3) as etcd, mirrored(etcd.access) as (tree, _):
        written: dict[str, str] = {}
        for number, member in enumerate(etcd.members):
            member.kill()
            for at in range(10):
                label, address = f"h{random.randrange(12)}", f"192.0.2.{number * 10 + at + 1}"
                await etcd.put({f"/skydns/org/example/{label}/x": value(address)})
                written[label] = address
            await until(lambda: held(tree) == written)
            etcd.start(member)
            await etcd.answers()
