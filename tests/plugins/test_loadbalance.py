"""loadbalance: the order of addresses, and how the gate goes on with it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes
from pydnsk8s.keep import ALWAYS, NEVER, TURNS
from pydnsk8s.message import Record, Reply
from pydnsk8s.plugin import StartError
from pydnsk8s.plugins.loadbalance import Loadbalance
from pydnsk8s.plugins.loadbalance.weights import WeightError, parse
from pydnsk8s.testing import record

from .blocks import block, errors, plugin, query, replying
from .upstream import off_the_wire

ALIAS = record("a.example.org. 60 CNAME b.example.org.")
ADDRESSES = [record(f"b.example.org. 60 A 192.0.2.{number}") for number in range(1, 5)]
WEIGHTS = """
# two of the four
b.example.org
192.0.2.1 100   # the strong one
192.0.2.2 50
"""

lines = st.sampled_from(
    [
        "a.example.org. 60 A 192.0.2.1",
        "a.example.org. 60 A 192.0.2.2",
        "b.example.org. 60 A 192.0.2.2",
        "b.example.org. 60 AAAA 2001:db8::1",
        "b.example.org. 60 AAAA 2001:db8::2",
        "a.example.org. 60 MX 10 m1.example.org.",
        "a.example.org. 60 MX 20 m2.example.org.",
        "a.example.org. 60 CNAME b.example.org.",
        "b.example.org. 60 TXT x",
    ]
)
sections = st.lists(lines.map(record), max_size=12)


def balance(text: str = "loadbalance") -> Loadbalance:
    return plugin(Loadbalance, text)


async def answered(by: Loadbalance, answer: list[Record], keep: object = ALWAYS, type: str = "A") -> Reply:
    return await by.answer(query("a.example.org", type), replying(Reply(answer=answer, keep=keep)))  # type: ignore[arg-type]


@given(sections, sections, st.sampled_from(["loadbalance", "loadbalance {\nprefer 192.0.2.2/32 2001:db8::/32\n}"]))
async def test_no_record_is_lost_and_aliases_come_first(answer: list[Record], more: list[Record], text: str) -> None:
    before = Reply(answer=answer, authority=more, additional=more)
    after = await balance(text).answer(query("a.example.org"), replying(before))
    for old, new in (answer, after.answer), (more, after.authority), (more, after.additional):
        assert Counter(old) == Counter(new)
        if len(old) > 1:
            roles = ["CNAME TXT A MX".split().index(codes.type_name(each.type).replace("AAAA", "A")) for each in new]
            assert roles == sorted(roles)


@given(sections)
async def test_a_record_set_stays_together(answer: list[Record]) -> None:
    reply = await answered(balance(), answer)
    places: dict[tuple[bytes, int], list[int]] = {}
    for place, each in enumerate(reply.answer):
        if each.type != codes.TXT and each.type != codes.CNAME:
            places.setdefault((each.name, each.type), []).append(place)
    assert all(held == list(range(held[0], held[0] + len(held))) for held in places.values())


async def test_every_address_comes_first_now_and_then_and_the_gate_takes_turns() -> None:
    by = balance()
    firsts = set()
    for _ in range(200):
        reply = await answered(by, [ALIAS, *ADDRESSES])
        assert reply.keep == TURNS
        assert reply.answer[0] == ALIAS
        firsts.add(reply.answer[1])
    assert firsts == set(ADDRESSES)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(codes.NXDOMAIN, answer=ADDRESSES),
        Reply(answer=ADDRESSES[:1]),
        Reply(),
        off_the_wire(query("b.example.org"), Reply(answer=ADDRESSES[:1])),
    ],
    ids=repr,
)
async def test_what_has_no_order_passes_as_it_is(reply: Reply) -> None:
    assert await balance().answer(query("a.example.org"), replying(reply)) is reply


async def test_transfers_keep_their_order() -> None:
    reply = await answered(balance(), ADDRESSES, type="AXFR")
    assert reply.answer == tuple(ADDRESSES)


async def test_preferred_networks_come_first_in_the_order_they_are_written() -> None:
    by = balance("loadbalance {\nprefer 192.0.2.3/32 192.0.2.2/32\n}")
    reply = await answered(by, [ALIAS, *ADDRESSES[:3]])
    assert reply.answer == (ALIAS, ADDRESSES[2], ADDRESSES[1], ADDRESSES[0])
    assert reply.keep == ALWAYS, "the preference alone decides"


async def test_octets_that_are_no_address_are_not_preferred() -> None:
    by = balance("loadbalance {\nprefer 192.0.2.2/32\n}")
    broken = ADDRESSES[0]._replace(data=b"\xc0\0\2")
    reply = await answered(by, [broken, ADDRESSES[1]])
    assert reply.answer == (ADDRESSES[1], broken)


async def test_equals_among_preferred_addresses_are_shuffled_for_every_query() -> None:
    by = balance("loadbalance {\nprefer 192.0.2.0/30\n}")
    orders = set()
    for _ in range(100):
        reply = await answered(by, ADDRESSES)
        assert not reply.keep.alive
        assert reply.answer[3] == ADDRESSES[3]
        orders.add(reply.answer)
    assert len(orders) == 6


async def test_addresses_that_are_all_equally_preferred_take_turns() -> None:
    by = balance("loadbalance {\nprefer 198.51.100.0/24\n}")
    assert (await answered(by, ADDRESSES)).keep == TURNS


async def test_the_weightier_address_comes_first_more_often(tmp_path: Path) -> None:
    by = await weighing(tmp_path, WEIGHTS)
    firsts: Counter[Record] = Counter()
    for _ in range(600):
        reply = await answered(by, [ALIAS, *ADDRESSES])
        assert not reply.keep.alive, "every query draws anew"
        assert reply.answer[0] == ALIAS
        assert list(reply.answer[2:]) == [each for each in ADDRESSES if each != reply.answer[1]]
        firsts[reply.answer[1]] += 1
    assert firsts[ADDRESSES[0]] > firsts[ADDRESSES[1]] > firsts[ADDRESSES[2]] + firsts[ADDRESSES[3]]
    await by.stop()


async def test_names_without_weights_take_turns_until_the_file_changes(tmp_path: Path) -> None:
    by = await weighing(tmp_path, "other.example.org\n192.0.2.1 5\n")
    reply = await answered(by, ADDRESSES)
    before = reply.keep.alive, reply.keep.turns
    rewrite(tmp_path, WEIGHTS)
    by.refresh(tmp_path / "weights")
    assert (before, reply.keep.alive) == ((True, True), False)
    await by.stop()


async def test_a_faulty_new_version_changes_nothing_and_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    by = await weighing(tmp_path, WEIGHTS)
    before = by.weights
    rewrite(tmp_path, "b.example.org\n192.0.2.1 0\n")
    for _ in range(3):
        by.refresh(tmp_path / "weights")
    assert by.weights is before
    assert caplog.text.count("weights:2: expected a weight from 1 to 255, found '0'") == 1
    await by.stop()


async def test_a_missing_file_is_waited_for_if_it_is_reloaded(tmp_path: Path) -> None:
    by = balance(f"loadbalance weighted {tmp_path}/weights")
    await by.start()
    assert (await answered(by, ADDRESSES)).keep.turns
    rewrite(tmp_path, WEIGHTS)
    by.refresh(tmp_path / "weights")
    assert by.weights.names
    await by.stop()


async def test_a_file_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    by = balance(f"loadbalance weighted {tmp_path}/weights {{\nreload 0\n}}")
    with pytest.raises(StartError, match="cannot read the weight file"):
        await by.start()
    rewrite(tmp_path, "192.0.2.1 1\n")
    with pytest.raises(StartError, match="weights:1: an address before any name"):
        await by.start()


async def weighing(directory: Path, text: str) -> Loadbalance:
    rewrite(directory, text)
    by = balance(f"loadbalance weighted {directory}/weights")
    await by.start()
    return by


def rewrite(directory: Path, text: str) -> None:
    path = directory / "weights"
    path.write_text(text)
    os.utime(path, ns=(0, hash(text) & 0xFFFFFFFF))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a.example.org\n192.0.2.1", "f:2: expected a name, or an address and its weight, found '192.0.2.1'"),
        ("a.example.org\n192.0.2.1 256", "f:2: expected a weight from 1 to 255, found '256'"),
        ("a.example.org\n\n# x\n192.0.2 1", "f:4: '192.0.2' does not appear to be an IPv4 or IPv6 address"),
        ("a.example.org b c", "f:1: expected a name, or an address and its weight"),
        ("a..b", "f:1: not a domain name"),
        ("a.example.org\n192.0.2.1 \N{SUPERSCRIPT TWO}", "f:2: expected a weight"),
    ],
)
def test_what_is_wrong_in_a_weight_file(text: str, complaint: str) -> None:
    with pytest.raises(WeightError) as caught:
        parse(text + "\n", "f")
    assert str(caught.value).startswith(complaint)


@given(st.text(max_size=60))
def test_any_text_is_a_weight_file_or_an_error_that_says_where(text: str) -> None:
    complaint = "f:"
    try:
        parse(text, "f")
    except WeightError as error:
        complaint = str(error)
    assert complaint.startswith("f:")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("loadbalance fleeb", "unknown policy 'fleeb'"),
        ("loadbalance round_robin a", "unknown property 'a'"),
        ("loadbalance weighted", "missing weight file argument"),
        ("loadbalance weighted a b", "unexpected argument 'b'"),
        ("loadbalance weighted f {\nsusu\n}", "unknown option 'susu'"),
        ("loadbalance weighted f {\nreload a\n}", "expected a duration"),
        ("loadbalance weighted f {\nreload 30s a\n}", "expected: reload DURATION"),
        ("loadbalance {\nreload 30s\n}", "needs the policy weighted"),
        ("loadbalance {\nprefer\n}", "expected: prefer CIDRS..."),
        ("loadbalance {\nprefer 192.0.2.0/33\n}", "expected an address prefix"),
    ],
)
def test_what_a_directive_may_not_say(text: str, complaint: str) -> None:
    assert complaint in errors(text)


def test_a_second_use_has_no_effect_and_is_warned_of() -> None:
    served = block("loadbalance\nloadbalance weighted f")
    assert served.find(Loadbalance) is not None
    assert len(served.plugins) == 1
    assert "has no effect" in str(served.warnings[0])


async def test_never_stays_never() -> None:
    assert not (await answered(balance(), ADDRESSES, NEVER)).keep.alive
