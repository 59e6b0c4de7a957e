"""Which addresses of a name a client is given, and in which order: near ones, by their weights, or in turns."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydnsk8s import subnet
from pydnsk8s.keep import ALWAYS, EACH_CLIENT, NEVER, TURNS, Keep
from pydnsk8s.kube.objects import RecordSet, Weight
from pydnsk8s.message import Query
from pydnsk8s.plugins.k8s_crd.options import Options
from pydnsk8s.plugins.k8s_crd.places import Places

# Every answer is drawn anew. Bound to the client as well, for a cache before us would keep it for its TTL.
_DRAWN = NEVER & EACH_CLIENT


class Choice(NamedTuple):
    """Addresses, and how long and for whom it is these."""

    addresses: tuple[bytes, ...]
    keep: Keep = ALWAYS


class Balance:
    """Chooses by what the entries of DNSEndpoints say of their targets."""

    def __init__(self, options: Options) -> None:
        self.places = Places(options.database, options.fields or (options.field,))
        self._weighted = options.weighted
        self._believed = subnet.Networks(options.believed) if options.believed is not None else None

    def choose(self, held: RecordSet, query: Query) -> Choice:
        """The addresses of a record set for whoever asks."""
        addresses, keep = held.data, ALWAYS
        weights = held.weights if self._weighted and _fit(held) else ()
        if wanted := {weight.address for weight in weights if weight.weight}:
            # Before they are chosen by place: whose own cluster is drained has to go elsewhere.
            addresses = tuple(address for address in addresses if address in wanted)
        if held.strategy == "geoip" and len(addresses) > 1:
            addresses, keep = self.places.near(subnet.asker(query, self._believed), addresses)
        if len(addresses) < 2:
            return Choice(addresses, keep)
        groups = _groups(weights, addresses)
        if len(groups) > 1:
            return Choice(_drawn(groups), keep & _DRAWN)
        if weights or held.strategy == "roundrobin":
            return Choice(_mixed(addresses), keep & TURNS)
        return Choice(addresses, keep)


def _fit(held: RecordSet) -> bool:
    """Whether the weights are about these very addresses (as k8gb does)."""
    return {weight.address for weight in held.weights} == set(held.data)


def _groups(weights: Iterable[Weight], addresses: tuple[bytes, ...]) -> dict[tuple[str, int], list[bytes]]:
    """The addresses of each group that has a weight."""
    groups: dict[tuple[str, int], list[bytes]] = {}
    for each in weights:
        if each.weight and each.address in addresses:
            groups.setdefault((each.group, each.weight), []).append(each.address)
    return groups


def _drawn(groups: dict[tuple[str, int], list[bytes]]) -> tuple[bytes, ...]:
    """All addresses, those of a group together; each group leads as often as its weight says."""
    # Of waiting times that are exponential the shortest is each group's in proportion to its rate.
    order = sorted(groups, key=lambda group: random.expovariate(group[1]))
    return tuple(dict.fromkeys(address for group in order for address in _mixed(groups[group])))


def _mixed(addresses: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple(random.sample(addresses, len(addresses)))
