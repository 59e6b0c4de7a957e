"""Label selectors, as `kubectl get -l` takes them."""

from __future__ import annotations

import pytest

from pydnsk8s.kube.selector import Selector

LABELS = (("k8gb.io/dnstype", "local"), ("tier", "web"), ("rank", "7"), ("empty", ""))


@pytest.mark.parametrize(
    "text",
    [
        "k8gb.io/dnstype=local",
        "k8gb.io/dnstype == local",
        "tier",
        "!env",
        "env!=prod",
        "tier != db",
        "tier in (db, web)",
        "tier notin (db)",
        "env notin (a,b)",
        "rank>6",
        "rank < 8",
        "empty=",
        "tier=web,k8gb.io/dnstype in (local,extdns),!env",
    ],
)
def test_what_meets_all_requirements_is_picked(text: str) -> None:
    assert Selector(text).picks(LABELS)


@pytest.mark.parametrize(
    "text",
    [
        "k8gb.io/dnstype=extdns",
        "!tier",
        "env",
        "env=",
        "tier!=web",
        "tier in (db)",
        "env in (a)",
        "tier notin (web)",
        "rank>7",
        "tier<9",
        "env>1",
        "tier=web,env",
    ],
)
def test_what_misses_one_is_not(text: str) -> None:
    assert not Selector(text).picks(LABELS)


@pytest.mark.parametrize("text", ["", "a=b,", "a b", "=b", "a in b", "a>b", "a in (b", "a=b=c"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a label selector"):
        Selector(text)
