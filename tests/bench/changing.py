"""A cluster's API server whose endpoints change as often as it is told, while they and their names stay as many."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

from tests.bench.tiers import Cluster
from tests.kube.api_server import ApiServer
from tests.kube.api_store import Json, Query, Target

_BEAT = 0.02  # seconds between two batches of changes
_COMERS = IPv4Address("10.248.0.1")  # pods that come and go
_IDLE = 0.1


class Changing(ApiServer):
    """Changes one endpoint at a time: a slice drawn at random has another last pod than before.

    All pods that are asked for by name stay, so that every response code stays what it was: each slice has had one
    pod more from the start, which is the one that changes. So the cluster does not grow.
    """

    def __init__(self, cluster: Cluster, *, seed: int = 53) -> None:
        super().__init__()
        self.streams = True
        self.rate = 0
        """Changes a second."""
        self.changes = 0
        """Changes sent so far."""
        self._draw = random.Random(seed)
        self._slices: list[Json] = []
        for document in map(self._begun, cluster.objects()):
            metadata: Any = document["metadata"]
            fields = {key: value for key, value in document.items() if key not in ("apiVersion", "kind", "metadata")}
            labels = {"labels": metadata.get("labels", {})}
            self.apply(
                str(document["kind"]), metadata["name"], metadata.get("namespace", ""), metadata=labels, **fields
            )
        # Nobody has been told any of it; a short history is faster to look through.
        self.history.clear()

    def lines(self, found: Target, query: Query) -> Iterator[bytes]:
        streak, owed, last = self._streak, 0.0, time.monotonic()
        fresh = int(query.get("resourceVersion", 0)) >= self.forgotten
        if "sendInitialEvents" in query or found.kind != "EndpointSlice" or not fresh:
            yield from super().lines(found, query)
            return
        while streak == self._streak:
            time.sleep(_BEAT if self.rate else _IDLE)
            now = time.monotonic()
            owed, last = (owed + (now - last) * self.rate if self.rate else 0.0), now
            if owed >= 1:
                yield "".join(self._change() for _ in range(int(owed))).encode()
                self.changes += int(owed)
                owed %= 1

    def _change(self) -> str:
        changed = self.changed(self._draw.choice(self._slices))
        return json.dumps({"type": "MODIFIED", "object": changed}) + "\n"

    def changed(self, held: Json) -> Json:
        """The slice with another last pod."""
        return {**held, "endpoints": [*held["endpoints"][:-1], self._comer()]}

    def _begun(self, document: Json) -> Json:
        """An object of the cluster as it is listed; a slice with the pod that will change."""
        if document["kind"] != "EndpointSlice":
            return document
        begun = {**document, "endpoints": [*document["endpoints"], self._comer()]}
        self._slices.append(begun)
        return begun

    def _comer(self) -> Json:
        return {"addresses": [str(_COMERS + self._draw.randrange(1 << 17))], "conditions": {"ready": True}}
