"""bind - chooses the addresses that a server block listens on."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Self

from pydnsk8s.corefile import Directive, Option
from pydnsk8s.listen import interfaces
from pydnsk8s.plugin import Plugin, ServerBlock

_USAGE = {"except": "except ADDRESS|INTERFACE..."}


class Bind(Plugin):
    """Adds addresses, and those of network interfaces, to the ones that its block listens on."""

    name = "bind"

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if not directive.args:
            raise directive.arguments("bind ADDRESS|INTERFACE...")
        here = interfaces.addresses()
        wanted = _resolve(directive, directive.args, here)
        unwanted: set[str] = set()
        for option in directive.options:
            match option.words:
                case ["except", _, *_]:
                    unwanted.update(_resolve(option, option.args, here))
                case _:
                    raise option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)
        left = [address for address in wanted if address not in unwanted]
        if not left:
            # A block without any address listens on all of them: the opposite of what was asked.
            raise directive.error("bind: no address is left to listen on")
        block.hosts = tuple(dict.fromkeys((*block.hosts, *left)))
        return block.find(cls) or cls()


def _resolve(option: Option, words: Sequence[str], here: Mapping[str, Sequence[str]]) -> list[str]:
    """The addresses that the words mean: an interface's name stands for all that it has."""
    found: list[str] = []
    for word in words:
        if word in here:
            found += here[word]
            continue
        try:
            found.append(str(ipaddress.ip_address(word)))
        except ValueError:
            hint = f"interfaces here: {', '.join(here)}" if here else ""
            raise option.error(f"{option.name}: neither an IP address nor an interface: {word!r}", word, hint) from None
    return found
