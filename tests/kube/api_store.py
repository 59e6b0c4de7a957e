"""What an API server knows: the objects, their history, and the lists that are being read in pages."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Service": "/api/v1/services",
    "Pod": "/api/v1/pods",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "ServiceImport": "/apis/multicluster.x-k8s.io/v1beta1/serviceimports",
    "DNSEndpoint": "/apis/externaldns.k8s.io/v1alpha1/dnsendpoints",
}
Json = dict[str, Any]
Query = dict[str, str]

_NAMESPACED = re.compile(r"(?P<root>.*/v1\w*)/namespaces/(?P<namespace>[^/]+)/(?P<plural>\w+)")


class Target(NamedTuple):
    """What a path stands for."""

    kind: str
    namespace: str
    plural: str
    group: str


class Event(NamedTuple):
    """A line of the history: at which revision what happened to which object, and what it was before."""

    revision: int
    kind: str
    type: str
    object: Json
    before: Json | None = None


class ExpiredError(Exception):
    """The history or the list that is asked for is gone."""


def target(path: str) -> Target | None:
    """The kind and namespace that a path names."""
    match = _NAMESPACED.fullmatch(path)
    namespace = match["namespace"] if match else ""
    whole = f"{match['root']}/{match['plural']}" if match else path
    for kind, known in PATHS.items():
        if known == whole:
            parts = whole.split("/")
            return Target(kind, namespace, parts[-1], parts[2] if parts[1] == "apis" else "")
    return None


def selected(obj: Json, namespace: str, query: Query) -> bool:
    """Whether the object is in the namespace, and picked by the selectors of the query."""
    meta = obj["metadata"]
    fields = {"metadata.name": meta["name"], "status.phase": (obj.get("status") or {}).get("phase", "")}
    return (
        namespace in ("", meta["namespace"])
        and _fits(meta.get("labels") or {}, query.get("labelSelector", ""))
        and _fits(fields, query.get("fieldSelector", ""))
    )


def _fits(values: dict[str, str], selector: str) -> bool:
    for part in filter(None, re.split(r",(?![^(]*\))", selector)):
        match = re.fullmatch(r"\s*([\w./-]+)\s*(!=|==?|in|notin)\s*(.*?)\s*", part)
        assert match, f"not a selector of this server: {part}"
        name, operator, wanted = match.groups()
        among = values.get(name, "") in [each.strip() for each in wanted.strip("()").split(",")]
        if among is (operator in ("!=", "notin")):
            return False
    return True


class Store:
    """The objects of a cluster; ``turn`` is notified of every change."""

    def __init__(self) -> None:
        self.revision = 1
        self.turn = threading.Condition()
        self.history: list[Event] = []
        self.forgotten = 0
        """The last revision that no watch can start from any more."""
        self._objects: dict[str, dict[tuple[str, str], Json]] = {kind: {} for kind in PATHS}
        self._pages: dict[str, tuple[int, list[Json]]] = {}

    def apply(self, kind: str, name: str, namespace: str = "", **fields: Any) -> None:
        """Create an object, or put another in its place."""
        metadata = {"name": name, "namespace": namespace, **fields.pop("metadata", {})}
        self._record(kind, {"kind": kind, "metadata": metadata, **fields})

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Remove an object."""
        self._record(kind, self._objects[kind][namespace, name], "DELETED")

    def holds(self, kind: str, name: str, namespace: str = "") -> bool:
        """Whether there is such an object."""
        return (namespace, name) in self._objects[kind]

    def bookmark(self) -> None:
        """Tell all watches the present revision."""
        with self.turn:
            self.revision += 1
            for kind in PATHS:
                self.history.append(Event(self.revision, kind, "BOOKMARK", {"kind": kind, "metadata": {}}))
            self.turn.notify_all()

    def forget(self) -> None:
        """Compact the history: watches that are behind, and lists that are half read, must begin again."""
        with self.turn:
            self.history.clear()
            self._pages.clear()
            self.forgotten = self.revision

    def snapshot(self, found: Target, query: Query) -> tuple[int, list[Json]]:
        """All objects there are now, and the revision of now."""
        with self.turn:
            objects = [obj for obj in self._objects[found.kind].values() if selected(obj, found.namespace, query)]
            return self.revision, objects

    def page(self, found: Target, query: Query, *, heed_limit: bool = True) -> Json:
        """One page of a list; all pages show the revision at which the first was asked for."""
        token = query.get("continue", "")
        with self.turn:
            if token and token not in self._pages:
                raise ExpiredError("The provided continue parameter is too old to display a consistent list result.")
            revision, rest = self._pages.pop(token) if token else self.snapshot(found, query)
            limit = (int(query.get("limit", "0")) if heed_limit else 0) or len(rest)
            metadata: Json = {"resourceVersion": str(revision)}
            if len(rest) > limit:
                metadata["continue"] = f"{found.kind}@{revision}+{len(rest) - limit}"
                self._pages[metadata["continue"]] = revision, rest[limit:]
            return {"kind": "List", "metadata": metadata, "items": rest[:limit] or None}

    def after(self, revision: int, found: Target, query: Query) -> Iterator[tuple[int, str, Json]]:
        """What happened since, as a watch with these selectors is told; ExpiredError if that is forgotten."""
        with self.turn:
            if revision < self.forgotten:
                raise ExpiredError("too old resource version")
            news = [event for event in self.history if event.revision > revision and event.kind == found.kind]
        for event in news:
            metadata = {**event.object["metadata"], "resourceVersion": str(event.revision)}
            type = event.type if event.type == "BOOKMARK" else _told(event, found.namespace, query)
            if type:
                yield event.revision, type, {**event.object, "metadata": metadata}

    def _record(self, kind: str, obj: Json, type: str = "") -> None:
        with self.turn:
            self.revision += 1
            key = obj["metadata"]["namespace"], obj["metadata"]["name"]
            before = self._objects[kind].pop(key, None)
            obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}
            if type != "DELETED":
                self._objects[kind][key] = obj
            self.history.append(Event(self.revision, kind, type or ("MODIFIED" if before else "ADDED"), obj, before))
            self.turn.notify_all()


def _told(event: Event, namespace: str, query: Query) -> str:
    """What a watch with selectors hears: an object that is picked no longer is gone for it."""
    now = event.type != "DELETED" and selected(event.object, namespace, query)
    before = event.before is not None and selected(event.before, namespace, query)
    return {(True, True): "MODIFIED", (True, False): "ADDED", (False, True): "DELETED"}.get((now, before), "")
