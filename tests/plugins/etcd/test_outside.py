"""etcd: what it needs to know of names outside is asked for first, and the answer is made from what there is then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from pydnsk8s import codes, names
from pydnsk8s.etcd.tree import Tree
from pydnsk8s.keep import ALWAYS, Keep, Stamp
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import WAIT
from pydnsk8s.plugins.etcd import Etcd
from tests.plugins.blocks import elsewhere, plugin, query

from .zones import Pairs, put, remove

OUT = names.parse("there.example.net")
PAIRS: Pairs = {
    "org/example/out": {"host": "there.example.net"},
    "org/example/mail/a": {"host": "there.example.net", "mail": True, "targetstrip": 1},
    "org/example/mail/b": {"host": "there.example.net", "mail": True, "priority": 20, "targetstrip": 1},
    "org/example/web": {"host": "192.0.2.1"},
}
MODES = ("mode subtree", "mode strict")


def etcd(mode: str) -> Etcd:
    found = plugin(Etcd, f"etcd example.org {{\n{mode}\n}}")
    found.tree.complete()
    put(found.tree, PAIRS)
    return found


class Outside:
    """The rest of the server: counts what it is asked, and does something meanwhile."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.asked: Counter[tuple[bytes, int]] = Counter()
        self.meanwhile = meanwhile
        self.stamp = Stamp()

    async def ask(self, query: Query) -> Reply:
        self.asked[query.name, query.type] += 1
        self.meanwhile()
        return self.reply(query)

    def ask_at_once(self, query: Query) -> Reply | None:
        return None

    def reply(self, query: Query) -> Reply:
        answer = (Record(query.name, codes.A, 5, b"\xc0\0\2\x63"),) if query.type == codes.A else ()
        return Reply(answer=answer, keep=Keep.while_(self.stamp))


class Known(Outside):
    """The same, with the addresses of one family at hand."""

    def __init__(self, *types: int) -> None:
        super().__init__()
        self.types = types

    def ask_at_once(self, query: Query) -> Reply | None:
        return self.reply(query) if query.type in self.types else None


async def answer(found: Etcd, outside: Outside, name: str, type: str) -> Reply:
    asked = query(name, type)
    asked.asker = outside
    return await found.answer(asked, elsewhere)


@pytest.mark.parametrize("mode", MODES)
async def test_only_what_is_outside_has_to_be_waited_for(mode: str) -> None:
    found = etcd(mode)
    assert isinstance(found.at_once(query("web.example.org")), Reply)
    assert isinstance(found.at_once(query("nothing.example.org")), Reply)
    assert found.at_once(query("web.example.net")) is ALWAYS
    assert found.at_once(query("out.example.org")) is WAIT
    assert found.at_once(query("mail.example.org", "MX")) is WAIT


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_known_outside_need_not_be_waited_for(mode: str) -> None:
    for types, waits in (((codes.A, codes.AAAA), False), ((codes.A,), True), ((), True)):
        asked, outside = query("mail.example.org", "MX"), Known(*types)
        asked.asker = outside
        reply = etcd(mode).at_once(asked)
        assert (reply is WAIT) == waits
        if isinstance(reply, Reply):
            waited = await answer(etcd(mode), Outside(), "mail.example.org", "MX")
            assert (reply.answer, reply.additional) == (waited.answer, waited.additional)
            outside.stamp.retire()
            assert not reply.keep.alive


@pytest.mark.parametrize("mode", MODES)
async def test_each_name_outside_is_asked_for_once_and_ends_the_answer_with_it(mode: str) -> None:
    outside = Outside()
    reply = await answer(etcd(mode), outside, "mail.example.org", "MX")
    assert (len(reply.answer), len(reply.additional)) == (2, 1)
    assert outside.asked == {(OUT, codes.A): 1, (OUT, codes.AAAA): 1}
    assert reply.keep.alive
    outside.stamp.retire()
    assert not reply.keep.alive


@pytest.mark.parametrize("mode", MODES)
async def test_what_changes_meanwhile_is_in_the_answer(mode: str) -> None:
    found = etcd(mode)
    tree: Tree = found.tree

    def change() -> None:
        remove(tree, "org/example/out")
        put(tree, {"org/example/out": {"host": "192.0.2.7"}})

    reply = await answer(found, Outside(change), "out.example.org", "A")
    assert [record.data for record in reply.answer] == [b"\xc0\0\2\7"]
    assert reply.keep.alive
    reply = await answer(etcd(mode), Outside(), "out.example.org", "A")
    assert [record.type for record in reply.answer] == [codes.CNAME, codes.A]
