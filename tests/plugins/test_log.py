"""log: a line for every query."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, corefile, names, testing
from pydnsk8s.message import Client, Edns, Labels, Query, Record, Reply, Seen
from pydnsk8s.plugins.log import Log
from pydnsk8s.plugins.log.line import COMBINED, COMMON, Line

HERE = Client(b"\xc0\0\2\1", 50759, local=b"\xc0\0\2\x35")
SOA = Record(names.parse("example.org"), codes.SOA, 60, names.ROOT * 2 + bytes(20))


def configured(text: str) -> Log:
    block = testing.block(f". {{\n{text}\n}}")
    (plugin,) = block.plugins
    assert isinstance(plugin, Log)
    return plugin


def seen(
    name: str = "example.org",
    *,
    rcode: int = codes.NOERROR,
    client: Client = HERE,
    edns: Edns | None = None,
    labels: Labels | None = None,
) -> Seen:
    query = Query(names.parse(name), codes.A, id=29008, client=client, edns=edns, size=41)
    query.labels.update(labels or {})
    authority = [SOA] if rcode == codes.NXDOMAIN else []
    return Seen(query, Reply(rcode, authority=authority, recursive=True), 68, 0x8580, 0.037990251)


def written(plugin: Log, capsys: pytest.CaptureFixture[str], *batch: Seen) -> list[str]:
    plugin.seen(batch)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "log",
        "log example.org",
        "log example.org. {common}",
        "log example.org example.net {combined}",
        "log example.org\nlog example.net {combined}",
        "log 10.0.0.0/8 2001:db8::/32",
        'log . "{common} {/forward/upstream}"',
        "log {\nclass denial error\n}",
        "log {\nclass denial\nclass error\n}",
        "log example.org {\nclass all\n}",
    ],
)
def test_what_a_corefile_may_say(text: str) -> None:
    configured(text)


@pytest.mark.parametrize(
    "text", ["log {\nclass abracadabra\n}", "log {\nclass\n}", "log {\nunknown\n}", "log example..org"]
)
def test_what_a_corefile_may_not_say(text: str) -> None:
    with pytest.raises(corefile.CorefileError):
        configured(text)


def test_the_common_form_is_the_one_coredns_writes(capsys: pytest.CaptureFixture[str]) -> None:
    client = Client(bytes(15) + b"\1", 50759)
    assert written(configured("log"), capsys, seen(client=client, edns=Edns(4096))) == [
        '[INFO] [::1]:50759 - 29008 "A IN example.org. udp 41 false 4096" NOERROR qr,aa,rd,ra 68 0.037990251s'
    ]


def test_the_combined_form_adds_the_opcode(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = written(configured("log . {combined}"), capsys, seen())
    assert line.endswith('" NOERROR qr,aa,rd,ra 68 0.037990251s "0"')


@pytest.mark.parametrize(
    ("placeholder", "expected"),
    [
        ("type", "A"),
        ("class", "IN"),
        ("name", "example.org."),
        ("proto", "udp"),
        ("remote", "192.0.2.1"),
        ("local", "192.0.2.53"),
        ("port", "50759"),
        ("size", "41"),
        ("rsize", "68"),
        ("rcode", "NXDOMAIN"),
        ("duration", "0.037990251s"),
        (">rflags", "qr,aa,rd,ra"),
        (">bufsize", "512"),
        (">do", "false"),
        (">id", "29008"),
        (">opcode", "0"),
        ("/forward/upstream", "203.0.113.1:53"),
        ("/log/class", "denial"),
        ("/log/type", "NameError"),
        ("/geoip/country", "-"),
        ("/geoip/city", "-"),
        ("host", "-"),
        ("", "-"),
    ],
)
def test_a_placeholder_stands_for(placeholder: str, expected: str) -> None:
    labels: Labels = {"forward/upstream": lambda: "203.0.113.1:53", "geoip/city": lambda: ""}
    assert Line(f"<{{{placeholder}}}>").write(seen(rcode=codes.NXDOMAIN, labels=labels)) == f"<{expected}>"


@pytest.mark.parametrize(
    ("transport", "edns", "expected"),
    [("udp", None, "512"), ("udp", Edns(100), "512"), ("udp", Edns(1232), "1232"), ("tcp", Edns(1232), "65535")],
)
def test_the_buffer_size_is_what_the_client_can_take(transport: str, edns: Edns | None, expected: str) -> None:
    assert Line("{>bufsize}").write(seen(client=HERE._replace(transport=transport), edns=edns)) == expected


def test_flags_come_in_the_order_of_the_header() -> None:
    query = Query(names.ROOT, codes.A, flags=codes.CD | codes.RD)
    reply = Reply(truncated=True, recursive=True, authenticated=True)
    assert Line("{>rflags}").write(Seen(query, reply, 12, 0x87B0, 0.0)) == "qr,aa,tc,rd,ra,ad,cd"


def test_the_first_rule_with_the_zone_decides_alone(capsys: pytest.CaptureFixture[str]) -> None:
    plugin = configured(
        'log a.example.org "a {name}" {\nclass error\n}\nlog example.org example.net "b {name}"\n'
        'log 192.0.2.0/24 "c {name}"'
    )
    batch = [seen(name) for name in ("x.a.example.org", "example.org", "example.net", "xexample.org", "example.com")]
    assert written(plugin, capsys, *batch, seen("1.2.0.192.in-addr.arpa"), seen("a.example.org", rcode=2)) == [
        "[INFO] b example.org.",
        "[INFO] b example.net.",
        "[INFO] c 1.2.0.192.in-addr.arpa.",
        "[INFO] a a.example.org.",
    ]


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("all", ["NOERROR", "NXDOMAIN", "SERVFAIL"]),
        ("success", ["NOERROR"]),
        ("denial", ["NXDOMAIN"]),
        ("error", ["SERVFAIL"]),
        ("denial error", ["NXDOMAIN", "SERVFAIL"]),
        ("denial\nclass error", ["NXDOMAIN", "SERVFAIL"]),
        ("denial all", ["NOERROR", "NXDOMAIN", "SERVFAIL"]),
    ],
)
def test_only_replies_of_the_classes_are_written(
    classes: str, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = configured(f"log . {{rcode}} {{\nclass {classes}\n}}")
    batch = [seen(rcode=rcode) for rcode in (codes.NOERROR, codes.NXDOMAIN, codes.SERVFAIL)]
    assert written(plugin, capsys, *batch) == [f"[INFO] {rcode}" for rcode in expected]


def test_a_form_alone_is_for_all_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert written(configured('log "{type} {name}"'), capsys, seen()) == ["[INFO] A example.org."]


def test_a_batch_of_nothing_to_say_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert written(configured("log example.net"), capsys, seen()) == []


@given(st.binary(min_size=1, max_size=63), st.text(max_size=20))
def test_no_name_and_no_metadata_can_break_the_line(label: bytes, value: str) -> None:
    query = Query(names.join(label.lower()), codes.A)
    query.labels["x/y"] = lambda: value
    line = Line("{name} {/x/y}").write(Seen(query, Reply(), 12, 0x8000, 0.0))
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)


@given(st.text(alphabet="{}>%s/abn ", max_size=30))
def test_any_form_can_be_written(form: str) -> None:
    Line(form).write(seen())


def test_common_and_combined_can_be_part_of_a_form() -> None:
    assert Line("{common} {type}").write(seen()) == Line(COMMON + " A").write(seen())
    assert Line("x {combined}").write(seen()) == "x " + Line(COMBINED).write(seen())


HOSTS = """. {
    log . "{>id} {type} {name} {rcode} {rsize} {/log/class}"
    hosts {
        192.0.2.1 a.example.org
    }
}"""


async def test_a_query_answered_from_memory_is_written_like_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    async with testing.serving(HOSTS) as dns:
        answers = [await dns.ask("a.example.org") for _ in range(3)]
        await asyncio.sleep(0)
    assert [answer.replayed for answer in answers] == [False, True, True]
    assert capsys.readouterr().out == "[INFO] 4711 A a.example.org. NOERROR 47 success\n" * 3


async def test_a_denial_answered_from_memory_is_still_a_denial(capsys: pytest.CaptureFixture[str]) -> None:
    async with testing.serving('. {\n log . "{name}" {\n class denial\n }\n local\n}') as dns:
        answers = [await dns.ask("localhost", "MX") for _ in range(3)]
        await asyncio.sleep(0)
    assert [answer.replayed for answer in answers] == [False, True, True]
    assert capsys.readouterr().out == "[INFO] localhost.\n" * 3
