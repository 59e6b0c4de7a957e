"""How soon a change is answered: from the API's sending it to the first answer that shows it, under load.

python -m tests.bench.fresh --services 10000 --rate 5000 --changes 100
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from ipaddress import IPv4Address
from pathlib import Path
from statistics import quantiles

import click
from dns.message import make_query
from dns.rdatatype import A

from tests.bench.cluster import ZONE, Cluster, Service
from tests.bench.live import fill, following
from tests.bench.servers import CLIENT_CORE, Server
from tests.kube.api_server import ApiServer

_FIRST = IPv4Address("10.96.0.1")
_PATIENCE = 5.0  # seconds for one change to be answered
_LATE = 0.010  # seconds; what 99 of 100 changes have to stay below


def _change(api: ApiServer, service: Service, number: int) -> bytes:
    """Give a service another address; what an answer has in it from then on."""
    address = _FIRST + number
    api.apply("Service", service.name, service.namespace, spec={"clusterIP": str(address)})
    return address.packed


def _wait_for(client: socket.socket, service: Service, address: bytes) -> float:
    """The moment of the first answer with the address."""
    packet = make_query(f"{service.path}.{ZONE}", A).to_wire()
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        client.send(packet)
        if address in client.recv(4096):
            return time.monotonic()
    raise click.ClickException(f"{service.path} is not answered within {_PATIENCE:g} seconds")


def _measure(api: ApiServer, server: Server, cluster: Cluster, changes: int, seconds: float) -> list[float]:
    draw = random.Random(53)
    plain = [service for service in cluster.services if not service.endpoints]
    late = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", server.port))
        client.settimeout(1)
        begin = time.monotonic()
        for number in range(int(changes * seconds)):
            time.sleep(max(0.0, begin + number / changes - time.monotonic()))
            service = draw.choice(plain)
            sent = time.monotonic()
            late.append(_wait_for(client, service, _change(api, service, number)) - sent)
    return late


@click.command()
@click.option("--services", type=click.IntRange(100), default=10_000, show_default=True)
@click.option("--rate", type=click.IntRange(1), default=5000, show_default=True, help="Queries a second.")
@click.option("--changes", type=click.IntRange(1), default=100, show_default=True, help="Changes a second.")
@click.option("--seconds", type=click.FloatRange(1), default=10.0, show_default=True)
def main(services: int, rate: int, changes: int, seconds: float) -> None:
    """The time from a change to its answer, while others ask at this rate."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    cluster = Cluster(services, 0)
    api = ApiServer()
    api.streams = True
    fill(api, cluster)
    api.history.clear()  # nobody has been told any of it; a short one is faster to look through
    with tempfile.TemporaryDirectory(prefix="pydnsk8s-fresh-") as name, following(api, Path(name)) as server:
        questions = Path(name) / "questions"
        questions.write_text("\n".join(cluster.questions()) + "\n")
        command = ["dnsperf", "-s", "127.0.0.1", "-p", str(server.port), "-d", str(questions), "-Q", str(rate)]
        with subprocess.Popen([*command, "-l", str(seconds + 2)], stdout=subprocess.PIPE, text=True) as load:
            time.sleep(1)
            late = _measure(api, server, cluster, changes, seconds)
            told, _ = load.communicate()
        print("".join(line + "\n" for line in told.splitlines() if "lost" in line or "per second" in line), end="")
    api.close()
    hundredths = quantiles(late, n=100)
    half, most, worst = (f"{each * 1000:.1f} ms" for each in (hundredths[49], hundredths[98], max(late)))
    print(f"{len(late)} changes answered: half within {half}, 99 of 100 within {most}, all within {worst}")
    sys.exit(hundredths[98] > _LATE)


if __name__ == "__main__":
    main()
