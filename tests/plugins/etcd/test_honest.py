"""etcd: whatever the keys and their changes, no kept reply lies."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydnsk8s import codes, names, testing
from pydnsk8s.etcd.tree import Tree
from pydnsk8s.message import Query
from pydnsk8s.plugins.etcd import Etcd
from tests.plugins.blocks import Alone, plugin

LABELS = ("a", "b", "*", "any")
HOSTS = ("", "192.0.2.1", "192.0.2.2", "2001:db8::1", "a.example.org", "b.a.example.org", "a.example.net")
TOPS = ("org/example", "org/example/dns/ns", "org/example/dns/apex", "arpa/in-addr/192/0/2")
TYPES = ("A", "AAAA", "CNAME", "TXT", "MX", "SRV", "PTR", "NS", "SOA")

keys = st.builds(
    lambda top, labels: "/".join((top, *labels)), st.sampled_from(TOPS), st.lists(st.sampled_from(LABELS), max_size=3)
)
values = st.fixed_dictionaries(
    {"host": st.sampled_from(HOSTS)},
    optional={
        "port": st.sampled_from([-1, 0, 80]),
        "text": st.just("text"),
        "mail": st.booleans(),
        "targetstrip": st.sampled_from([1, 2]),
        "group": st.sampled_from(["", "g", "h"]),
        "ttl": st.sampled_from([5, 60]),
    },
)
documents = values.map(json.dumps) | st.just("?")
changes = st.lists(st.tuples(keys, st.none() | documents), min_size=1, max_size=4)
leases = st.sampled_from([0, 0, 7])


def questions() -> list[Query]:
    asked = [names.parse(name) for name in ("example.org", "1.2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa")]
    for labels in (["a"], ["b"], ["q"], ["*"], ["b", "a"], ["q", "a"], ["any", "a"], ["q", "q", "b"], ["ns", "dns"]):
        asked.append(names.parse(".".join((*labels, "example.org"))))
    return [Query(name, codes.parse_type(type)) for name in asked for type in TYPES]


def change_all(tree: Tree, pairs: list[tuple[str, str | None]], lease: int) -> None:
    for key, document in pairs:
        if document is None:
            tree.remove(tree.prefix + key.encode())
        else:
            tree.put(tree.prefix + key.encode(), document.encode(), lease)


OPTIONS = ("", "mode strict", "fallthrough", "mode strict\nfallthrough example.org")


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=40)
@given(first=changes, second=changes, lease=leases)
async def test_no_kept_reply_lies(
    options: str, first: list[tuple[str, str | None]], second: list[tuple[str, str | None]], lease: int
) -> None:
    etcd = plugin(Etcd, f"etcd example.org 192.0.2.0/24 {{\n{options}\n}}")
    etcd.tree.complete()
    change_all(etcd.tree, first, lease)

    def change() -> None:
        change_all(etcd.tree, second, lease)
        etcd.tree.leases.learn(7, 1000)

    async with testing.stopped_clock():
        assert await testing.honest(Alone(etcd).ask, questions(), change) == []


def above(name: bytes) -> Iterator[bytes]:
    for suffix in names.suffixes(name):
        if names.is_under(suffix, names.parse("example.org")):
            yield suffix


@pytest.mark.parametrize("options", OPTIONS[:2])
@settings(max_examples=40)
@given(pairs=changes)
async def test_no_name_is_denied_above_one_that_exists(options: str, pairs: list[tuple[str, str | None]]) -> None:
    etcd = plugin(Etcd, f"etcd example.org {{\n{options}\n}}")
    etcd.tree.complete()
    change_all(etcd.tree, pairs, 0)
    ask = Alone(etcd).ask
    codes_of: dict[bytes, set[int]] = {}
    for question in questions():
        if names.is_under(question.name, names.parse("example.org")):
            reply = await ask(question)
            if not any(record.type == codes.CNAME for record in reply.answer):
                codes_of.setdefault(question.name, set()).add(reply.rcode)
    for name, rcodes in codes_of.items():
        assert len(rcodes) == 1, f"the type decides whether {names.text(name)} exists"
        if rcodes == {codes.NOERROR} and not any(label in (b"*", b"any") for label in names.labels(name)):
            for suffix in above(name):
                assert codes_of.get(suffix, {codes.NOERROR}) == {codes.NOERROR}
