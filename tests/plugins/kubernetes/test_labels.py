"""kubernetes: metadata about the name asked for and the pod that asks."""

from __future__ import annotations

import pytest

from pydnsk8s.message import Client
from tests.plugins.blocks import query

from .clusters import cluster, packed, pod, service

ZONES = "cluster.local clusterset.local in-addr.arpa"
OPTIONS = "pods verified\nmulticluster clusterset.local\nzonal"


def labels(name: str, client: str = "192.0.2.1") -> dict[str, str]:
    found = cluster(
        service("web", "10.96.0.1"),
        pod("toolbox", "10.244.0.9", labels=(("app", "toolbox"), ("example.org/tier", "ops"))),
        options=OPTIONS,
        zones=ZONES,
    )
    asked = query(name, client=Client(packed(client)[0], 40000))
    return {name.removeprefix("kubernetes/"): value() for name, value in found.labels(asked).items()}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("web.shop.svc.cluster.local", {"kind": "svc", "namespace": "shop", "service": "web"}),
        (
            "db-0.db.shop.svc.cluster.local",
            {"kind": "svc", "namespace": "shop", "service": "db", "endpoint": "db-0"},
        ),
        (
            "_http._tcp.web.shop.svc.cluster.local",
            {"kind": "svc", "namespace": "shop", "service": "web", "port-name": "http", "protocol": "tcp"},
        ),
        (
            "db-0.east.db.shop.svc.clusterset.local",
            {"kind": "svc", "namespace": "shop", "service": "db", "endpoint": "db-0", "cluster": "east"},
        ),
        (
            "a.b.pin._zone.db.shop.svc.cluster.local",
            {"kind": "svc", "namespace": "shop", "service": "db", "zone": "a.b"},
        ),
        ("10-0-0-1.shop.pod.cluster.local", {"kind": "pod", "namespace": "shop", "endpoint": "10-0-0-1"}),
        ("shop.svc.cluster.local", {"kind": "svc", "namespace": "shop"}),
        ("a.b.c.d.cluster.local", {"parse-error": "invalid query name"}),
        ("1.0.96.10.in-addr.arpa", {}),
        ("www.example.org", {}),
    ],
)
def test_what_a_name_is_about(name: str, found: dict[str, str]) -> None:
    assert labels(name) == found


def test_which_pod_asks() -> None:
    found = labels("1.0.96.10.in-addr.arpa", "10.244.0.9")
    assert found == {
        "client-namespace": "shop",
        "client-pod-name": "toolbox",
        "client-label/app": "toolbox",
        "client-label/example.org/tier": "ops",
    }
