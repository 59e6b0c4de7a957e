"""What a Corefile may look like, and what it then says."""

from __future__ import annotations

import pytest

from pydnsk8s import names
from pydnsk8s.corefile import DEFAULT, Corefile, dump, parse

KUBEADM = """\
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
"""

NODELOCAL = """\
cluster.local:53 {
    errors
    cache {
            success 9984 30
            denial 9984 5
    }
    reload
    loop
    bind 192.0.2.10 198.51.100.10
    forward . 203.0.113.10 {
            force_tcp
    }
    prometheus :9253
    health 192.0.2.10:8080
    }
in-addr.arpa:53 {
    errors
    cache 30
    forward . 203.0.113.10 {
            force_tcp
    }
    }
ip6.arpa:53 {
    errors
    cache 30
    }
.:53 {
    errors
    cache 30
    forward . /etc/resolv.conf
    }
"""


def words(corefile: Corefile) -> list[list[tuple[str, ...]]]:
    return [[directive.words for directive in block.directives] for block in corefile.blocks]


def test_the_corefile_of_kubeadm_is_read_whole() -> None:
    corefile = parse(KUBEADM)
    (block,) = corefile.blocks
    (key,) = block.keys
    assert (key.scheme, key.zones, key.port, key.text) == ("dns", (names.ROOT,), 53, ".:53")
    assert [directive.name for directive in block.directives] == (
        "errors health ready kubernetes prometheus forward cache loop reload loadbalance".split()
    )
    kubernetes = block.directives[3]
    assert kubernetes.args == ("cluster.local", "in-addr.arpa", "ip6.arpa")
    assert [option.words for option in kubernetes.options] == [
        ("pods", "insecure"),
        ("fallthrough", "in-addr.arpa", "ip6.arpa"),
        ("ttl", "30"),
    ]
    assert corefile.warnings == ()


def test_the_corefile_of_nodelocal_has_four_blocks_on_one_port() -> None:
    blocks = parse(NODELOCAL).blocks
    assert [block.keys[0].text for block in blocks] == ["cluster.local:53", "in-addr.arpa:53", "ip6.arpa:53", ".:53"]
    assert [len(block.directives) for block in blocks] == [8, 3, 2, 3]
    assert blocks[0].directives[5].options[0].words == ("force_tcp",)


@pytest.mark.parametrize("text", ["", "\n \t\n", "# nothing here", "\ufeff", "(unused) {\n    log\n}\n"])
def test_a_corefile_without_blocks_stands_for_the_default_one(text: str) -> None:
    assert parse(text, known=["log"]) == parse(DEFAULT)


def test_a_single_block_may_leave_out_its_braces() -> None:
    assert parse("example.org\nlog\nerrors {\n stacktrace\n}\n") == parse(
        "example.org {\n log\n errors {\n stacktrace\n }\n}"
    )
    assert words(parse("example.org")) == [[]]


def test_keys_are_separated_by_space_and_go_on_in_the_next_line_after_a_comma() -> None:
    (block,) = parse("example.org, example.net example.com,\n\n  tls://. {\n}").blocks
    assert [key.text for key in block.keys] == ["example.org", "example.net", "example.com", "tls://."]
    assert block.keys[3].scheme == "tls"


@pytest.mark.parametrize(
    ("text", "scheme", "zone", "port"),
    [
        (".", "dns", ".", None),
        (".:0", "dns", ".", 0),
        ("dns://.:1053", "dns", ".", 1053),
        ("Example.ORG.:5300", "dns", "example.org.", 5300),
        ("tls://example.org", "tls", "example.org.", None),
        ("TLS://example.org", "tls", "example.org.", None),
        ("quic://example.org", "quic", "example.org.", None),
        ("grpc://example.org:443", "grpc", "example.org.", 443),
        ("https://example.org", "https", "example.org.", None),
        ("https3://example.org", "https3", "example.org.", None),
        ("192.0.2.0/24", "dns", "2.0.192.in-addr.arpa.", None),
        ("192.0.2.77/24:53", "dns", "2.0.192.in-addr.arpa.", 53),
        ("2001:db8::/32", "dns", "8.b.d.0.1.0.0.2.ip6.arpa.", None),
        ("2001:db8::/32:1053", "dns", "8.b.d.0.1.0.0.2.ip6.arpa.", 1053),
        ("0/25.2.0.192.in-addr.arpa", "dns", "0/25.2.0.192.in-addr.arpa.", None),
    ],
)
def test_a_key_is_a_scheme_a_zone_and_a_port(text: str, scheme: str, zone: str, port: int | None) -> None:
    (key,) = parse(f"{text} {{\n}}").blocks[0].keys
    assert (key.scheme, [names.text(zone) for zone in key.zones], key.port) == (scheme, [zone], port)


@pytest.mark.parametrize(("prefix", "zones"), [("10.0.0.0/17", 128), ("192.0.2.0/27", 32), ("2001:db8::/31", 2)])
def test_a_prefix_off_a_border_stands_for_all_zones_of_the_next_one(prefix: str, zones: int) -> None:
    assert len(set(parse(f"{prefix} {{\n}}").blocks[0].keys[0].zones)) == zones


def test_quotes_keep_space_line_ends_and_signs_of_comment_in_one_word() -> None:
    text = (
        '. {\n log "a b" "" "#x" "two\nlines" "say \\"hi\\"" "\\d\\\\" mid"quote "a"b "{" "}"\n errors # not this\n}\n'
    )
    directive, following = parse(text).blocks[0].directives
    assert directive.args == ("a b", "", "#x", "two\nlines", 'say "hi"', "\\d\\\\", 'mid"quote', "a", "b", "{", "}")
    assert following.words == ("errors",)
    assert (following.tokens[0].place.line, following.tokens[0].place.column) == (4, 2)


def test_a_sign_of_comment_inside_a_word_belongs_to_it_and_is_warned_about() -> None:
    corefile = parse(". {\n    log foo#bar\n}\n")
    assert words(corefile) == [[("log", "foo#bar")]]
    assert str(corefile.warnings[0]) == (
        "Corefile:2:9: warning: '#' inside a word does not begin a comment\n"
        "    log foo#bar\n"
        "        ^^^^^^^\n"
        "  quote the word, or put a space before '#' to begin a comment; CoreDNS would read 'foo'"
    )


@pytest.mark.parametrize(
    "text",
    [
        ".\n{\n    health {\n        lameduck 5s\n    }\n}\n",
        ". { health { lameduck 5s } }",
        ". { health {\n lameduck 5s }\n}",
        "\ufeff. {\r\n  health {\r\n    lameduck 5s\r\n  }\r\n}\r\n",
        ".\u00a0{\n\u2003health\u3000{\n\vlameduck\f5s\n}\n}",
    ],
)
def test_the_layout_of_braces_and_spaces_does_not_matter(text: str) -> None:
    assert parse(text) == parse(". {\n    health {\n        lameduck 5s\n    }\n}\n")


def test_an_empty_block_is_a_block_and_two_braces_in_one_word_are_a_word() -> None:
    spaced, together, none = parse(". {\n cache { }\n cache {}\n cache\n}").blocks[0].directives
    assert (spaced.words, spaced.has_block, spaced.options) == (("cache",), True, ())
    assert (together.words, together.has_block) == (("cache", "{}"), False)
    assert not none.has_block


def test_a_repeated_directive_stays_repeated_in_the_order_of_the_file() -> None:
    corefile = parse(". {\n forward example.org 192.0.2.1\n log\n forward . 192.0.2.2\n}")
    assert words(corefile) == [[("forward", "example.org", "192.0.2.1"), ("log",), ("forward", ".", "192.0.2.2")]]


def test_templates_in_an_option_are_ordinary_words() -> None:
    (template,) = parse(". {\n template IN A {\n answer {{ .Name }} 60 IN A 192.0.2.1\n }\n}").blocks[0].directives
    assert template.options[0].args[:3] == ("{{", ".Name", "}}")


ENVIRON = {
    "ZONE": "example.org",
    "ADDRESSES": "192.0.2.1 192.0.2.2",
    "OUTER": "<{$INNER}>",
    "INNER": "in",
    "PLUGIN": "log",
}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{$ZONE}", "example.org"),
        ("{%ZONE%}", "example.org"),
        ("a.{$ZONE}:{$INNER}", "a.example.org:in"),
        ("{$ADDRESSES}", "192.0.2.1 192.0.2.2"),
        ('"{$ZONE} and {%ZONE%}"', "example.org and example.org"),
        ("{$OUTER}", "<in>"),
        ("x{$UNSET}y", "xy"),
        ("{$}{$ZONE}", "{$}{$ZONE}"),
        ("{$ZONE", "{$ZONE"),
        ("{/ZONE}", "{/ZONE}"),
    ],
)
def test_the_environment_fills_in_words_after_they_are_split(written: str, read: str) -> None:
    assert words(parse(f". {{\n log {written}\n}}", environ=ENVIRON)) == [[("log", read)]]


def test_the_environment_fills_in_zones_directives_and_snippets() -> None:
    text = "(s) {\n {$PLUGIN} {$INNER}\n}\n{$ZONE}:53 {\n import {$SNIPPET}\n}"
    assert dump(parse(text, environ=ENVIRON | {"SNIPPET": "s"})) == "example.org:53 {\n    log in\n}\n"


def test_an_unset_variable_is_warned_about_and_leaves_out_its_zone() -> None:
    corefile = parse("example.org {$MORE} {\n}", environ={})
    assert [key.text for key in corefile.blocks[0].keys] == ["example.org"]
    assert [warning.message for warning in corefile.warnings] == ["the environment has no variable 'MORE'"]


def test_what_the_environment_fills_in_is_no_brace_and_no_import() -> None:
    corefile = parse(
        ". {\n log {$OPEN} {$CLOSE}\n {$IMPORT} x\n}", environ={"OPEN": "{", "CLOSE": "}", "IMPORT": "import"}
    )
    assert words(corefile) == [[("log", "{", "}"), ("import", "x")]]


def test_a_directive_read_as_a_zone_is_warned_about() -> None:
    corefile = parse("errors\nlog\n", known=["errors", "log"])
    assert [warning.message for warning in corefile.warnings] == ["'errors' is a zone here, not the directive"]


def test_the_digest_changes_with_what_is_said_and_not_with_how() -> None:
    digest = parse(KUBEADM).digest
    assert parse("# kept\n\n" + KUBEADM.replace("    ", "\t").replace("ttl 30", 'ttl "30" # s')).digest == digest
    assert parse(KUBEADM.replace("ttl 30", "ttl 31")).digest != digest
    assert (
        parse(". {\n log {$X}\n}", environ={"X": "1"}).digest != parse(". {\n log {$X}\n}", environ={"X": "2"}).digest
    )
    assert len(digest) == 128


def test_a_corefile_is_printed_in_one_layout() -> None:
    text = 'example.org,\nexample.net {\nlog "a b" "" \n cache {}\n\ncache { }\nerrors { stacktrace }\n}\n. {\n}'
    assert dump(parse(text)) == (
        "example.org example.net {\n"
        '    log "a b" ""\n'
        "    cache {}\n"
        "    cache {\n"
        "    }\n"
        "    errors {\n"
        "        stacktrace\n"
        "    }\n"
        "}\n"
        "\n"
        ". {\n"
        "}\n"
    )
