"""etcd: what can be written in a Corefile, and what is wrong with the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pydnsk8s import StartError, codes, names
from pydnsk8s.plugins.etcd import Etcd
from tests.plugins.blocks import ELSEWHERE, block, elsewhere, errors, plugin, query


@pytest.mark.parametrize(
    "directive",
    [
        "etcd",
        "etcd example.org 192.0.2.0/24",
        "etcd {\n endpoint http://localhost:2379 http://localhost:3379 http://localhost:4379\n}",
        "etcd example.org {\n endpoint localhost:300\n}",
        "etcd {\n endpoint https://[2001:db8::1]:2379\n tls\n}",
        "etcd {\n endpoint http://localhost:2379\n credentials username password\n}",
        "etcd {\n min-lease-ttl 60\n}",
        "etcd {\n max-lease-ttl 1h\n}",
        "etcd {\n min-lease-ttl 120\n max-lease-ttl 7200\n}",
        "etcd {\n path skydns\n fallthrough\n mode subtree\n}",
        "etcd {\n endpoint https://localhost\n tls ca.pem\n}",
        "etcd {\n endpoint localhost\n tls cert.pem key.pem\n}",
        "etcd {\n endpoint localhost\n tls cert.pem key.pem ca.pem\n}",
    ],
)
def test_what_is_understood(directive: str) -> None:
    assert errors(directive) == ""


@pytest.mark.parametrize(
    ("directive", "error"),
    [
        ("etcd {\n endpoints localhost:300\n}", "did you mean 'endpoint'?"),
        ("etcd {\n endpoint\n}", "expected: endpoint URL..."),
        ("etcd {\n endpoint ftp://localhost\n}", "not an etcd endpoint: 'ftp://localhost'"),
        ("etcd {\n endpoint http://localhost:99999\n}", "not an etcd endpoint"),
        ("etcd {\n endpoint http://user@localhost\n}", "not an etcd endpoint"),
        ("etcd {\n credentials username\n}", "expected: credentials USER PASSWORD"),
        ("etcd {\n credentials\n}", "expected: credentials USER PASSWORD"),
        ("etcd {\n tls a b c d\n}", "wrong number of arguments"),
        ("etcd {\n path\n}", "expected: path PATH"),
        ("etcd {\n min-lease-ttl soon\n}", "expected a duration"),
        ("etcd {\n min-lease-ttl 2h\n max-lease-ttl 1h\n}", "min-lease-ttl is longer than max-lease-ttl"),
        ("etcd {\n mode loose\n}", "expected one of subtree, strict"),
        ("etcd a..b", "empty label"),
        ("etcd\netcd", "once per server block"),
    ],
)
def test_what_is_wrong(directive: str, error: str) -> None:
    assert error in errors(directive)


def test_what_has_no_effect_is_warned_of() -> None:
    held = block("etcd {\n stubzones\n upstream 192.0.2.1\n debug\n tls\n}")
    warned = [warning.message.partition(":")[0] for warning in held.warnings]
    assert warned == ["stubzones", "upstream", "debug", "tls"]


@pytest.mark.parametrize(("path", "prefix"), [("/skydns", b"/skydns/"), ("a/b/", b"/a/b/"), ("/", b"/")])
def test_the_path_is_taken_with_and_without_slashes(path: str, prefix: bytes) -> None:
    assert plugin(Etcd, f"etcd {{\n path {path}\n}}").tree.prefix == prefix


def test_the_zones_are_the_blocks_unless_given() -> None:
    assert plugin(Etcd, "etcd", "example.org:0").options.zones == (names.parse("example.org"),)


async def test_certificates_that_cannot_be_read_stop_the_start(tmp_path: Path) -> None:
    etcd = plugin(Etcd, f"etcd {{\n endpoint https://127.0.0.1:1\n tls {tmp_path}/missing.pem\n}}")
    with pytest.raises(StartError, match=r"plugin/etcd: cannot read .*missing\.pem"):
        await etcd.start()


async def test_a_missing_library_is_named_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydnsk8s.etcd.mirror", None)
    with pytest.raises(StartError, match=r"pip install 'pydnsk8s\[etcd\]'"):
        await plugin(Etcd, "etcd").start()


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(plugin(Etcd, "etcd {\n credentials user secret\n}").options)
    error = errors("etcd {\n credentials user secret too many\n}")
    assert "expected: credentials USER PASSWORD" in error
    assert "secret" not in error


async def test_other_classes_are_not_its_business() -> None:
    found = plugin(Etcd, "etcd example.org")
    found.tree.complete()
    assert await found.answer(query("www.example.org", klass=codes.CH), elsewhere) is ELSEWHERE


def test_an_heir_goes_on_with_tree_and_watch() -> None:
    old, new, other = (plugin(Etcd, f"etcd {{\n path {path}\n}}") for path in ("/a", "/a", "/b"))
    assert not new.inherit(old), "the old one was never started"
    old._mirror = object()  # type: ignore[assignment]
    assert new.inherit(old)
    assert new.tree is old.tree
    assert not other.inherit(old)
