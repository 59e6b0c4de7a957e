"""Expressions of view: what they mean, what is wrong with them, and that nothing else can be done with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import names
from pydnsk8s.message import Query
from pydnsk8s.plugins.view.expression import decide, parse
from pydnsk8s.plugins.view.tokens import ExpressionError
from pydnsk8s.plugins.view.values import Asked, UndecidedError
from tests import strategies as draw

ASKED = Query(names.parse("www.example.org"), 28)


def value(source: str) -> object:
    return parse(source).run(Asked(ASKED))


@pytest.mark.parametrize(
    ("source", "meaning"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2 ** 3 ** 2", 512.0),
        ("2 ^ 3", 8.0),
        ("-2 + +3", 1),
        ("7 / 2", 3.5),
        ("-7 % 4", -3),
        ("0x1F + 1_000", 1031),
        ("1.5e1 + .5", 15.5),
        ("1..4", [1, 2, 3, 4]),
        ("[1, 'a', true, nil,]", [1, "a", True, None]),
        ("'it\\'s' + \" \" + `a\\b`", "it's a\\b"),
        (r"'\x41\u00e9\U0001F600\101\n'", "A\u00e9\U0001f600A\n"),
        ("1 == 1.0", True),
        ("[true] == [1]", False),
        ("nil == 'a'", False),
        ("'b' > 'a' and 2 >= 2 and 1 < 2 and 1 <= 1 and 1 != 2", True),
        ("true and not false or false", True),
        ("true && !false || false", True),
        ("false or true and false", False),
        ("not (true or false)", False),
        ("'a' in ['a', 'b']", True),
        ("'a' not in ['a', 'b']", False),
        ("name() matches '^www[.]example'", True),
        ("name() matches `\\.org\\.$`", True),
        ("name() not matches 'net'", True),
        ("name() startsWith 'www' and name() endsWith '.' and name() contains 'exam'", True),
        ("type() == 'AAAA' ? 'six' : 'four'", "six"),
        ("first([]) ?? 'none'", "none"),
        ("[1, 2, 3][0] + [1, 2, 3][-1]", 4),
        ("name()[0:3] + name()[-4:]", "wwworg."),
        ("[1, 2, 3][1:]", [2, 3]),
        ("[1, 2, 3][:]", [1, 2, 3]),
        ("name() | split('.') | len()", 4),
        ("'A.B' | lower() | replace('.', '-') | upper()", "A-B"),
        ("trim('  a ') + trim('xax', 'x') + trimPrefix('ab', 'a') + trimSuffix('ab', 'b')", "aaba"),
        ("hasPrefix('ab', 'a') and hasSuffix('ab', 'b') and indexOf('ab', 'b') == 1", True),
        ("join(split('a.b', '.'), '-') + join(['c', 'd'])", "a-bcd"),
        ("int('42') + int(1.9) + float('1.5') + abs(-1)", 45.5),
        ("string(1) + string(true) + string(nil)", "1truenil"),
        ("any([1, 2], # > 1) and all([1, 2], # > 0) and none([1], # > 1) and one([1, 2], # == 2)", True),
        ("any([1, 2], {# > 1})", True),
        ("count([1, 2, 3], # > 1)", 2),
        ("filter([1, 2, 3], # % 2 == 1) | map(# * 10) | last()", 30),
        ("any(['a', 'b'], any(['b'], # == 'b') and # == 'a')", True),
        ("incidr('192.0.2.77', '192.0.2.64/26') and incidr('2001:db8::1', '2001:db8::/32')", True),
    ],
)
def test_an_expression_means_what_it_means_in_expr_lang(source: str, meaning: object) -> None:
    assert value(source) == meaning


@pytest.mark.parametrize(
    "source",
    [
        "1 / 0 == 1", "1 % 0 == 1", "(0 - 1) ** 0.5 == 1", "10.0 ** 400 > 1", "[1][2] == 1", "first([]) > 1",
        "name() matches [name() + '('][0]", "incidr(name(), '192.0.2.0/24')", "incidr('192.0.2.1', name())",
        "incidr('192.0.2.1', string('192.0.2.1'))", "int('x') == 1", "first(['a']) == 1 or first(['a']) > 1",
        "9000000000 * " * 40 + "1.5 > 1",
        "len(1..100000) > 1", "len(first([1])) > 1", "first(['a'])",
    ],
)  # fmt: skip
def test_what_has_no_value_is_not_true(source: str) -> None:
    assert not decide(parse(source), Asked(ASKED))


@pytest.mark.parametrize(
    ("source", "wrong", "at"),
    [
        ("", "unexpected the end", 0),
        ("invalid expression", "there is no function 'invalid'", 0),
        ("name() == example.org.", "there is no function 'example'", 10),
        ("name() == 1", "'==' compares a string with a whole number", 7),
        ("1 < 'a'", "'<' compares", 2),
        ("true < false", "two numbers or two strings", 5),
        ("'a' + 1", "two numbers or two strings", 4),
        ("'a' * 2", "'*' wants a number on its left, found a string", 4),
        ("'a' in 'abc'", "'in' wants a list", 4),
        ("type() in [1, 28]", "a list of a whole number cannot hold a string", 7),
        ("not 'a' in ['a']", "'not' wants true or false", 0),
        ("true and 1", "'and' wants true or false", 9),
        ("1 ? 2 : 3", "'?' wants true or false", 2),
        ("true ? 1", "expected ':', found the end", 8),
        ("(1", "expected ')'", 2),
        ("[1 2]", "expected ','", 3),
        ("1 +", "unexpected the end", 3),
        ("1 2", "unexpected '2'", 2),
        ("'abc", "a string without an end", 0),
        ("'\\.'", "is no escape", 1),
        ("1 ; 2", "';' has no meaning here", 2),
        ("#", "stands for nothing outside", 0),
        ("any([1], #)", "any() wants true or false", 0),
        ("any(1, # == 1)", "any() wants a list", 0),
        ("name(1)", "name() takes 0 arguments, found 1", 0),
        ("incidr(client_ip())", "incidr() takes 2 arguments", 0),
        ("incidr(client_ip(), '10.0.0.0/33')", "found '10.0.0.0/33'", 0),
        ("incidr(client_ip(), '10.0.0.1')", "expected a prefix", 0),
        ("incidr(1, '10.0.0.0/8')", "incidr() wants a string, found a whole number", 0),
        ("name() matches '('", "not a regular expression", 7),
        ("name().__class__", "unexpected '.'", 6),
        ("__import__('os')", "there is no function '__import__'", 0),
        ("eval('1')", "there is no function 'eval'", 0),
        ("name", "expected '('", 4),
        ("1 | 2", "unexpected '2'", 4),
        ("1 < " + "9" * 5000, "a number of more than 64 bits", 4),
        ("0x8000000000000000 > 1", "a number of more than 64 bits", 0),
        ("5[0]", "'[' wants a list", 1),
        ("5[0:1]", "no part can be taken", 1),
        ("(" * 100 + "1", "too deep", 60),
        ("not " * 100 + "true", "too deep", 240),
        ("1" + " + 1" * 300, "more than 200 operators", 802),
    ],
)
def test_what_is_no_expression_says_why_and_where(source: str, wrong: str, at: int) -> None:
    with pytest.raises(ExpressionError) as error:
        parse(source)
    assert wrong in str(error.value)
    assert error.value.at == at


def test_a_long_list_of_alternatives_is_no_problem() -> None:
    assert decide(parse(" or ".join(["false"] * 5000 + ["true"])), Asked(ASKED))
    assert not decide(parse(" and ".join(["true"] * 5000 + ["false"])), Asked(ASKED))


def test_what_is_decided_is_not_looked_at_further() -> None:
    asked = Asked(ASKED)
    assert decide(parse("true or 1 / 0 == 1"), asked)
    assert not decide(parse("false and client_ip() == ''"), asked)
    assert decide(parse("true ? true : 1 / 0 == 1"), asked)


WORDS = [
    "1", "0", "'a'", "true", "nil", "name()", "type()", "size()", "client_ip()", "'192.0.2.0/24'", "incidr(",
    "metadata(",
    "any(", "len(", "map(", "split(", "(", ")", "[", "]", ",", "#", "?", ":", "|", "not", "-", "==", "<", "and", "or",
    "in", "matches", "+", "*", "/", "%", "**", "..", "??", "{", "}",
]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=30), draw.queries())
def test_any_text_is_an_expression_or_an_error_and_any_query_true_of_it_or_not(source: str, query: Query) -> None:
    try:
        node = parse(source)
    except ExpressionError as error:
        place = error.at
        assert 0 <= place <= len(source)
        return
    assert decide(node, Asked(query)) in (True, False)
    try:
        found = node.run(Asked(query))
    except UndecidedError:
        return
    assert isinstance(found, bool | int | float | str | list | None)
