"""bind: which addresses a block listens on."""

from __future__ import annotations

import ipaddress
import socket

from pydnsk8s.listen import interfaces

from .blocks import block, errors


def test_a_block_listens_on_the_addresses_it_names() -> None:
    assert block("bind 192.0.2.1 2001:db8::1").hosts == ("192.0.2.1", "2001:db8::1")


def test_several_uses_add_up_without_repeating() -> None:
    assert block("bind 192.0.2.1\nbind 192.0.2.2 192.0.2.1").hosts == ("192.0.2.1", "192.0.2.2")


def test_an_interface_stands_for_all_its_addresses() -> None:
    assert block("bind lo").hosts == interfaces.addresses()["lo"]
    assert "127.0.0.1" in block("bind lo").hosts


def test_exceptions_are_left_out() -> None:
    hosts = block("bind lo 192.0.2.1 {\nexcept 127.0.0.1\n}").hosts
    assert "127.0.0.1" not in hosts
    assert "192.0.2.1" in hosts


def test_leaving_nothing_out_of_which_to_choose_is_an_error_and_never_means_all_addresses() -> None:
    assert "no address is left" in errors("bind lo {\nexcept lo\n}")


def test_an_address_with_its_zone_is_understood() -> None:
    assert block("bind fe80::1%lo").hosts == ("fe80::1%lo",)


def test_a_name_that_is_neither_is_an_error_that_lists_the_interfaces() -> None:
    found = errors("bind 127.0.0.1 nowhere0")
    assert "neither an IP address nor an interface: 'nowhere0'" in found
    assert "interfaces here: " in found
    assert "lo" in found
    assert "except: neither an IP address" in errors("bind lo {\nexcept nowhere0\n}")


def test_it_wants_addresses_and_knows_one_option() -> None:
    assert "expected: bind ADDRESS|INTERFACE..." in errors("bind")
    assert "expected: except ADDRESS|INTERFACE..." in errors("bind lo {\nexcept\n}")
    assert "unknown option 'exept'" in errors("bind lo {\nexept lo\n}")


def test_the_kernels_list_names_every_interface_and_only_real_addresses() -> None:
    listed = interfaces.addresses()
    assert set(listed) == {name for _, name in socket.if_nameindex()}
    for address in (address for addresses in listed.values() for address in addresses):
        parsed = ipaddress.ip_address(address)
        assert not parsed.is_unspecified
        assert ("%" in address) == (parsed.version == 6 and parsed.is_link_local)
