"""What is said about a Corefile that is wrong: where, what, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pydnsk8s.corefile import CorefileError, Place, Problem, load, parse

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = ["cache", "errors", "forward", "health", "log", "whoami"]


def complaint(text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(CorefileError) as caught:
        parse(text, known=KNOWN, environ=environ)
    return str(caught.value)


RENDERINGS = [
    (
        """\
. {
    cahce 30
}
""",
        """\
Corefile:2:5: error: unknown directive 'cahce'
    cahce 30
    ^^^^^
  did you mean 'cache'?
""",
    ),
    (
        """\
. {
\tlog
\tnosuch thing
}
""",
        """\
Corefile:3:2: error: unknown directive 'nosuch'
    nosuch thing
    ^^^^^^
""",
    ),
    (
        """\
. {
    multisocket 2
    dnssec
}
""",
        """\
Corefile:2:5: error: CoreDNS's directive 'multisocket' does not exist here
    multisocket 2
    ^^^^^^^^^^^
  one process uses one core: run more replicas instead
Corefile:3:5: error: CoreDNS's directive 'dnssec' does not exist here yet
    dnssec
    ^^^^^^
""",
    ),
    (
        """\
:53 {
    log
}
""",
        """\
Corefile:1:1: error: the key ':53' has no zone
    :53 {
    ^^^
  write '.' or '.:53' to serve every name
""",
    ),
    (
        """\
example.org, {
}
""",
        """\
Corefile:1:1: error: expected another zone after the comma, found '{'
    example.org, {
    ^^^^^^^^^^^^
  remove the comma
""",
    ),
    (
        """\
. {
    log
""",
        """\
Corefile:1:3: error: this '{' is never closed
    . {
      ^
  the file ends before its '}'
""",
    ),
    (
        """\
. {
    log
}
}
""",
        """\
Corefile:4:1: error: this '}' closes nothing
    }
    ^
  is it one too many, or is a '{' missing above?
""",
    ),
    (
        """\
.{
    log
}
""",
        """\
Corefile:1:1: error: a key cannot hold '{': '.{'
    .{
    ^^
  put a space before '{'; an environment variable is written {$NAME}
""",
    ),
    (
        """\
. {
    health{
        lameduck 5s
    }
}
""",
        """\
Corefile:2:5: error: 'health{' begins no block
    health{
    ^^^^^^^
  put a space before '{'
""",
    ),
    (
        """\
. {
    health
    {
        lameduck 5s
    }
}
""",
        """\
Corefile:3:5: error: '{' must stand on the line of its directive
    {
    ^
""",
    ),
    (
        """\
. {
    health {
        lameduck 5s
    cache {
        x
    }
}
""",
        """\
Corefile:4:11: error: a block cannot stand inside the block of 'health'
    cache {
          ^
  is a '}' missing above?
""",
    ),
    (
        """\
. {
    log "never closed
}
""",
        """\
Corefile:2:9: error: this quote is never closed
    log "never closed
        ^^^^^^^^^^^^^
  write \\" for a quote inside of quotes
""",
    ),
    (
        """\
. {
    log
example.net {
    log
}
}
""",
        """\
Corefile:3:1: error: unknown directive 'example.net'
    example.net {
    ^^^^^^^^^^^
  if a new server block begins here, the '}' of the one above is missing
""",
    ),
]


@pytest.mark.parametrize(("text", "expected"), RENDERINGS)
def test_an_error_shows_its_place_its_line_and_the_way_out(text: str, expected: str) -> None:
    assert complaint(text) == expected.rstrip("\n")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("example.org:", "expected a port after the last colon: 'example.org:'"),
        ("example.org:dns", "expected a port after the last colon, found 'dns'"),
        ("192.0.2.0/24:dns", "expected a port after the last colon, found 'dns'"),
        ("example.org:65536", "expected a port from 0 to 65535, found 65536"),
        ("example..org", "not a domain name (an empty label): 'example..org'"),
        ("a." * 128 + "org", f"not a domain name (over 255 octets): '{'a.' * 128}org'"),
        ("a" * 64, f"not a domain name (a label over 63 octets): '{'a' * 64}'"),
        ("192.0.2.0/33", "not an address prefix: '192.0.2.0/33'"),
        ("2001:db8::1", "not a zone: '2001:db8::1'"),
        ("2001:db8::/129", "not an address prefix: '2001:db8::/129'"),
        ("example.org,example.net", "a key cannot hold ',': 'example.org,example.net'"),
        ("gopher://example.org", "unknown scheme 'gopher://'"),
        ("://example.org", "unknown scheme '://'"),
        ('"example.org example.net"', "a key cannot hold ' ': 'example.org example.net'"),
        ("(a) example.org", "a key cannot hold '(': '(a)'"),
        ("bücher.example", "not a domain name (write it in its xn-- form): 'bücher.example'"),
        ('""', "a server block needs a zone"),
        ("", "a server block needs a zone"),
    ],
)
def test_a_wrong_key_is_named(key: str, expected: str) -> None:
    with pytest.raises(CorefileError) as caught:
        parse(f"{key} {{\n    log\n}}\n")
    assert [problem.message for problem in caught.value.problems] == [expected]


def test_all_errors_are_told_at_once_in_the_order_of_the_lines() -> None:
    text = 'example.org: 192.0.2.0/33 {\n    helth {\n        x\n    }\n    log "\n    cahce\n}\n.:x {\n    lgo\n}\n}\n'
    with pytest.raises(CorefileError) as caught:
        parse(text, known=KNOWN)
    places = [problem.place for problem in caught.value.problems]
    assert [(place.line, place.column) for place in places if place] == [
        (1, 1), (1, 14), (2, 5), (5, 9), (6, 5), (8, 1), (9, 5), (11, 1)
    ]  # fmt: skip


def test_reading_stops_after_a_hundred_errors() -> None:
    with pytest.raises(CorefileError) as caught:
        parse(". {\n" + "    nosuch\n" * 1000 + "}\n", known=KNOWN)
    assert len(caught.value.problems) == 101
    assert "stopped reading after 100 errors" in str(caught.value)


def test_variables_that_refer_to_each_other_are_an_error() -> None:
    environ = {"A": "{$B}", "B": "x{$A}", "WIDE": "{$WIDER}" * 1000, "WIDER": "{$WIDEST}" * 1000, "WIDEST": "y" * 1000}
    assert "do not come to an end" in complaint(". {\n    log {$A}\n}\n", environ)
    assert "do not come to an end" in complaint(". {\n    log {$WIDE}\n}\n", environ)


def test_a_file_that_ends_after_a_comma_is_an_error() -> None:
    assert "found the end of the file" in complaint("example.org,\n")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            b". {\n    log \xff\n}\n",
            "{path}:2:9: error: not UTF-8 text: found the byte 0xff\n    log \ufffd\n        ^",
        ),
        (
            b". {\n    log\0\n}\n",
            "{path}:2:8: error: found the character '\\x00'; is this a text file?\n    log\n       ^",
        ),
    ],
)
def test_a_file_that_is_no_text_is_refused_at_the_odd_byte(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "Corefile"
    path.write_bytes(content)
    with pytest.raises(CorefileError) as caught:
        load(path)
    assert str(caught.value) == expected.format(path=path)


def test_a_missing_folder_like_or_oversized_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorefileError, match="No such file or directory"):
        load(tmp_path / "nothing")
    with pytest.raises(CorefileError, match="Is a directory"):
        load(tmp_path)
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(CorefileError, match="larger than 16 MiB"):
        load(big)


def test_a_long_line_is_shown_around_the_caret() -> None:
    place = Place("Corefile", 1, 501, "x" * 500 + "here" + "y" * 500)
    _, shown, carets, hint = str(Problem(place, "wrong", "hint", width=4)).split("\n")
    assert len(shown) == 124
    assert shown[carets.index("^") : carets.index("^") + 4] == "here"
    assert hint == "  hint"


def test_a_control_character_does_not_reach_the_terminal() -> None:
    assert "\x1b" not in str(Problem(Place("Corefile", 1, 1, "a\x1b[31m\tb"), "wrong"))


def test_a_problem_without_a_place_is_one_line() -> None:
    assert str(Problem(None, "no server", severity="warning")) == "warning: no server"
