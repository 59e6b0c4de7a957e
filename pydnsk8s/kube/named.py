"""What has a name in the cluster, found by its labels as they stand in a question."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from pydnsk8s.keep import Stamp
from pydnsk8s.kube.objects import EndpointSlice, Service, ServiceImport
from pydnsk8s.kube.shelves import NUMBER, Shelves

if TYPE_CHECKING:
    from pydnsk8s.kube.objects import Object

Shown: TypeAlias = "Object | tuple[Object, ...]"
"""What is found at one place; one object alone, as in most places, goes without a tuple."""

_by_name = attrgetter("name")


class Named:
    """What has one name, as long as anything has."""

    __slots__ = ("_held", "_stamp", "by_label", "service")

    def __init__(self, shown: Shown) -> None:
        self._stamp: Stamp | None = None
        self.hold(shown)

    @property
    def objects(self) -> tuple[Object, ...]:
        """All that has the name."""
        return every(self._held)

    @property
    def stamp(self) -> Stamp:
        """The stamp of what it has now."""
        # Made when it is asked for: most changes are of what nobody asks for, and leave no litter in memory.
        if self._stamp is None:
            self._stamp = Stamp()
        return self._stamp

    def hold(self, shown: Shown) -> None:
        """Have these from now on."""
        if self._stamp is not None:
            self._stamp.retire()
            self._stamp = None
        self._held = shown
        self.service = next((obj for obj in every(shown) if isinstance(obj, Service)), None)
        """The service of this cluster among them."""
        self.by_label: dict[str, tuple[Any, ...]] | None = None
        """Room for whoever looks for endpoints by their names, to work that out once."""

    @property
    def service_import(self) -> ServiceImport | None:
        """The cluster set's service among them."""
        return next((obj for obj in self.objects if isinstance(obj, ServiceImport)), None)

    def slices(self, service: str) -> list[EndpointSlice]:
        """The service's slices in the order of their names."""
        found = [obj for obj in self.objects if isinstance(obj, EndpointSlice) and obj.service == service]
        return sorted(found, key=_by_name)

    def imported_slices(self, service: str) -> list[EndpointSlice]:
        """The imported service's slices from all clusters, in the order of their names."""
        found = [obj for obj in self.objects if isinstance(obj, EndpointSlice) and obj.imported == service]
        return sorted(found, key=_by_name)


def every(shown: Shown) -> tuple[Object, ...]:
    """All the objects of one place."""
    return shown if isinstance(shown, tuple) else (shown,)


def path(*labels: str) -> bytes:
    """Labels in wire form without an end: ``path(service, namespace)`` or ``path(namespace)``."""
    return b"".join([bytes((len(label),)) + label.encode("latin-1") for label in labels])


class Names(Shelves[bytes, Named]):
    """Everything that has a name: namespaces by their own path, services and what belongs to them by theirs."""

    def at(self, path: bytes) -> Named | None:
        """What has this path, in lower case; None for nothing."""
        return self._shelves[hash(path) % NUMBER].get(path)

    def put(self, path: bytes, shown: Shown) -> None:
        """Let these be what has the path from now on; none, and nothing has it."""
        named = self.at(path)
        if named is not None:
            named.hold(shown)
            if not shown:
                del self[path]
        elif shown:
            self[path] = Named(shown)
