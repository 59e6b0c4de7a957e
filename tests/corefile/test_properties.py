"""What holds for every Corefile, and for every text that is none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s.corefile import Corefile, CorefileError, Problem, dump, parse

ENVIRON = {"A": "x y", "B": "{%A%}", "C": "{$}", "BRACE": "{", "EMPTY": "", "QUOTE": '"', "D": "{$"}
PIECES = [
    *["{", "}", "\n", "\n", " ", " ", "\t", "\r\n", "\u00a0", '"', '\\"', "\\", "#", ",", ":", "import", "(a)", "(b)"],
    *["a", "b", ".", ":53", "example.org", "log", "{$A}", "{%B%}", "{$C}", "{$BRACE}", "{$EMPTY}", "{$D}", "{%", "%}"],
    *[". {\n", "log {\n", "import a\n", "(a) {\n", "\n}\n", "192.0.2.0/25", "tls://", "é"],
]
soup = st.lists(st.sampled_from(PIECES)).map("".join)


def written(words: list[str]) -> str:
    return " ".join('"' + word.replace('"', '\\"') + '"' for word in words)


words = st.lists(
    st.text(st.characters(exclude_characters="\\\0", exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=4
)
directives = st.tuples(words, st.none() | st.lists(words, max_size=3))
keys = st.sampled_from(
    [".", ".:53", "example.org", "tls://Example.net:853", "192.0.2.0/25", "2001:db8::/31", "xn--a.example"]
)
blocks = st.tuples(st.lists(keys, min_size=1, max_size=3), st.lists(directives, max_size=4))


@st.composite
def corefiles(draw: st.DrawFn) -> str:
    lines: list[str] = []
    for zones, inside in draw(st.lists(blocks, min_size=1, max_size=3)):
        lines.append(draw(st.sampled_from([", ", " ", ",\n"])).join(zones) + " {")
        for directive, options in inside:
            lines.append(written(directive) + (" {" if options is not None else ""))
            if options is not None:
                lines += [*map(written, options), "}"]
        lines.append("}")
    return draw(st.sampled_from(["\n", "\r\n", "\n\n# comment\n\t"])).join(lines)


def outcome(text: str) -> Corefile | tuple[Problem, ...]:
    try:
        return parse(text, environ=ENVIRON)
    except CorefileError as error:
        return error.problems


@given(corefiles())
def test_a_corefile_reads_back_as_printed(text: str) -> None:
    corefile = parse(text, environ={})
    again = parse(dump(corefile), environ={})
    assert again == corefile
    assert again.digest == corefile.digest
    assert dump(again) == dump(corefile)


@given(soup | st.text())
def test_any_text_is_a_corefile_or_an_error(text: str) -> None:
    result = outcome(text)
    if isinstance(result, tuple):
        assert all(problem.severity == "error" and "error: " in str(problem) for problem in result)
    # No quotes can hold a space behind which the environment has put a lone backslash.
    elif "\\" not in text or not ("{$" in text or "{%" in text):
        assert parse(dump(result), environ=ENVIRON) == result


@given(soup | st.text())
def test_every_problem_points_into_the_text(text: str) -> None:
    result = outcome(text)
    problems = result.warnings if isinstance(result, Corefile) else result
    rows = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    for problem in problems:
        if problem.place is not None and problem.place.file == "Corefile" and "is this a text" not in problem.message:
            assert problem.place.text == rows[problem.place.line - 1]
            assert 1 <= problem.place.column <= len(problem.place.text) + 1


@given(soup | st.text(), st.sampled_from(["\n", "# comment\n", "\ufeff\n"]))
def test_a_comment_or_empty_line_changes_nothing_that_is_said(text: str, before: str) -> None:
    plain, commented = outcome(text), outcome(before + text.removeprefix("\ufeff"))
    if isinstance(plain, Corefile):
        assert commented == plain
    else:
        assert isinstance(commented, tuple)
        assert [problem.message for problem in commented] == [problem.message for problem in plain]
