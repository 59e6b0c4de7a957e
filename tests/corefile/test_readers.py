"""How a plugin reads the words of its directive, and what the user is told about a wrong one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s.corefile import CorefileError, Directive, Option, durations, parse


def directive(text: str) -> Directive:
    return parse(f". {{\n{text}\n}}\n").blocks[0].directives[0]


def option(text: str) -> Option:
    return directive(f"hosts {{\n    {text}\n}}").options[0]


def said(error: CorefileError) -> str:
    return "\n".join(problem.message for problem in error.problems)


def test_the_words_of_an_option_can_be_matched() -> None:
    match option("ttl 30").words:
        case ["ttl", seconds]:
            assert seconds == "30"
        case _:
            pytest.fail("not matched")


def test_a_number_out_of_range_is_shown_where_it_stands() -> None:
    with pytest.raises(CorefileError) as caught:
        option("ttl 0").number("0", 1, 65535)
    assert str(caught.value) == ("Corefile:3:9: error: ttl: expected 1 to 65535, found 0\n    ttl 0\n        ^")


def test_a_number_is_a_whole_one_within_its_bounds() -> None:
    ttl = option("ttl 30")
    assert ttl.number("30", 30, 30) == 30
    assert ttl.number("-1", -1, 0) == -1
    for text in ("", "x", "1.5", "1_0", "٣", " 1", "0x10", "9" * 5000):
        with pytest.raises(CorefileError, match="expected a whole number from 0 to 10, found"):
            ttl.number(text, 0, 10)


def test_a_decimal_may_have_a_fraction() -> None:
    qps = option("apiserver_qps 50.5")
    assert qps.decimal("50.5", 0, 100) == 50.5
    assert qps.decimal(".5", 0, 100) == 0.5
    assert qps.decimal("7", 0, float("inf")) == 7
    for text in ("nan", "inf", "1e3", "-1", "101", "1_0", ""):
        with pytest.raises(CorefileError, match=f"expected a number from 0 to 100, found '{text}'"):
            qps.decimal(text, 0, 100)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300ms", 0.3), ("1m30s", 90), ("1.5h", 5400), ("-1s", -1), ("+1s", 1), ("0", 0), ("0s", 0),
        ("5us", 5e-6), ("5µs", 5e-6), ("5μs", 5e-6), ("7ns", 7e-9), (".5s", 0.5), ("1.s", 1), ("1s1h", 3601),
    ],
)  # fmt: skip
def test_a_duration_has_units(text: str, seconds: float) -> None:
    assert option("reload x").duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "1", "-", "1d", "1 s", "1s ", ".s", "1e3s", "٣s", "9999999h", "1ss", "--1s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(CorefileError, match="reload: expected a duration such as 30s, 1m30s or 500ms, found"):
        option("reload x").duration(text)


def test_a_bare_number_is_a_duration_only_where_the_plugin_says_so() -> None:
    with pytest.raises(CorefileError, match="write 30s for seconds"):
        option("reload 30").duration("30")
    assert option("reload 30").duration("30", plain=True) == 30
    assert option("reload 30").duration("2m", plain=True) == 120


def test_the_bounds_of_a_duration_are_named() -> None:
    reload = option("reload 1s")
    assert reload.duration("2s", low=2, high=2) == 2
    with pytest.raises(CorefileError, match="reload: expected at least 2s and at most 1m30s, found 1s"):
        reload.duration("1s", low=2, high=90)
    with pytest.raises(CorefileError, match="reload: expected at least 500ms, found -1s"):
        reload.duration("-1s", low=0.5)


@given(st.integers(-(2**62), 2**62))
def test_a_duration_reads_back_as_printed(nanoseconds: int) -> None:
    assert durations.parse(durations.text(nanoseconds / 1e9)) == pytest.approx(nanoseconds / 1e9)


def test_a_switch_is_one_of_its_choices() -> None:
    pods = option("pods insecure")
    assert pods.switch("insecure", "disabled", "insecure", "verified") == "insecure"
    assert pods.switch("Insecure", "disabled", "insecure", fold=True) == "insecure"
    with pytest.raises(CorefileError) as caught:
        pods.switch("insecur", "disabled", "insecure", "verified")
    assert said(caught.value) == "pods: expected one of disabled, insecure, verified, found 'insecur'"
    assert caught.value.problems[0].hint == "did you mean 'insecure'?"


def test_zones_domains_and_addresses_are_in_wire_form() -> None:
    fallthrough = option("fallthrough Example.org 192.0.2.0/25")
    zones = fallthrough.zones(fallthrough.args)
    assert zones[0] == b"\7example\3org\0"
    assert len(zones) == 129
    assert fallthrough.domain("A.example.org.") == b"\1a\7example\3org\0"
    assert fallthrough.address("192.0.2.1") == bytes((192, 0, 2, 1))
    assert len(fallthrough.address("2001:db8::1")) == 16


def test_a_wrong_zone_domain_or_address_is_shown_where_it_stands() -> None:
    line = option("fallthrough example.org a..b fe80::1%lo")
    with pytest.raises(CorefileError) as caught:
        line.zones(line.args[:2])
    assert said(caught.value) == "fallthrough: not a domain name (an empty label): 'a..b'"
    assert caught.value.problems[0].place == line.tokens[2].place
    with pytest.raises(CorefileError, match="an empty label"):
        line.domain("a..b")
    with pytest.raises(CorefileError, match=r"expected an IP address, found 'a\.\.b'"):
        line.address("a..b")
    with pytest.raises(CorefileError, match="expected an IP address without a zone, found 'fe80::1%lo'"):
        line.address("fe80::1%lo")


def test_an_error_about_no_word_of_the_line_points_at_its_beginning() -> None:
    line = option("success 100 30")
    assert line.error("no").problems[0].place == line.tokens[0].place
    assert line.error("no", "30").problems[0].place == line.tokens[2].place
    assert line.error("no", "elsewhere").problems[0].place == line.tokens[0].place


def test_an_unknown_option_is_answered_with_those_there_are() -> None:
    problem = option("tll 5").unknown("ttl", "reload").problems[0]
    assert (problem.message, problem.hint) == ("unknown option 'tll'; valid here: ttl, reload", "did you mean 'ttl'?")
    assert said(option("tll 5").unknown()) == "unknown option 'tll'"


def test_wrong_arguments_are_answered_with_the_right_usage() -> None:
    assert said(option("ttl").arguments("ttl SECONDS")) == "wrong number of arguments; expected: ttl SECONDS"


def test_a_directive_may_refuse_options_and_repetition() -> None:
    directive("whoami {\n}").no_options()
    with pytest.raises(CorefileError, match="whoami takes no options, found 'x'"):
        directive("whoami {\n x\n}").no_options()
    problem = directive("cache").twice(directive("\n cache")).problems[0]
    assert (problem.message, problem.hint) == (
        "cache can only be used once per server block",
        "it is already used at Corefile:3:2",
    )
