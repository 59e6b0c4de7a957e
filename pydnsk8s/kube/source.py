"""Where a cluster's objects come from, and who takes them."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Protocol

from pydnsk8s.kube.objects import Kind, Object


class SourceError(Exception):
    """Why a source cannot begin, in words for the operator."""


class Sink(Protocol):
    """Takes a source's objects; all calls come on the event loop's thread."""

    def put(self, obj: Object, triggered: float = 0.0) -> None:
        """Take an object that is new or has changed; ``triggered`` is when its cause happened, in Unix seconds."""

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Drop an object that is gone; a namespace's own namespace is empty."""

    def surplus(self, kind: Kind, keys: Container[tuple[str, str]], namespace: str = "") -> list[tuple[str, str]]:
        """The keys, (namespace, name), of the objects held that are not among these; of one namespace or of all."""

    def complete(self, kind: Kind, namespace: str = "") -> None:
        """Note that all objects of the kind have now been put, and the surplus removed."""

    def replace(self, kind: Kind, objects: Iterable[Object]) -> None:
        """Take the full list of a kind at once."""


class Source(Protocol):
    """Feeds a sink with the objects of some kinds, until it is stopped."""

    @property
    def trouble(self) -> str:
        """Why the objects given may be out of date; empty when all is well."""

    @property
    def skipped(self) -> int:
        """How many objects were passed over because they could not be read."""

    async def start(self, sink: Sink) -> None:
        """Begin; full lists may arrive before this returns or at any later time."""

    async def stop(self) -> None:
        """End; nothing reaches the sink after this returns."""
