"""Our server as it runs in a cluster: kubeadm's stock Corefile, its objects from a file or from an API server."""

from __future__ import annotations

import re
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.question import Question
from tests.bench.servers import SERVER_CORE, BenchError, Server, running
from tests.ports import free_port

_PATIENCE = 60.0  # seconds for a reload or a page
_SAMPLE = re.compile(r"([a-z_]+)(?:\{.*\})? (\S+)$")

ANSWERED = "coredns_dns_requests_total"
"""How our server counts its replies."""
SHED, OVERFLOWED = "coredns_shed_dropped_total", "coredns_udp_overflows_total"
"""And the queries that it gave up, or that the kernel did."""

_STOCK = """\
.:{port} {{
    bind 127.0.0.1
    errors
    health 127.0.0.1:{health}
    ready 127.0.0.1:{ready}
    {backend}
    prometheus 127.0.0.1:{metrics}
    forward . 127.0.0.1:{upstream} {{
        max_concurrent 1000
    }}
    {cache}
    loop
    reload
    loadbalance
}}
"""
_KUBERNETES = """\
kubernetes cluster.local in-addr.arpa ip6.arpa {{
        {source}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}"""
_CACHE = """\
cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }"""


class Ours(Server):
    """Our server; it can be told to reload, and its pages say more than a process does."""

    metrics: int
    """The port of its metrics page."""
    health: int
    """That of its health page."""

    def reload(self) -> None:
        """Let it swap to the Corefile it has, which empties the gate."""
        done = self.log.read_text().count("Reloading complete")
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + _PATIENCE
        while self.log.read_text().count("Reloading complete") == done:
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} does not reload: {self.log.read_text()}")
            time.sleep(0.01)

    def counts(self) -> dict[str, float]:
        """The numbers of its metrics page, labels summed up."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=_PATIENCE) as page:
                lines = page.read().decode().splitlines()
        except OSError as error:
            raise BenchError(f"{self.name} does not show its metrics: {self.log.read_text()}") from error
        found: dict[str, float] = {}
        for line in lines:
            if match := _SAMPLE.match(line):
                found[match[1]] = found.get(match[1], 0) + float(match[2])
        return found

    def wait_until_ready(self, sample: Question, zone: str) -> None:
        """Ask until it finds a name of its own, and the upstream's zone."""
        self.wait_for_answer(sample.name, sample.type)
        self.wait_for_answer(zone, "SOA")


def kubernetes(source: str) -> str:
    """The plugin with its objects from ``manifests FILE`` or ``endpoint URL``."""
    return _KUBERNETES.format(source=source)


@contextmanager
def pydnsk8s(folder: Path, backend: str, upstream: int, *, cache: bool = True, counted: bool = False) -> Iterator[Ours]:
    """Our server with this plugin for the cluster's names; ``counted`` tells of the gate too. It may not answer yet."""
    folder.mkdir()
    port = free_port()
    corefile = folder / "Corefile"
    ports = {page: free_port() for page in ("health", "ready", "metrics")}
    corefile.write_text(
        _STOCK.format(port=port, backend=backend, upstream=upstream, cache=_CACHE if cache else "", **ports)
    )
    module = "tests.bench.counted" if counted else "pydnsk8s"
    command = [sys.executable, "-m", module, "-conf", str(corefile)]
    with running("pydnsk8s", command, folder, port, SERVER_CORE) as server:
        ours = Ours(server.name, server.process, port, server.log)
        ours.metrics, ours.health = ports["metrics"], ports["health"]
        yield ours
