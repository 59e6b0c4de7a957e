"""Where a cluster's objects come from, and who takes them."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Protocol

from pydnsk8s.kube.objects import Kind, Object


class SourceError(Exception):
    """Why a source cannot begin, in words for the operator."""


class Sink(Protocol):
    """Takes a source's objects; all calls come on the event loop's thread."""

    def put(self, obj: Object) -> None:
        """Take an object that is new or has changed."""

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Drop an object that is gone; a namespace's own namespace is empty."""

    def retain(self, kind: Kind, keys: Container[tuple[str, str]]) -> None:
        """Drop all objects of the kind but these, by (namespace, name): a full list has now been put."""

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
