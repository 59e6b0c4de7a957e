"""acl - decides by a client's address and the type it asks for whether it gets an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydnsk8s import codes, metrics, names, subnet
from pydnsk8s.corefile import Directive, Option
from pydnsk8s.keep import ALWAYS, Keep
from pydnsk8s.message import Query, Reply, Tally
from pydnsk8s.plugin import Plugin, ServerBlock, Turn

_USAGE = "[type TYPE...] [net PREFIX...]"
_BLOCKED = (codes.OPTION_ERROR, b"\0\x0f")  # RFC 8914 section 4.16
_FILTERED = (codes.OPTION_ERROR, b"\0\x11")  # RFC 8914 section 4.18
_ZONE_LABELS = ("server", "zone", "view")
_COUNTS = {
    "block": metrics.counter("coredns_acl_blocked_requests_total", "Queries that were blocked.", *_ZONE_LABELS),
    "filter": metrics.counter("coredns_acl_filtered_requests_total", "Queries that were filtered.", *_ZONE_LABELS),
    "drop": metrics.counter("coredns_acl_dropped_requests_total", "Queries that were dropped.", *_ZONE_LABELS),
}
_ALLOWED = metrics.counter("coredns_acl_allowed_requests_total", "Queries that were let through.", "server", "view")


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens to queries of some types from some networks."""

    action: str
    types: frozenset[int] | None = None
    """None for all."""
    networks: subnet.Networks | None = None
    """None for all."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One ``acl`` directive: its zones, and its policies in order."""

    zones: tuple[bytes, ...]
    policies: tuple[Policy, ...]


class Acl(Plugin):
    """Applies the first policy that fits; what none fits is allowed."""

    name = "acl"

    def __init__(self, block: ServerBlock) -> None:
        self.rules: list[Rule] = []
        self._block = block

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        zones = directive.zones(directive.args) or block.zones
        policies = tuple(_policy(option) for option in directive.options)
        if not policies:
            warning = directive.tokens[0].problem("acl has no effect: it has no policy", severity="warning")
            block.warnings.append(warning)
        self = block.find(cls) or cls(block)
        self.rules.append(Rule(zones, policies))
        return self

    def at_once(self, query: Query) -> Turn:
        action, zone, keep = self._decide(query)
        if action == "allow":
            return keep
        server, view = self._block.label, self._block.view
        if action == "drop" and query.depth:
            action = "block"  # the reply is to one of our plugins, which waits for it
        count = _COUNTS[action].labels(server, names.text(zone), view)
        if action == "drop":
            count.add()  # there is no reply that could be counted
        return _reply(action, keep, count)

    def amend(self, query: Query, reply: Reply) -> Reply:
        allowed = _ALLOWED.labels(self._block.label, self._block.view)
        return reply.with_(tallies=(*reply.tallies, allowed))

    def _decide(self, query: Query) -> tuple[str, bytes, Keep]:
        """What happens to a query, by a rule of which zone, and for which clients the same does."""
        keep = ALWAYS
        for rule in self.rules:
            zone = names.closest(query.name, rule.zones)
            if zone is None:
                continue
            for policy in rule.policies:
                if policy.types is not None and query.type not in policy.types:
                    continue
                if policy.networks is not None:
                    inside, bits = policy.networks.find(query.client.address)
                    keep &= subnet.sharing(query.client.address, bits)
                    if not inside:
                        continue
                return policy.action, zone, keep
        return "allow", names.ROOT, keep


def _reply(action: str, keep: Keep, count: Tally) -> Reply:
    match action:
        case "drop":
            return Reply(codes.DROP, plugin=Acl.name)
        case "block":
            rcode, why = codes.REFUSED, _BLOCKED
        case _:
            rcode, why = codes.NOERROR, _FILTERED
    return Reply(rcode, keep=keep, authoritative=False, options=(why,), plugin=Acl.name, tallies=(count,))


def _policy(option: Option) -> Policy:
    match option.words:
        case ["allow" | "block" | "filter" | "drop" as action, *which]:
            sections = _sections(option, which)
        case _:
            raise option.unknown("allow", "block", "filter", "drop")
    types, nets = sections.get("type"), sections.get("net")
    return Policy(
        action,
        None if types is None or "*" in types else frozenset(_type(option, text) for text in types),
        None if nets is None or "*" in nets else subnet.Networks(_network(option, text) for text in nets),
    )


def _sections(option: Option, words: Sequence[str]) -> dict[str, list[str]]:
    """The words behind ``type`` and those behind ``net``."""
    found: dict[str, list[str]] = {}
    section: list[str] | None = None
    for word in words:
        if word.lower() in ("type", "net"):
            section = found.setdefault(word.lower(), [])
        elif section is None:
            raise option.error(f"{option.name}: expected 'type' or 'net', found {word!r}", word, f"write {_USAGE}")
        else:
            section.append(word)
    for name, held in found.items():
        if not held:
            raise option.error(f"{option.name}: nothing stands behind {name!r}", name, "write * for all of them")
    return found


def _type(option: Option, text: str) -> int:
    try:
        return codes.parse_type(text)
    except ValueError as error:
        raise option.error(f"{option.name}: {error}", text) from None


def _network(option: Option, text: str) -> subnet.Network:
    try:
        return subnet.network(text)
    except ValueError as error:
        raise option.error(f"{option.name}: {error}", text) from None
