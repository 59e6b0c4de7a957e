"""From a Corefile to what each address serves."""

from __future__ import annotations

import pytest

from pydnsk8s import names
from pydnsk8s.configuration import Configuration, configure, label
from pydnsk8s.corefile import CorefileError, parse


def read(text: str, port: int = 53) -> Configuration:
    return configure(parse(text), port=port)


def served(text: str) -> dict[str, list[str]]:
    """The zones at each address."""
    return {
        label(address): [names.text(site.zone) for site in router.sites]
        for address, router in read(text).routers.items()
    }


def problems(text: str) -> list[str]:
    with pytest.raises(CorefileError) as error:
        read(text)
    return [problem.message for problem in error.value.problems]


def test_a_key_without_a_port_is_served_at_the_default() -> None:
    assert served("example.org {\nwhoami\n}\nexample.com:1053 {\nwhoami\n}") == {
        "dns://:53": ["example.org."],
        "dns://:1053": ["example.com."],
    }
    assert list(read("example.org {\nwhoami\n}", port=5300).routers) == [("", 5300)]


def test_all_keys_of_a_block_lead_to_it() -> None:
    configuration = read("example.org example.com 192.0.2.0/24 {\nwhoami\n}")
    (block,) = configuration.blocks
    assert [names.text(zone) for zone in block.zones] == ["example.org.", "example.com.", "2.0.192.in-addr.arpa."]
    assert all(site.block is block for site in configuration.routers["", 53].sites)
    assert len(configuration.plugins) == 1


def test_bind_opens_its_own_addresses() -> None:
    text = "example.org {\nbind 127.0.0.1 ::1\nwhoami\n}"
    assert served(text) == {"dns://127.0.0.1:53": ["example.org."], "dns://[::1]:53": ["example.org."]}


def test_a_bound_address_serves_the_zones_of_unbound_blocks_too() -> None:
    text = "example.org {\nbind 127.0.0.1\nwhoami\n}\nexample.com {\nwhoami\n}"
    assert served(text) == {"dns://127.0.0.1:53": ["example.org.", "example.com."], "dns://:53": ["example.com."]}


def test_so_it_does_the_zones_of_blocks_bound_to_all_addresses_of_its_family() -> None:
    text = "example.org {\nbind 127.0.0.1 ::1\nwhoami\n}\nexample.com {\nbind 0.0.0.0\nwhoami\n}"
    assert served(text) == {
        "dns://127.0.0.1:53": ["example.org.", "example.com."],
        "dns://[::1]:53": ["example.org."],
        "dns://0.0.0.0:53": ["example.com."],
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("example.org {\nwhoami\n}\nexample.com {\nbind 0.0.0.0\nwhoami\n}", "are the same addresses"),
        ("example.org {\nbind ::\nwhoami\n}\nexample.com {\nwhoami\n}", "are the same addresses"),
        ("example.org {\nwhoami\n}\nexample.org {\nwhoami\n}", "example.org. on dns://:53 is already served"),
        ("example.org {\nwhoami\n}\nexample.org:53 {\nwhoami\n}", "is already served"),
        ("example.org {\nbind 127.0.0.1\nwhoami\n}\nexample.org {\nwhoami\n}", "both on all addresses and on one"),
        ("tls://example.org {\nwhoami\n}", "tls:// is not served yet"),
        ("https://example.org {\nwhoami\n}", "https:// is not served yet"),
    ],
)
def test_what_cannot_be_is_an_error(text: str, problem: str) -> None:
    assert any(problem in message for message in problems(text))


def test_all_problems_are_told_at_once() -> None:
    text = "example.org {\nhosts {\nttl x\n}\nnsid\nnsid\n}\nexample.org {\ncancel soon\nwhoami\n}"
    assert len(problems(text)) == 4


def test_a_directive_that_may_stand_once_stands_once_in_each_block() -> None:
    read("example.org {\nnsid\nwhoami\n}\nexample.com {\nnsid\nwhoami\n}")
    assert len(problems("example.org {\nnsid\nnsid\nwhoami\n}")) == 1


def test_a_block_that_answers_nothing_is_warned_of() -> None:
    (warning,) = read("example.org {\ndebug\n}").warnings
    assert "every query for example.org is refused" in warning.message
    assert warning.severity == "warning"


def test_plugins_stand_in_chain_order_whatever_the_corefile_writes() -> None:
    configuration = read("example.org {\nwhoami\nhosts\ncache\nerrors\nnsid\n}")
    assert [plugin.name for plugin in configuration.plugins] == ["nsid", "errors", "cache", "hosts", "whoami"]


def test_the_same_corefile_is_set_up_the_same_way() -> None:
    text = "example.org {\nwhoami\nhosts\ncache\n}"
    first, second = read(text), read(text)
    assert [plugin.written for plugin in first.plugins] == [plugin.written for plugin in second.plugins]
    other = read(text.replace("hosts", "hosts /etc/hosts"))
    assert [plugin.written for plugin in first.plugins] != [plugin.written for plugin in other.plugins]
