"""What is left of a day's changes: memory after a million events, while queries are answered.

python -m tests.bench.churn --events 1000000
"""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import click
from dns.message import make_query

from tests.bench.cluster import ZONE, Cluster, Service
from tests.bench.live import fill, following
from tests.bench.servers import CLIENT_CORE, Server
from tests.kube.api_server import ApiServer
from tests.kube.api_store import Json, Query, Target

_GROUP = 100  # events sent at a time
_PAUSE = 0.005  # seconds between two queries of the one who asks
_SETTLE = 2.0
_ASKED = 30  # services whose names are asked for
_PODS = IPv4Address("10.0.0.0")  # so many that hardly two have one address
_ENDPOINTS = 8  # of each service
_PATIENCE = 60.0


class Churning(ApiServer):
    """Sends an endless row of changes: slices with other pods, and services that come and go under ever new names."""

    def __init__(self, cluster: Cluster, events: int) -> None:
        super().__init__()
        self.streams = True
        self.sent = 0
        self.go = threading.Event()
        self._cluster = cluster
        self._limits = {"EndpointSlice": events * 4 // 5, "Service": events // 5}
        self._draw = random.Random(53)

    def lines(self, found: Target, query: Query) -> Iterator[bytes]:
        if "sendInitialEvents" in query or found.kind not in self._limits:
            yield from super().lines(found, query)
            return
        make = self._slice if found.kind == "EndpointSlice" else self._service
        self.go.wait()
        for first in range(0, self._limits[found.kind], _GROUP):
            yield "".join(make(number) for number in range(first, first + _GROUP)).encode()
            self.sent += _GROUP
        yield from super().lines(found, {**query, "resourceVersion": str(self.revision)})

    def slice_of(self, service: Service, number: int) -> Json:
        """A slice with other pods than ever before, as many as always: a cluster that changes but does not grow."""
        draw = self._draw.randrange
        return {
            "metadata": {"labels": {"kubernetes.io/service-name": service.name}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": [str(_PODS + draw(1 << 20))], "hostname": f"host-{number}-{each}"}
                for each in range(_ENDPOINTS)
            ],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        }

    def _slice(self, number: int) -> str:
        service = self._draw.choice(self._cluster.services)
        held = self.slice_of(service, number)
        metadata = {"name": service.name, "namespace": service.namespace, **held.pop("metadata")}
        return json.dumps({"type": "MODIFIED", "object": {"metadata": metadata, **held}}) + "\n"

    def _service(self, number: int) -> str:
        # Each comes, and goes fifty services later.
        gone = number % 2
        passing = number // 2 - 50 * gone
        metadata = {"name": f"passing-{passing}", "namespace": self._cluster.services[passing % 50].namespace}
        ports = [{"name": f"port-{passing}", "port": 80, "protocol": "TCP"}]
        spec = {"clusterIP": f"198.19.{passing >> 8 & 255}.{passing & 255}", "ports": ports}
        return (
            json.dumps({"type": "DELETED" if gone else "ADDED", "object": {"metadata": metadata, "spec": spec}}) + "\n"
        )


def _ask(server: Server, cluster: Cluster, done: threading.Event) -> None:
    """Ask for names that are there, that come and go, and that never were."""
    draw = random.Random(35)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", server.port))
        client.settimeout(1)
        while not done.wait(_PAUSE):
            # Few enough that the gate soon holds them all: what it keeps of more is no trace of the changes.
            service = draw.choice(cluster.services[:_ASKED])
            name = draw.choice(
                (service.path, f"passing-{draw.randrange(_ASKED)}.{service.namespace}.svc", "absent.svc")
            )
            client.send(make_query(f"{name}.{ZONE}", draw.choice(("A", "SRV"))).to_wire())
            try:
                client.recv(4096)
            except TimeoutError:
                continue


def _wait_until_made(api: Churning, server: Server) -> None:
    """Let the server come to the end of what was sent: it answers for a service that comes last."""
    api.apply("Service", "last", "team-0", spec={"clusterIP": "198.19.0.1"})
    deadline = time.monotonic() + _PATIENCE
    server.wait_for_answer(f"last.team-0.svc.{ZONE}", "A")
    while time.monotonic() < deadline:
        before = server.cpu
        time.sleep(0.5)
        if server.cpu - before < 0.1:
            return


@click.command()
@click.option("--events", type=click.IntRange(1000), default=1_000_000, show_default=True)
@click.option("--services", type=click.IntRange(100), default=2000, show_default=True)
def main(events: int, services: int) -> None:
    """Memory after so many changes, against memory before."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    cluster = Cluster(services, 0)
    api = Churning(cluster, events)
    fill(api, cluster)
    for number, service in enumerate(cluster.services):
        api.apply("EndpointSlice", service.name, service.namespace, **api.slice_of(service, number))
    done = threading.Event()
    with tempfile.TemporaryDirectory(prefix="pydnsk8s-churn-") as folder, following(api, Path(folder)) as server:
        asking = threading.Thread(target=_ask, args=(server, cluster, done))
        asking.start()
        time.sleep(_SETTLE)
        first = server.resident
        _tell(0, 0.0, server)
        began, told = time.monotonic(), 0
        api.go.set()
        while api.sent < events // _GROUP * _GROUP:
            time.sleep(0.2)
            if server.process.poll() is not None:
                raise click.ClickException(server.log.read_text())
            if api.sent >= told + events // 20:
                told = api.sent
                _tell(told, time.monotonic() - began, server)
        _wait_until_made(api, server)
        done.set()
        asking.join()
        last = server.resident
        print(f"memory: {first:.1f} MB before, {last:.1f} MB after, {100 * (last / first - 1):+.1f} % (at most +5 %)")
        print(f"events: {events / (time.monotonic() - began):.0f} a second")
    api.close()
    sys.exit(last > first * 1.05)


def _tell(events: int, seconds: float, server: Server) -> None:
    print(
        f"{events:>9} events, {seconds:6.1f} s, {server.cpu:6.1f} s of cpu, {server.resident:6.1f} MB", file=sys.stderr
    )


if __name__ == "__main__":
    main()
