"""``pydnsk8s etcd``: what is put is there, what is wrong is refused, what is shown is a zone file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pydnsk8s.cli import main

from .servers import Cluster, Tls, running

pytestmark = pytest.mark.peer


class Shell:
    """The command line, beside an event loop that keeps etcd running."""

    def __init__(self, etcd: Cluster) -> None:
        self.etcd = etcd

    def run(self, *words: str, **environment: str) -> Result:
        result = CliRunner().invoke(
            main, ["etcd", *words], env={"ETCD_URLS": self.etcd.access.endpoints[0], **environment}
        )
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def prints(self, *words: str) -> str:
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.output

    def refuses(self, *words: str) -> str:
        result = self.run(*words)
        assert result.exit_code != 0, result.output
        return result.output


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    runner = asyncio.Runner()
    context = running(tmp_path)
    etcd = runner.run(context.__aenter__())
    yield Shell(etcd)
    runner.run(context.__aexit__(None, None, None))
    runner.close()


PUT = [
    ("www.example.org A 192.0.2.1", "www.example.org. 300 A 192.0.2.1 ; /skydns/org/example/www/"),
    ("www.Example.org AAAA 2001:DB8::1", "www.example.org. 300 AAAA 2001:db8::1 ; /skydns/org/example/www/"),
    ("shop.example.org CNAME www.example.org.", "shop.example.org. 300 CNAME www.example.org. ; /skydns/org/example/"),
    ("example.org MX 5 www.example.org", "example.org. 300 MX 5 www.example.org. ; /skydns/org/example/"),
    ("_s._tcp.example.org SRV 1 2 3 a.example.org", "_s._tcp.example.org. 300 SRV 1 2 3 a.example.org. ; /skydns/"),
    ("example.org TXT -all of it", 'example.org. 300 TXT "-all of it" ; /skydns/org/example/'),
    (
        "192.0.2.1 PTR www.example.org",
        "1.2.0.192.in-addr.arpa. 300 PTR www.example.org. ; /skydns/arpa/in-addr/192/0/2/1",
    ),
    ("*.apps.example.org A 192.0.2.9", "*.apps.example.org. 300 A 192.0.2.9 ; /skydns/org/example/apps/*/"),
    ("example.org NS 192.0.2.53", "example.org. 300 NS ns.dns.example.org. ; /skydns/org/example/dns/ns/"),
]


def test_what_is_put_is_shown_with_its_key(shell: Shell) -> None:
    for words, shown in PUT:
        assert shell.prints("put", *words.split()).startswith(shown)
    listed = shell.prints("list")
    for _, shown in PUT:
        assert shown in listed
    assert "in-addr" not in shell.prints("list", "example.org")
    assert len(shell.prints("get", "www.example.org").splitlines()) == 2
    assert len(shell.prints("get", "www.example.org", "AAAA").splitlines()) == 1
    assert shell.refuses("get", "nothing.example.org") == ""


def test_the_same_record_is_written_once(shell: Shell) -> None:
    shell.prints("put", "www.example.org", "A", "192.0.2.1")
    shell.prints("put", "www.example.org", "A", "192.0.2.1", "--ttl", "60")
    shell.prints("put", "www.example.org", "A", "192.0.2.2")
    assert [line.split()[1] for line in shell.prints("get", "www.example.org").splitlines()] in (
        ["60", "300"],
        ["300", "60"],
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("www.example.org", "A", "2001:db8::1"), "not an IPv4 address: '2001:db8::1'"),
        (("www.example.org", "A", "192.0.2.1", "192.0.2.2"), "expected: A ADDRESS"),
        (("www.example.org", "AAAA", "fe80::1%eth0"), "not an IPv6 address"),
        (("www.example.org", "CNAME", "192.0.2.1"), "not a host name: '192.0.2.1'"),
        (("www.example.org", "CNAME", "a b"), "not a host name: 'a b'"),
        (("www.example.org", "CNAME", "a..b"), "an empty label"),
        (("www.example.org", "MX", "0", "a.example.org"), "preference: expected a whole number from 1 to 65535"),
        (("www.example.org", "SRV", "1", "2", "x", "a.example.org"), "port: expected a whole number"),
        (("www..org", "A", "192.0.2.1"), "an empty label"),
        (("a/b.example.org", "A", "192.0.2.1"), "a label with a slash or a NUL has no key"),
        (("www.example.org", "HINFO", "x"), "'HINFO' is not one of"),
        (("www.example.org", "TXT", "x" * 60_001), "at most 60000 octets"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(words: tuple[str, ...], complaint: str) -> None:
    result = CliRunner().invoke(main, ["etcd", "put", *words], env={"ETCD_URLS": "http://127.0.0.1:1"})
    assert result.exit_code != 0
    assert complaint in result.output


def test_an_alias_is_refused_beside_anything_else(shell: Shell) -> None:
    shell.prints("put", "www.example.org", "A", "192.0.2.1")
    shell.prints("put", "shop.example.org", "CNAME", "www.example.org")
    assert "an alias has nothing beside it" in shell.refuses("put", "www.example.org", "CNAME", "shop.example.org")
    assert "an alias has nothing beside it" in shell.refuses("put", "shop.example.org", "A", "192.0.2.1")
    assert "an alias has nothing beside it" in shell.refuses("put", "shop.example.org", "CNAME", "a.example.org")
    shell.prints("put", "shop.example.org", "CNAME", "www.example.org", "-ttl", "5")
    shell.prints("put", "below.shop.example.org", "A", "192.0.2.1")


def test_records_are_deleted_by_name_type_and_value(shell: Shell) -> None:
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        shell.prints("put", "www.example.org", "A", address)
    shell.prints("put", "www.example.org", "TXT", "note")
    shell.prints("put", "below.www.example.org", "A", "192.0.2.1")
    assert "192.0.2.2" in shell.prints("delete", "www.example.org", "A", "192.0.2.2")
    assert shell.refuses("delete", "www.example.org", "A", "192.0.2.2") == ""
    assert len(shell.prints("delete", "www.example.org", "a").splitlines()) == 2
    assert "note" in shell.prints("delete", "www.example.org", "TXT", "note")
    assert len(shell.prints("list").splitlines()) == 1


def test_keys_by_other_hands_are_shown_for_what_they_are(shell: Shell) -> None:
    async def write() -> None:
        await shell.etcd.put(
            {
                "/skydns/org/example/a/x": '{"host":"192.0.2.1","text":"both","targetstrip":1}',
                "/skydns/org/example/b": "{",
                "/skydns/org/example/c": "{}",
                "/skydns/org/example//d": "{}",
                "/skydns/org/example/ab": '{"host":"192.0.2.1"}',
            }
        )

    asyncio.run(write())
    listed = shell.prints("list", "example.org")
    assert "; /skydns/org/example/b is skipped: " in listed
    assert "; /skydns/org/example/c makes no record" in listed
    assert "; /skydns/org/example//d is skipped: the key has an empty segment" in listed
    assert len(shell.prints("get", "a.example.org").splitlines()) == 2
    assert "type ANY deletes them all" in shell.refuses("delete", "a.example.org", "TXT")
    shell.prints("delete", "a.example.org", "ANY")
    assert shell.refuses("get", "a.example.org") == ""


def test_a_dead_endpoint_is_passed_over_and_all_dead_are_named(shell: Shell) -> None:
    alive = shell.etcd.access.endpoints[0]
    shell.prints("--endpoint", f"http://127.0.0.1:1, {alive}", "put", "www.example.org", "A", "192.0.2.1")
    assert "http://127.0.0.1:1: " in shell.refuses("--endpoint", "http://127.0.0.1:1", "list")
    assert "not an etcd endpoint" in shell.refuses("--endpoint", "ftp://x", "list")


def test_another_path_and_other_ways_in(tmp_path: Path) -> None:
    tls = Tls(tmp_path)

    async def scenario() -> None:
        async with running(tmp_path, tls=tls, client_certificates=True) as etcd:
            files = {"ETCD_CA_FILE": str(tls.ca), "ETCD_CERT_FILE": str(tls.cert), "ETCD_KEY_FILE": str(tls.key)}
            result = await asyncio.to_thread(
                Shell(etcd).run, "--path", "zones", "put", "www.example.org", "A", "192.0.2.1", **files
            )
            assert "/zones/org/example/www/" in result.output

    asyncio.run(scenario())
