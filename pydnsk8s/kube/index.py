"""The cluster in memory: found by name, by address, by namespace.

Rule: whatever a lookup returns, it reads under the keys that its docstring names, and a change of what is found under a
key retires the stamp of that key. A reply that is kept under the stamps of all it looked up is therefore never stale.

Names are asked for in lower case, addresses packed. All calls belong on the event loop's thread.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import product
from operator import attrgetter
from typing import TypeAlias

from msgspec.structs import replace

from pydnsk8s.keep import Keep, Stamp, Stamps
from pydnsk8s.kube import measures
from pydnsk8s.kube.named import Named, Names, Shown, every, path
from pydnsk8s.kube.objects import (
    KINDS,
    Endpoint,
    EndpointSlice,
    Kind,
    Namespace,
    Object,
    Pod,
    Service,
    ServiceImport,
)
from pydnsk8s.kube.shelves import Shelves

Key: TypeAlias = tuple[str | bytes, ...]
"""``("service", namespace, name)``, ``("ip", address)``, ``("namespace", name)``, ``("below", network)``, or one
of the two below."""

ZONE: Key = ("zone",)
"""The stamp under this key is retired by any change at all."""
SYNCED: Key = ("synced",)
"""The stamp under this key is retired when the index has become complete."""


class Index:
    """Holds what a source gave of the cluster; a Sink."""

    def __init__(
        self,
        kinds: Iterable[Kind] = (Namespace, Service, EndpointSlice),
        clock: Callable[[], float] = time.time,
        namespaces: Iterable[str] = (),
    ) -> None:
        self._awaited = set(product(kinds, tuple(namespaces) or ("",)))
        self._clock = clock
        self._held: dict[Kind, dict[tuple[str, str], Object]] = {kind: {} for kind in KINDS}
        self._under: Shelves[Key, Shown] = Shelves()
        self._below: Shelves[bytes | str, int] = Shelves()
        self.names = Names()
        """The namespaces and services as they are named."""
        self._stamps = Stamps()
        self._copied = False
        self.changed_at = 0
        """When anything last changed, in Unix seconds; 0 before the first object."""

    @property
    def synced(self) -> bool:
        """Whether every kind has been listed in full at least once."""
        return not self._awaited

    def stamp(self, key: Key) -> Stamp:
        """The stamp of what is, or is not, found under the key now."""
        return self._stamps.of(key)

    def keep(self, *keys: Key) -> Keep:
        """As long as what is, or is not, found under each of the keys stays as it is."""
        return Keep(stamps=frozenset(map(self._stamps.of, keys)))

    def count(self, kind: Kind) -> int:
        """How many objects of the kind are held."""
        return len(self._held[kind])

    def has_namespace(self, name: str) -> bool:
        """Whether the namespace exists; under ``("namespace", name)``."""
        return ("namespace", name) in self._under

    def named(self, namespace: str, name: str) -> Named:
        """Everything of a service's name; under ``("service", namespace, name)``."""
        return Named(self._named(namespace, name))

    def service(self, namespace: str, name: str) -> Service | None:
        """The service of this name; under ``("service", namespace, name)``."""
        for obj in self._named(namespace, name):
            if isinstance(obj, Service):
                return obj
        return None

    def slices(self, namespace: str, name: str) -> list[EndpointSlice]:
        """The service's slices in the order of their names; under ``("service", namespace, name)``."""
        found = [obj for obj in self._named(namespace, name) if isinstance(obj, EndpointSlice) and obj.service == name]
        return sorted(found, key=_by_name)

    def service_import(self, namespace: str, name: str) -> ServiceImport | None:
        """The cluster set's service of this name; under ``("service", namespace, name)``."""
        return next((obj for obj in self._named(namespace, name) if isinstance(obj, ServiceImport)), None)

    def imported_slices(self, namespace: str, name: str) -> list[EndpointSlice]:
        """The imported service's slices from all clusters; under ``("service", namespace, name)``."""
        found = [obj for obj in self._named(namespace, name) if isinstance(obj, EndpointSlice) and obj.imported == name]
        return sorted(found, key=_by_name)

    def services(self) -> list[Service]:
        """All services in the order of namespace and name; under ZONE."""
        return sorted((obj for obj in self._held[Service].values() if isinstance(obj, Service)), key=_by_name)

    def service_imports(self) -> list[ServiceImport]:
        """All services of the cluster set, in order; under ZONE."""
        found = self._held[ServiceImport].values()
        return sorted((obj for obj in found if isinstance(obj, ServiceImport)), key=_by_name)

    def services_at(self, address: bytes) -> list[tuple[str, str]]:
        """Namespace and name of the services with this cluster IP; under ``("ip", address)``."""
        return self._services_with("cluster_ips", address)

    def services_exposed_at(self, address: bytes) -> list[tuple[str, str]]:
        """Namespace and name of the services with this external IP; under ``("ip", address)``."""
        return self._services_with("external_ips", address)

    def endpoints_at(self, address: bytes) -> list[tuple[str, str, Endpoint]]:
        """Namespace, service and endpoint for each service behind the address; under ``("ip", address)``."""
        slices = [obj for obj in self._found("ip", address) if isinstance(obj, EndpointSlice)]
        return [
            (slice_.namespace, slice_.service, endpoint)
            for slice_ in sorted(slices, key=_by_name)
            for endpoint in slice_.endpoints
            if endpoint.address == address
        ]

    def has_addresses_below(self, network: bytes | str) -> bool:
        """Whether a service or endpoint has an address in a network (names.network); under ``("below", network)``."""
        return network in self._below

    def pods_at(self, address: bytes) -> list[Pod]:
        """The pods at the address, several if they share their node's; under ``("ip", address)``."""
        return sorted((obj for obj in self._found("ip", address) if isinstance(obj, Pod)), key=_by_name)

    def copy(self) -> Index:
        """The index as it is now, to be read at leisure; the next change here has a later ``changed_at``."""
        twin = copy.copy(self)
        held = {kind: dict(objects) for kind, objects in self._held.items()}
        own = held, self._under.copy(), self._below.copy(), Stamps()
        twin._held, twin._under, twin._below, twin._stamps = own  # noqa: SLF001 - it is of this class
        twin.names = Names()  # who reads at leisure asks for what is named one by one
        self._copied = True
        return twin

    def put(self, obj: Object, triggered: float = 0.0) -> None:
        """Take an object that is new or has changed; ``triggered`` is when its cause happened, in Unix seconds."""
        held, key = self._held[type(obj)], (obj.namespace, obj.name)
        old = held.get(key)
        if old != obj:
            held[key] = obj = obj if old is None else _sharing(obj, old)
            self._change(old, obj)
            if triggered and isinstance(obj, EndpointSlice):
                self._measure(obj, triggered)

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Drop an object that is gone."""
        old = self._held[kind].pop((namespace, name), None)
        if old is not None:
            self._change(old, None)

    def surplus(self, kind: Kind, keys: Container[tuple[str, str]], namespace: str = "") -> list[tuple[str, str]]:
        """The keys, (namespace, name), of the objects held that are not among these; of one namespace or of all."""
        missing = [key for key in self._held[kind] if key not in keys]
        # A namespace's own key has its name in the second place only.
        return [key for key in missing if (key[0] or key[1]) == namespace] if namespace else missing

    def complete(self, kind: Kind, namespace: str = "") -> None:
        """Note that all objects of the kind have now been put, and the surplus removed."""
        left = {(each, within) for each, within in self._awaited if each != kind or namespace not in ("", within)}
        if self._awaited and not left:
            self._stamps.retire(SYNCED)
        self._awaited = left

    def replace(self, kind: Kind, objects: Iterable[Object]) -> None:
        """Take the full list of a kind, and change only what differs from what is held."""
        listed = {(obj.namespace, obj.name): obj for obj in objects}
        for obj in listed.values():
            self.put(obj)
        for namespace, name in self.surplus(kind, listed):
            self.remove(kind, namespace, name)
        self.complete(kind)

    def _measure(self, obj: EndpointSlice, triggered: float) -> None:
        service = self.service(obj.namespace, obj.service)
        if service is not None:
            kind = "headless_with_selector" if service.headless else "cluster_ip"
            measures.PROGRAMMING.labels(kind).observe(max(0.0, self._clock() - triggered))

    def _named(self, namespace: str, name: str) -> tuple[Object, ...]:
        return self._found("service", namespace, name)

    def _found(self, *key: str | bytes) -> tuple[Object, ...]:
        return every(self._under.get(key, ()))

    def _services_with(self, field: str, address: bytes) -> list[tuple[str, str]]:
        services = [obj for obj in self._found("ip", address) if isinstance(obj, Service)]
        return sorted((service.namespace, service.name) for service in services if address in getattr(service, field))

    def _change(self, old: Object | None, new: Object | None) -> None:
        before, after = dict(_findings(old)), dict(_findings(new))
        for key in after:
            self._show(key, old, new)
        for key in before.keys() - after.keys():
            self._show(key, old, None)
        if not isinstance(old or new, Pod):
            self._count_below(before.keys() - after.keys(), -1)
            self._count_below(after.keys() - before.keys(), 1)
        if before != after:
            # A copy made within this very second, or before the clock was set back, must be known for an old one.
            self.changed_at = max(self.changed_at + self._copied, int(self._clock()))
            self._copied = False
        if before != after and self._stamps:
            for key in before.keys() | after.keys():
                if key not in before or key not in after or before[key] != after[key]:
                    self._stamps.retire(key)
            self._stamps.retire(ZONE)

    def _show(self, key: Key, old: Object | None, new: Object | None) -> None:
        """Let another object be found under the key in the place of one, if that was."""
        found = tuple([obj for obj in self._found(*key) if obj is not old])
        if new is not None:
            found = (*found, new)
        else:
            del self._under[key]
            if found:  # The key is made of what has left; those who stay have one that is made of theirs.
                key = next(each for each, _ in _findings(found[0]) if each == key)
        shown = found[0] if len(found) == 1 else found
        if found:
            self._under[key] = shown
        if key[0] in _NAMED:
            self.names.put(path(*map(str, key[:0:-1])), shown)

    def _count_below(self, keys: Iterable[Key], difference: int) -> None:
        """Count the addresses below each network; one that gains its first or loses its last has changed."""
        below = self._below
        for kind, address, *_ in keys:
            if kind != "ip" or not isinstance(address, bytes):
                continue
            for network in _networks(address):
                before = below.get(network, 0)
                below[network] = before + difference
                if not before or not before + difference:
                    self._stamps.retire(("below", network))
                if not before + difference:
                    del below[network]


def _networks(address: bytes) -> list[bytes] | list[str]:
    """The networks an address is in, on the borders of reverse names, as names.network gives them."""
    if len(address) == 4:
        return [address[:3], address[:2], address[:1]]
    nibbles = address.hex()
    return [nibbles[:length] for length in range(31, 0, -1)]


_NAMED = ("namespace", "service")
_by_name = attrgetter("namespace", "name")


def _sharing(new: Object, old: Object) -> Object:
    """The new object with all that it has in common with the old one from there: the keys of the index hold it, too."""
    common = {name: held for name in new.__struct_fields__ if (held := getattr(old, name)) == getattr(new, name)}
    if isinstance(new, EndpointSlice) and isinstance(old, EndpointSlice):
        known = {endpoint: endpoint for endpoint in old.endpoints}
        common["endpoints"] = tuple([known.get(endpoint, endpoint) for endpoint in new.endpoints])
    return replace(new, **common)


def _findings(obj: Object | None) -> Iterator[tuple[Key, object]]:
    """The keys under which the object is found, and what a lookup under each would show of it."""
    match obj:
        case Namespace():
            yield ("namespace", obj.name), None
        case Service():
            yield ("service", obj.namespace, obj.name), obj
            for address in {*obj.cluster_ips, *obj.external_ips}:
                # Of a service found by its address only the name is shown, so a change of its ports is none here.
                yield ("ip", address), (address in obj.cluster_ips, address in obj.external_ips)
        case ServiceImport():
            yield ("service", obj.namespace, obj.name), obj
        case EndpointSlice():
            for service in {obj.service, obj.imported} - {""}:
                yield ("service", obj.namespace, service), obj
            if obj.service:
                shown: dict[bytes, tuple[str | Endpoint, ...]] = {}
                for endpoint in obj.endpoints:
                    shown[endpoint.address] = (*shown.get(endpoint.address, (obj.service,)), endpoint)
                for address, endpoints in shown.items():
                    yield ("ip", address), endpoints
        case Pod():
            for address in obj.ips:
                yield ("ip", address), obj
