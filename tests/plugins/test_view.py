"""view: who enters which block, and for whom that may be remembered."""

from __future__ import annotations

import pytest

from pydnsk8s import metrics, testing
from pydnsk8s.keep import ALWAYS, Keep, Stamp
from pydnsk8s.message import Client, Edns, Labels, Query
from pydnsk8s.plugins.view import View

from .blocks import block, errors, plugin, query

HERE_ONLY = Keep(0, prefix4=32, prefix6=128)
SENDER = Client(b"\xc0\0\2\5", 5353, "udp", b"\xc0\0\2\x35", 53)


def view(*expressions: str, more: str = "") -> View:
    lines = "".join(f"\nexpr {expression}" for expression in expressions)
    return plugin(View, f"{more}\nview test {{{lines}\n}}")


def told(expression: str, asked: Query | None = None) -> tuple[bool, Keep]:
    asked = asked or query("www.example.org", "AAAA", client=SENDER).with_(edns=Edns(4096, True), size=44, id=4711)
    return view(expression).decide(asked)


@pytest.mark.parametrize(
    ("expression", "keep"),
    [
        ("name() == 'www.example.org.'", ALWAYS),
        ("type() == 'AAAA' and class() == 'IN' and do()", ALWAYS),
        ("proto() == 'udp' and server_port() == '53' and opcode() == 0", ALWAYS),
        ("bufsize() == 4096 and size() == 44", ALWAYS),
        ("id() == 4711", HERE_ONLY),
        ("port() == '5353'", HERE_ONLY),
        ("server_ip() == '192.0.2.53'", HERE_ONLY),
        ("client_ip() == '192.0.2.5'", Keep(prefix4=32, prefix6=128)),
        ("incidr(client_ip(), '192.0.0.0/16')", Keep(prefix4=16, prefix6=128)),
        ("not incidr(client_ip(), '10.0.0.0/8')", Keep(prefix4=1, prefix6=128)),
        ("incidr('192.0.2.5', '192.0.2.0/24')", ALWAYS),
        ("incidr(client_ip(), '192.0.0.0/16') or port() == '1'", Keep(prefix4=16, prefix6=128)),
        ("do() or client_ip() == '192.0.2.9'", ALWAYS),
        ("\"any(['10.0.0.0/8', '192.0.2.0/24'], incidr(client_ip(), #))\"", Keep(prefix4=24, prefix6=128)),
        ("metadata('nothing/here') == ''", HERE_ONLY),
    ],
)
def test_what_is_true_of_a_query_and_for_whom_that_holds(expression: str, keep: Keep) -> None:
    assert told(expression) == (True, keep)


@pytest.mark.parametrize("expression", ["proto() == 'udp'", "size() > 0", "bufsize() > 512", "server_port() == '53'"])
def test_a_lookup_on_the_way_has_no_packet_that_it_could_be_told_apart_by(expression: str) -> None:
    asked = query("www.example.org", client=SENDER).with_(depth=1, size=44, edns=Edns(4096))
    assert told(expression, asked) == (True, HERE_ONLY)


def test_an_address_of_ones_own_is_part_of_what_the_gate_knows() -> None:
    asked = query("example.org", client=SENDER)
    bound = view("server_ip() == '192.0.2.53'", more="bind 192.0.2.53")
    assert bound.decide(asked) == (True, ALWAYS)
    assert view("server_ip() == '192.0.2.53'", more="bind 0.0.0.0").decide(asked) == (True, HERE_ONLY)


def test_sizes_are_those_that_count() -> None:
    asked = query("example.org", client=SENDER)
    assert told("bufsize() == 512", asked)[0]
    assert told("bufsize() == 512", asked.with_(edns=Edns(100)))[0]
    assert told("bufsize() == 65535 and proto() == 'tcp'", asked.with_(client=SENDER._replace(transport="tcp")))[0]


def test_all_expressions_must_be_true_and_none_is_true_of_all() -> None:
    asked = query("www.example.org", client=SENDER)
    assert view("true", "name() == 'www.example.org.'").decide(asked)[0]
    assert not view("true", "name() == 'example.org.'").decide(asked)[0]
    assert view("false", "client_ip() == ''").decide(asked) == (False, ALWAYS)
    assert plugin(View, "view all").decide(asked) == (True, ALWAYS)


def test_labels_say_for_how_long_and_whom_they_hold() -> None:
    stamp = Stamp()

    class Label:
        keep = Keep.while_(stamp) & Keep(prefix4=8)

        def __call__(self) -> str:
            return "DE"

    labels: Labels = {"geoip/country/code": Label(), "other/label": lambda: "x"}
    asked = query("example.org").with_(labels=labels)
    made = view("metadata('geoip/country/code') == 'DE'")
    assert made.decide(asked) == (True, Label.keep)
    assert view("metadata('other/label') == 'x'").decide(asked) == (True, HERE_ONLY)


COREFILE = """
example.org {
    view office {
        expr incidr(client_ip(), '192.0.2.0/25')
    }
    hosts {
        192.0.2.80 www.example.org
    }
}
example.org {
    view lab {
        expr incidr(client_ip(), '192.0.2.128/26') && type() in ['A', 'AAAA']
    }
    hosts {
        192.0.2.81 www.example.org
    }
}
example.org {
    hosts {
        192.0.2.82 www.example.org
    }
}
"""


async def test_blocks_of_one_zone_are_tried_from_top_to_bottom_and_each_client_keeps_its_own() -> None:
    async with testing.serving(COREFILE) as dns:
        for replayed in (False, True):
            for client, address in (("192.0.2.1", 80), ("192.0.2.129", 81), ("192.0.2.200", 82), ("2001:db8::1", 82)):
                answer = await dns.ask("www.example.org", client=client)
                assert answer.answer == [f"www.example.org. 3600 A 192.0.2.{address}"]
                assert answer.replayed == replayed
        assert (await dns.ask("www.example.org", client="192.0.2.127")).replayed
        assert not (await dns.ask("www.example.org", client="198.51.100.1")).replayed


async def test_a_query_that_no_view_takes_goes_to_the_zone_above_and_is_refused_in_the_end() -> None:
    inner = "example.org {\nview in {\nexpr client_ip() == '192.0.2.1'\n}\nwhoami\n}"
    async with testing.serving(inner) as dns:
        assert (await dns.ask("example.org", client="192.0.2.1")).rcode == "NOERROR"
        assert (await dns.ask("example.org", client="192.0.2.2")).rcode == "REFUSED"
    async with testing.serving(f"{inner}\norg {{\nhosts {{\n192.0.2.9 example.org\n}}\n}}") as dns:
        assert (await dns.ask("example.org", client="192.0.2.2")).answer == ["example.org. 3600 A 192.0.2.9"]


async def test_the_labels_of_a_block_that_was_not_entered_are_not_carried_on() -> None:
    text = "example.org {\nmetadata\nview in {\nexpr false\n}\nwhoami\n}\nexample.org {\nwhoami\n}"
    async with testing.serving(text) as dns:
        (router,) = (port.router for port in dns.ports.values())
        asked = query("example.org")
        assert router.find(asked) is not None
        assert asked.labels == {}


def test_its_name_is_a_label_and_part_of_the_metrics() -> None:
    made = block("prometheus 127.0.0.1:0\nmetadata\ncache\nview inside {\nexpr true\n}\nwhoami")
    found = made.find(View)
    assert found is not None
    assert found.labels(query("example.org"))["view/name"]() == "inside"
    assert found.labels(query("example.org"))["view/name"].keep == ALWAYS  # type: ignore[attr-defined]  # it is asked for where it is used
    assert 'view="inside"' in metrics.exposition()[1].decode()


@pytest.mark.parametrize(
    ("directives", "wrong"),
    [
        ("view", "expected: view NAME"),
        ("view a b", "expected: view NAME"),
        ("view x {\nfoo bar\n}", "unknown option 'foo'"),
        ("view x {\nexpr\n}", "expected: expr EXPRESSION"),
        ("view a\nview b", "only be used once"),
        ("view x {\nexpr name()\n}", "expected an expression that is true or false, found a string"),
    ],
)
def test_what_is_written_wrong_is_an_error(directives: str, wrong: str) -> None:
    assert wrong in errors(directives)


def test_an_error_points_into_the_expression() -> None:
    assert errors("view x {\n    expr name() ==  foo('a')\n}", ".:53") == (
        "Corefile:3:21: error: expr: there is no function 'foo'\n"
        "    expr name() ==  foo('a')\n"
        "                    ^\n"
        "  a string stands in single quotes, for the Corefile takes double ones away"
    )
    assert "Corefile:3:16: error" in errors('view x {\nexpr "true and 1"\n}', ".:53")


def test_an_expression_that_a_comment_cuts_off_gets_a_hint() -> None:
    assert "put the expression in double quotes" in errors("view x {\nexpr any(['a'], #)\n}")
    assert errors("view x {\nexpr \"any(['a'], # == name())\"\n}") == ""


def test_metadata_without_the_plugin_is_worth_a_warning() -> None:
    made = block("view x {\nexpr metadata('geoip/country/code') == 'DE'\n}\nwhoami")
    assert [warning.message for warning in made.warnings] == ["metadata() is always empty here"]
    assert block("metadata\nview x {\nexpr metadata('geoip/asn/org') == ''\n}\nwhoami").warnings == []
