"""hosts: names from a file and from the Corefile."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydnsk8s import codes, names, testing
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugins.hosts import _ENTRIES, _READ, Hosts
from pydnsk8s.plugins.hosts.table import packed

from .blocks import ELSEWHERE, block, elsewhere, errors, plugin, query, texts

MISSING = "/nonexistent/hosts"
FILE = """
127.0.0.1 localhost localhost.domain
::1 localhost localhost.domain   # a comment
192.0.2.1 Example.ORG  example.org.
::ffff:192.0.2.2 example.com
fe80::1%eth0 link.example.org
192.0.2.53 *.example.net
192.0.2.54 a.example.net
"""


async def hosts(tmp_path: Path, text: str = FILE, options: str = "", keys: str = ".:0") -> Hosts:
    """The plugin with a file of this text, read once and never again by itself."""
    (tmp_path / "hosts").write_text(text)
    found = plugin(Hosts, f"hosts {tmp_path}/hosts {{\nreload 0\n{options}\n}}", keys)
    await found.start()
    return found


async def ask(found: Hosts, name: str, type: str = "A") -> Reply:
    return await found.answer(query(name, type), elsewhere)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What is logged, whether or not the process log has been set up by another test."""
    monkeypatch.setattr(logging.getLogger("pydnsk8s"), "propagate", True)
    return caplog


@pytest.mark.parametrize(
    ("name", "type", "answer"),
    [
        ("example.org.", "A", ["A 192.0.2.1"]),
        ("example.com.", "A", ["A 192.0.2.2"]),
        ("localhost.", "AAAA", ["AAAA ::1"]),
        ("link.example.org.", "AAAA", ["AAAA fe80::1"]),
        ("1.2.0.192.in-addr.arpa.", "PTR", ["PTR example.org."]),
        ("1.0.0.127.in-addr.arpa.", "PTR", ["PTR localhost.", "PTR localhost.domain."]),
    ],
)
async def test_what_the_file_says_is_answered(tmp_path: Path, name: str, type: str, answer: list[str]) -> None:
    reply = await ask(await hosts(tmp_path), name, type)
    assert texts(reply.answer) == [f"{name} 3600 {data}" for data in answer]
    assert reply.rcode == codes.NOERROR
    assert reply.authoritative
    assert reply.keep.live


@pytest.mark.parametrize(("name", "type"), [("example.org", "AAAA"), ("example.org", "MX"), ("localhost", "ANY")])
async def test_another_type_of_a_known_name_is_no_data(tmp_path: Path, name: str, type: str) -> None:
    reply = await ask(await hosts(tmp_path, options="fallthrough"), name, type)
    assert reply.rcode == codes.NOERROR
    assert reply.records == ()


async def test_an_unknown_name_fails_unless_it_falls_through(tmp_path: Path) -> None:
    assert (await ask(await hosts(tmp_path), "unknown.example.org")).rcode == codes.SERVFAIL
    falling = await hosts(tmp_path, options="fallthrough example.org")
    assert (await ask(falling, "unknown.example.org")).plugin == "elsewhere"
    assert (await ask(falling, "unknown.example.com")).rcode == codes.SERVFAIL


async def test_unsupported_types_fall_through_if_told_so(tmp_path: Path) -> None:
    falling = await hosts(tmp_path, options="fallthrough example.org\nfallthrough_unsupported")
    assert (await ask(falling, "example.org", "MX")).plugin == "elsewhere"
    assert (await ask(falling, "example.org", "AAAA")).plugin == "hosts"
    assert (await ask(falling, "example.com", "MX")).plugin == "hosts"


async def test_a_wildcard_stands_for_one_label_and_gives_way_to_the_name_itself(tmp_path: Path) -> None:
    found = await hosts(tmp_path)
    assert texts((await ask(found, "b.example.net.")).answer) == ["b.example.net. 3600 A 192.0.2.53"]
    assert texts((await ask(found, "a.example.net.")).answer) == ["a.example.net. 3600 A 192.0.2.54"]
    for name in ("example.net", "c.b.example.net", "."):
        assert (await ask(found, name)).rcode == codes.SERVFAIL


async def test_a_name_of_one_family_has_no_addresses_of_a_wildcards_other(tmp_path: Path) -> None:
    found = await hosts(tmp_path, "2001:db8::1 *.example.net\n192.0.2.1 a.example.net")
    assert (await ask(found, "a.example.net", "AAAA")).answer == ()
    assert len((await ask(found, "b.example.net", "AAAA")).answer) == 1


async def test_a_wildcard_has_no_reverse_name(tmp_path: Path) -> None:
    assert await passes(await hosts(tmp_path), "53.2.0.192.in-addr.arpa")


async def passes(found: Hosts, name: str, type: str = "PTR") -> bool:
    return (await ask(found, name, type)).plugin == "elsewhere"


async def test_the_address_of_a_block_list_has_as_many_names_as_a_message_holds(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("".join(f"0.0.0.0 ads{number}.example.org\n" for number in range(10_000)))
    async with testing.serving(f". {{\nhosts {tmp_path}/hosts\n}}") as dns:
        answer = await dns.ask("0.0.0.0.in-addr.arpa", "PTR", tcp=True)
    assert "tc" not in answer.flags
    assert len(answer.answer) == 1000
    assert answer.answer[0] == "0.0.0.0.in-addr.arpa. 3600 PTR ads0.example.org."


async def test_an_unknown_reverse_name_always_passes(tmp_path: Path) -> None:
    found = await hosts(tmp_path)
    for name in ("9.2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa", "example.org"):
        assert await passes(found, name)


async def test_reverse_zones_need_not_be_listed_and_can_be_left_out(tmp_path: Path) -> None:
    reverse = "1.2.0.192.in-addr.arpa"
    assert not await passes(await hosts(tmp_path, keys="example.org:0"), reverse)
    assert await passes(await hosts(tmp_path, options="no_reverse"), reverse)


async def test_names_outside_the_zones_are_nobodys_business(tmp_path: Path) -> None:
    found = await hosts(tmp_path, keys="example.org:0")
    assert await ask(found, "example.com") is ELSEWHERE
    assert await passes(found, "2.2.0.192.in-addr.arpa")


async def test_other_classes_pass(tmp_path: Path) -> None:
    found = await hosts(tmp_path)
    assert await found.answer(query("example.org", klass=codes.CH), elsewhere) is ELSEWHERE


async def test_lines_of_the_corefile_follow_those_of_the_file_without_repeating_them(tmp_path: Path) -> None:
    inline = "192.0.2.1 example.org\n192.0.2.9 example.org example.com\nttl 60"
    found = await hosts(tmp_path, options=inline)
    assert texts((await ask(found, "example.org.")).answer) == [
        "example.org. 60 A 192.0.2.1",
        "example.org. 60 A 192.0.2.9",
    ]
    reverse = await ask(found, "9.2.0.192.in-addr.arpa.", "PTR")
    assert [names.text(record.data) for record in reverse.answer] == ["example.org.", "example.com."]


async def test_lines_of_the_corefile_are_served_when_there_is_no_file(logged: pytest.LogCaptureFixture) -> None:
    found = plugin(Hosts, f"hosts {MISSING} {{\n192.0.2.1 example.org\nreload 0\n}}")
    await found.start()
    assert texts((await ask(found, "example.org.")).answer) == ["example.org. 3600 A 192.0.2.1"]
    assert f"cannot read {MISSING}" in logged.text


async def test_faulty_lines_are_passed_over_and_named(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    found = await hosts(tmp_path, "192.0.2 loki\n321.321.321.321\n192.0.2.1 a..b c.example.org\n192.0.2.2 example.org")
    assert len((await ask(found, "example.org")).answer) == 1
    for line in (1, 2, 3):
        assert f"{found.path}:{line}: " in logged.text


async def test_a_file_of_faults_is_not_repeated_in_the_log(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    await hosts(tmp_path, "nonsense\n" * 500)
    assert len(logged.records) < 20
    assert "490 more lines are faulty" in logged.text


async def test_any_bytes_make_a_table(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_bytes(
        b"\xef\xbb\xbf192.0.2.1 example.org\r\n\xff\xfe\0 \x85\n192.0.2.2 \xe4.example.org"
    )
    found = plugin(Hosts, f"hosts {tmp_path}/hosts {{\nreload 0\n}}")
    await found.start()
    assert len((await ask(found, "example.org")).answer) == 1


def write(path: Path, text: str, ticks: itertools.count[int] = itertools.count(1)) -> None:
    """Replace a file's text and make sure that its time differs."""
    path.write_text(text)
    os.utime(path, (0, next(ticks)))


async def test_a_changed_file_ends_every_reply_of_the_old_one(tmp_path: Path) -> None:
    found = await hosts(tmp_path, options="fallthrough")
    kept = [await ask(found, name) for name in ("example.org", "unknown.example.org")]
    assert all(reply.keep.alive for reply in kept)
    write(found.path, "192.0.2.99 unknown.example.org")
    await found.refresh()
    assert not any(reply.keep.alive for reply in kept)
    assert len((await ask(found, "unknown.example.org")).answer) == 1
    assert await passes(found, "example.org", "A")


async def test_an_unchanged_file_changes_nothing(tmp_path: Path) -> None:
    found = await hosts(tmp_path)
    reply = await ask(found, "example.org")
    await found.refresh()
    assert reply.keep.alive


async def test_a_file_that_vanishes_leaves_its_names(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    found = await hosts(tmp_path)
    found.path.unlink()
    await found.refresh()
    await found.refresh()
    assert len((await ask(found, "example.org")).answer) == 1
    assert logged.text.count("cannot read") == 1
    write(found.path, "")
    await found.refresh()
    assert (await ask(found, "example.org")).rcode == codes.SERVFAIL


async def test_the_file_is_watched_until_the_plugin_stops(tmp_path: Path) -> None:
    found = await hosts(tmp_path, options="reload 1ms")
    try:
        write(found.path, "192.0.2.99 late.example.org")
        while (await ask(found, "late.example.org")).rcode == codes.SERVFAIL:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.001)
    finally:
        await found.stop()
    assert len(asyncio.all_tasks()) == 1


async def test_a_reload_with_the_directive_unchanged_keeps_the_replies(tmp_path: Path) -> None:
    old = await hosts(tmp_path)
    reply = await ask(old, "example.org")
    new = plugin(Hosts, f"hosts {tmp_path}/hosts {{\nreload 0\n}}")
    assert not new.inherit(old)
    await new.start()
    await old.stop()
    assert reply.keep.alive
    assert (await ask(new, "example.org")).keep == reply.keep
    elsewhere_rooted = plugin(Hosts, f"hosts {MISSING}")
    elsewhere_rooted.inherit(old)
    assert elsewhere_rooted.table is not old.table


async def test_the_metrics_tell_entries_and_the_time_of_the_file(tmp_path: Path) -> None:
    found = await hosts(tmp_path, "192.0.2.1 example.org\n192.0.2.2 *.example.org", "192.0.2.3 example.org")
    assert _ENTRIES.labels(str(found.path)).value == 5
    assert _READ.labels().value == found.path.stat().st_mtime


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("fallthrough\n192.0.2.1 example.org", "addresses must stand before fallthrough"),
        ("fallthrough_unsupported", "fallthrough_unsupported needs fallthrough"),
        ("fallthrough\nfallthrough_unsupported example.org", "expected: fallthrough_unsupported"),
        ("ttl 0", "1 to 65535"),
        ("ttl 65536", "1 to 65535"),
        ("ttl", "expected: ttl SECONDS"),
        ("reload -1s", "at least 0s"),
        ("reload 5", "write 5s"),
        ("tll 60", "did you mean 'ttl'"),
        ("192.0.2 example.org", "unknown option '192.0.2'"),
        ("192.0.2.1", "unknown option '192.0.2.1'"),
        ("192.0.2.1 a..b", "not a domain name"),
    ],
)
def test_an_option_that_cannot_be_is_an_error(options: str, message: str) -> None:
    assert message in errors(f"hosts {{\n{options}\n}}")


def test_it_is_used_once_per_block() -> None:
    assert "only be used once" in errors("hosts\nhosts")


def test_a_line_of_the_corefile_for_another_zone_is_warned_of() -> None:
    [warning] = block("hosts {\n192.0.2.1 example.org example.com\n}", "example.org:0").warnings
    assert "'example.com' is in none of the zones" in warning.message


def test_zones_may_be_given_and_relative_files_start_at_the_root() -> None:
    found = plugin(Hosts, "root /tmp\nhosts example.hosts example.org 10.0.0.9/8")
    assert found.path == Path("/tmp/example.hosts")
    assert found.zones == {names.parse("example.org"), names.parse("10.in-addr.arpa")}
    assert plugin(Hosts, "hosts").path == Path("/etc/hosts")


NAMES = ("example.org", "a.example.org", "b.example.org", "c.b.example.org", "*.example.org", "example.net")
ADDRESSES = ("192.0.2.1", "192.0.2.2", "2001:db8::1")
TABLES = st.lists(st.tuples(st.sampled_from(ADDRESSES), st.sampled_from(NAMES)), max_size=6)
OPTIONS = st.sampled_from(["", "no_reverse", "fallthrough", "fallthrough\nfallthrough_unsupported", "ttl 60"])
REVERSES = [names.text(names.reverse(bytes((192, 0, 2, octet)))) for octet in (1, 2, 3)]
QUESTIONS = [query(name, type) for name in NAMES for type in ("A", "AAAA", "MX", "PTR")]
QUESTIONS += [query(name, "PTR") for name in REVERSES]


def said(reply: Reply) -> object:
    return reply.rcode, reply.answer, reply.authority, reply.authoritative, reply.plugin


@settings(max_examples=50, deadline=None)
@given(OPTIONS, st.lists(TABLES, min_size=2, max_size=4))
async def test_no_reply_that_is_still_kept_ever_lies(options: str, tables: Sequence[list[tuple[str, str]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "hosts")
        found = plugin(Hosts, f"hosts {path} example.org {{\nreload 0\n{options}\n}}")
        kept: list[tuple[Query, Reply]] = []
        for table in tables:
            write(path, "".join(f"{address} {name}\n" for address, name in table))
            await found.refresh()
            for question, old in kept:
                assert not old.keep.alive or said(old) == said(await found.answer(question, elsewhere))
            kept += [(question, await found.answer(question, elsewhere)) for question in QUESTIONS]
            assert all(reply.keep.alive for _, reply in kept[-len(QUESTIONS) :])


@settings(max_examples=50, deadline=None)
@given(TABLES)
async def test_every_entry_of_the_file_is_found_both_ways(table: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = await hosts(Path(folder), "".join(f"{address} {name}\n" for address, name in table))
        for address, name in table:
            type = "AAAA" if ":" in address else "A"
            assert f"{name}. 3600 {type} {address}" in texts((await ask(found, name, type)).answer)
            reverse = names.text(names.reverse(packed(address)))
            assert (f"{reverse} 3600 PTR {name}." in texts((await ask(found, reverse, "PTR")).answer)) == (
                "*" not in name
            )


async def test_a_wildcard_above_a_zone_stands_for_the_zone_s_own_name() -> None:
    found = plugin(Hosts, "hosts {\n192.0.2.7 *.org\nfallthrough\n}")
    assert found.passes(names.parse("example.org")) is None
    assert found.passes(names.parse("a.example.org")) is not None


async def test_over_the_wire_replies_are_replayed_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    write(path, "192.0.2.1 example.org")
    async with testing.serving(f". {{\nhosts {path} {{\nreload 0\n}}\n}}") as dns:
        answers = [await dns.ask("eXample.Org") for _ in range(3)]
        assert answers[-1].replayed
        assert {tuple(answer.answer) for answer in answers} == {tuple(answers[0].answer)}
        assert b"\7eXample\3Org" in answers[-1].wire
        write(path, "192.0.2.2 example.org")
        await next(found for found in dns.plugins if isinstance(found, Hosts)).refresh()
        assert (await dns.ask("example.org")).answer == ["example.org. 3600 A 192.0.2.2"]


_words = st.lists(st.sampled_from(["a", "b", "xa", "*"]), max_size=4).map(".".join)


@given(st.lists(_words.filter(bool), max_size=4), _words, _words)
def test_where_all_names_of_a_zone_pass_none_is_answered(held: list[str], zone: str, below: str) -> None:
    lines = "".join(f"192.0.2.1 {name}\n" for name in held)
    found = plugin(Hosts, f"hosts {MISSING} {{\n{lines}fallthrough\n}}")
    name = ".".join(filter(None, (below, zone)))
    passes = found.passes(names.parse(zone or ".")) is not None
    answers = isinstance(found.at_once(query(name or ".", "A")), Reply)
    assert not (passes and answers)
    # Whatever is in the zone or has an asterisk that reaches it keeps it from passing; nothing else does.
    inside = any(names.is_under(names.parse(each), names.parse(zone or ".")) for each in held)
    assert passes is not (inside or isinstance(found.at_once(query(zone or ".", "A")), Reply))
