"""The servers under load: child processes on loopback, each pinned to one core and read through /proc."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dns.message import make_query

ROOT = Path(__file__).parents[2]
_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = _CORES[0], _CORES[-1]
"""Who is measured has one core; who asks, and who is asked behind it, has the other."""
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PATIENCE = 30.0  # seconds for a start or a reload

_STOCK = """\
.:{port} {{
    bind 127.0.0.1
    errors
    health 127.0.0.1:{health}
    ready 127.0.0.1:{ready}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        manifests {manifests}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
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
_CACHE = """\
cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }"""

_KNOT = """\
server:
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    rundir: {folder}
database:
    storage: {folder}
log:
  - target: stderr
    any: warning
template:
  - id: default
    journal-content: none
zone:
"""


class BenchError(Exception):
    """The bench cannot go on; says why."""


class Server:
    """A DNS server in a process of its own, on a port of 127.0.0.1."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.name = name
        self.process = process
        self.port = port
        self.log = log

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far, user and system, all threads."""
        # proc(5): the command in parentheses may hold anything; what follows it starts with field 3.
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK

    @property
    def resident(self) -> float:
        """Memory held, in MB."""
        line = next(line for line in self._proc("status").splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def _proc(self, file: str) -> str:
        return Path(f"/proc/{self.process.pid}/{file}").read_text()

    def pin(self, core: int) -> None:
        """Move every thread to a core; Knot's UDP workers choose one of their own, whatever the process was given."""
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})

    def wait_for_answer(self, name: str, type: str) -> None:
        """Ask until there is an answer; raises BenchError when there will be none."""
        packet = make_query(name, type).to_wire()
        deadline = time.monotonic() + _PATIENCE
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", self.port))
            client.settimeout(0.005)
            while not _answers(client, packet):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise BenchError(f"{self.name} does not answer: {self.log.read_text()}")
                time.sleep(0.002)

    def reload(self) -> None:
        """Let our server swap to the Corefile it has, which empties the gate."""
        done = self.log.read_text().count("Reloading complete")
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + _PATIENCE
        while self.log.read_text().count("Reloading complete") == done:
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} does not reload: {self.log.read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _answers(client: socket.socket, packet: bytes) -> bool:
    try:
        client.send(packet)
        return client.recv(512)[3] & 15 == 0
    except (TimeoutError, ConnectionRefusedError):
        return False


@contextmanager
def knot(folder: Path, zones: dict[str, str], core: int) -> Iterator[Server]:
    """A Knot DNS with one UDP worker, which serves these zone files by their names."""
    folder.mkdir()
    port = free_port()
    text = _KNOT.format(port=port, folder=folder)
    for zone, content in zones.items():
        (folder / f"{zone}.zone").write_text(content)
        text += f"  - domain: {zone}\n    file: {folder / zone}.zone\n"
    (folder / "knot.conf").write_text(text)
    with _running("Knot", ["knotd", "-c", str(folder / "knot.conf")], folder, port, core) as server:
        for zone in zones:
            server.wait_for_answer(zone, "SOA")
        server.pin(core)
        yield server


@contextmanager
def pydnsk8s(folder: Path, manifests: Path, upstream: int, *, cache: bool = True) -> Iterator[Server]:
    """Our server with kubeadm's stock Corefile; it may not answer yet."""
    folder.mkdir()
    port = free_port()
    corefile = folder / "Corefile"
    ports = {page: free_port() for page in ("health", "ready", "metrics")}
    corefile.write_text(
        _STOCK.format(port=port, manifests=manifests, upstream=upstream, cache=_CACHE if cache else "", **ports)
    )
    command = [sys.executable, "-m", "pydnsk8s", "-conf", str(corefile)]
    with _running("pydnsk8s", command, folder, port, SERVER_CORE) as server:
        yield server


@contextmanager
def _running(name: str, command: Sequence[str], folder: Path, port: int, core: int) -> Iterator[Server]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
    server = Server(name, process, port, log)
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port that nobody uses, for UDP and TCP."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            try:
                datagrams.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
