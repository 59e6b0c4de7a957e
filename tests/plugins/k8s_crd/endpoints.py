"""DNSEndpoints of a few entries, and servers that hold them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pydnsk8s import testing
from pydnsk8s.kube.decode import read
from pydnsk8s.kube.objects import DNSEndpoint
from pydnsk8s.kube.record_index import Selection
from pydnsk8s.plugins.k8s_crd import K8sCrd
from tests.plugins.blocks import plugin

ZONE = "cloud.example.org"
APP = f"app.{ZONE}"
Json = dict[str, Any]

_NONE: Mapping[str, str] = {}


def entry(
    name: str, *targets: str, type: str = "A", ttl: int = 0, strategy: str = "", weights: Mapping[str, str] = _NONE
) -> Json:
    """An entry of a DNSEndpoint; ``weights`` are the labels ``weight-TAG-INDEX-WEIGHT`` with their addresses."""
    labels = {**({"strategy": strategy} if strategy else {}), **weights}
    return {"dnsName": name, "recordType": type, "recordTTL": ttl, "targets": list(targets), "labels": labels}


def document(*entries: Json, name: str = "app", **labels: str) -> Json:
    """The object as it is written in a manifest."""
    return {
        "apiVersion": "externaldns.k8s.io/v1alpha1",
        "kind": "DNSEndpoint",
        "metadata": {"name": name, "namespace": "web", "labels": labels},
        "spec": {"endpoints": list(entries)},
    }


def endpoint(*entries: Json, name: str = "app", **labels: str) -> DNSEndpoint:
    found = read(DNSEndpoint, document(*entries, name=name, **labels))
    assert isinstance(found, DNSEndpoint)
    return found


def serving_of(*objects: DNSEndpoint, options: str = "") -> tuple[K8sCrd, Selection]:
    """The plugin on its own with these objects, and the sink to change them through."""
    found = plugin(K8sCrd, f"k8s_crd {ZONE} {{\nmanifests unread\n{options}\n}}")
    sink = found.index.select()
    sink.replace(DNSEndpoint, objects)
    return found, sink


@asynccontextmanager
async def serving(*objects: DNSEndpoint, options: str = "", more: str = "") -> AsyncIterator[testing.Dns]:
    """A server with these objects; ``more`` are other directives of its block."""
    with tempfile.TemporaryDirectory() as empty:
        text = f".:53 {{\nk8s_crd {ZONE} {{\nmanifests {empty}\n{options}\n}}\n{more}\n}}\n"
        async with testing.serving(text) as dns:
            found = next(plugin for plugin in dns.plugins if isinstance(plugin, K8sCrd))
            found.index.select().replace(DNSEndpoint, objects)
            yield dns
