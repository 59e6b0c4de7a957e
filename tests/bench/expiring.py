"""A cluster's API server that loses its history on demand: all is listed anew, and it knows from when to when."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.changing import Changing
from tests.bench.tiers import Cluster
from tests.kube.api_store import Json, Query, Target

_NICE = 10  # who measures goes first: the API server of a cluster has another machine
_CHANGED = 100  # one slice in so many has changed when it is listed again


class Expiring(Changing):
    """Counts the lists it gives; a list goes on until its kind is watched, which is when its reader has it all."""

    def __init__(self, cluster: Cluster, *, seed: int = 53) -> None:
        super().__init__(cluster, seed=seed)
        self.lists = 0
        """How many there were so far, of any kind."""
        self.relists = 0
        """How often every kind has been listed anew and watched."""
        self.spells: Path | None = None
        """Where to write from when to when there are lists going on, as the client with its own pace reads it."""
        self._wanted: set[str] = set()
        self._listed: set[str] = set()
        self._watched: set[str] = set()
        self._encoded: dict[tuple[str, str, str], bytes] = {}

    def expire(self) -> None:
        """Break all watches off; who comes to resume one is told that its revision is too old (410 Gone)."""
        with self.turn:
            self.revision += 1
            self.forget()
            self._watched.clear()
            self.interrupt()

    def wait_until_watched(self, seconds: float) -> bool:
        """Wait, so long at most, until every kind that was ever listed is watched; whether it is."""
        with self.turn:
            return self.turn.wait_for(lambda: self._watched == self._wanted, seconds)

    def lines(self, found: Target, query: Query) -> Iterator[bytes]:
        if "sendInitialEvents" in query:
            self._begin(found.kind)
            yield from self._streamed(found, query)
            return
        streak = self._end(found.kind, int(query["resourceVersion"]))
        for line in super().lines(found, query):
            if streak != self._streak:
                return  # broken off without a word of why
            yield line

    def listed(self, found: Target, query: Query) -> bytes:
        if "continue" not in query:
            self._begin(found.kind)
        _give_way()
        page = self.page(found, query)
        items = b",".join(self._texts(found, page["items"] or []))
        return b'{"kind": "List", "metadata": %b, "items": [%b]}' % (_text(page["metadata"]), items)

    def _streamed(self, found: Target, query: Query) -> Iterator[bytes]:
        _give_way()
        with self.turn:
            streak, (revision, objects) = self._streak, self.snapshot(found, query)
        lines = [b'{"type": "ADDED", "object": %b}\n' % text for text in self._texts(found, objects)]
        end = {"resourceVersion": str(revision), "annotations": {"k8s.io/initial-events-end": "true"}}
        lines.append(_text({"type": "BOOKMARK", "object": {"kind": found.kind, "metadata": end}}) + b"\n")
        yield b"".join(lines)
        with self.turn:
            self.turn.wait_for(lambda: streak != self._streak)

    def _texts(self, found: Target, objects: list[Json]) -> list[bytes]:
        """The objects as they are sent, encoded once: what it costs to make a list is not what is measured."""
        texts = []
        for each in objects:
            key = found.kind, each["metadata"]["namespace"], each["metadata"]["name"]
            if key not in self._encoded:
                self._encoded[key] = _text(each)
            texts.append(self._encoded[key])
        for place, changed in self._news(found, objects):
            texts[place] = _text(changed)
        return texts

    def _news(self, found: Target, objects: list[Json]) -> Iterator[tuple[int, Json]]:
        """What is not as it was when it was listed before, and its place."""
        if self.forgotten and found.kind == "EndpointSlice":
            for place in range(self._draw.randrange(_CHANGED), len(objects), _CHANGED):
                yield place, self.changed(objects[place])

    def _begin(self, kind: str) -> None:
        with self.turn:
            self.lists += 1
            if not self._listed:
                self._write(f"{time.perf_counter()}")
            self._wanted.add(kind)
            self._listed.add(kind)

    def _end(self, kind: str, revision: int) -> int:
        """A watch begins, and with it ends the list before; the streak that the watch belongs to."""
        with self.turn:
            if revision < self.forgotten:
                return self._streak
            if self._listed == {kind}:
                self._write(f" {time.perf_counter()}\n")
            self._listed.discard(kind)
            if self._watched != self._wanted:
                self._watched.add(kind)
                self.relists += bool(self.forgotten) and self._watched == self._wanted
            self.turn.notify_all()
            return self._streak

    def _write(self, text: str) -> None:
        if self.spells is not None:
            with self.spells.open("a") as file:
                file.write(text)


def _text(document: Json) -> bytes:
    return json.dumps(document).encode()


def _give_way() -> None:
    """Let this thread come after the others of the core."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
