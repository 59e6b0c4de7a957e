"""metadata: in which zones labels are collected."""

from __future__ import annotations

from pydnsk8s import names

from .blocks import block, errors


def test_labels_are_collected_in_the_zones_of_the_block() -> None:
    found = block("metadata", "example.org:0 example.net:0").labelled
    assert found == (names.parse("example.org"), names.parse("example.net"))


def test_zones_can_be_chosen_and_written_as_prefixes() -> None:
    found = block("metadata a.example.org 192.0.2.0/24", "example.org:0").labelled
    assert found == (names.parse("a.example.org"), names.parse("2.0.192.in-addr.arpa"))


def test_without_the_directive_none_are() -> None:
    assert block("whoami").labelled == ()


def test_it_is_used_once_and_has_no_options() -> None:
    assert "only be used once" in errors("metadata\nmetadata example.org")
    assert "takes no options" in errors("metadata example.org {\nfoo\n}")
