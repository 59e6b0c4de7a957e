"""A server under load: a child process on loopback, pinned to one core and read through /proc."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dns.message import make_query

ROOT = Path(__file__).parents[2]
_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = _CORES[0], _CORES[-1]
"""Who is measured has one core; who asks, and who is asked behind it, has the other."""
TICK = 1 / os.sysconf("SC_CLK_TCK")
_PATIENCE = 60.0  # seconds for a start
_SEARCHED = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"))
_PACKAGES = {
    "knotd": "knot", "nsd": "nsd", "unbound": "unbound", "pdns_recursor": "pdns-recursor", "dnsperf": "dnsperf",
    "taskset": "util-linux", "etcd": "etcd-server",
}  # fmt: skip


class BenchError(Exception):
    """The bench cannot go on; says why."""


def installed(program: str) -> str | None:
    """Where a program is, if it is there."""
    return shutil.which(program, path=_SEARCHED)


def program(name: str) -> str:
    """Where a program is; BenchError with the Debian package to install if it is missing."""
    found = installed(name)
    if found is None:
        hint = f": apt-get install {_PACKAGES[name]}" if name in _PACKAGES else ""
        raise BenchError(f"{name} is missing{hint}")
    return found


class Server:
    """A DNS server in a process of its own, on a port of 127.0.0.1."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.name = name
        self.process = process
        self.port = port
        self.log = log

    @property
    def family(self) -> list[int]:
        """Its process and those that it has started."""
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (fields := _stat(int(entry.name))):
                parents[int(entry.name)] = int(fields[1])
        found = [self.process.pid]
        for pid in found:
            found += (child for child, parent in parents.items() if parent == pid)
        return found

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far, user and system, all threads."""
        stats = (_stat(pid) for pid in self.family)
        return sum(int(fields[11]) + int(fields[12]) for fields in stats if fields) * TICK

    @property
    def resident(self) -> float:
        """Memory held, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def pin(self, core: int) -> None:
        """Move every thread to a core; Knot's UDP workers choose one of their own, whatever the process was given."""
        for pid in self.family:
            for task in Path(f"/proc/{pid}/task").iterdir():
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

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def worked(core: int) -> float:
    """Seconds so far that a core was not idle, whoever it worked for, see proc(5)."""
    lines = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    user, nice, system, _, _, irq, softirq, *_ = next(line[1:] for line in lines if line[0] == f"cpu{core}")
    return sum(map(int, (user, nice, system, irq, softirq))) * TICK


def _stat(pid: int) -> list[str]:
    """A process's fields from the third on, see proc(5); none if it is gone."""
    try:
        # The command in parentheses may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _answers(client: socket.socket, packet: bytes) -> bool:
    try:
        client.send(packet)
        return client.recv(512)[3] & 15 == 0
    except (TimeoutError, ConnectionRefusedError):
        return False


@contextmanager
def running(name: str, command: Sequence[str], folder: Path, port: int, core: int) -> Iterator[Server]:
    """A program in the foreground on one core until the block ends; it may not answer yet."""
    log = folder / "log"
    words = [program("taskset"), "-c", str(core), program(command[0]), *command[1:]]
    with log.open("wb") as output:
        process = subprocess.Popen(words, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    server = Server(name, process, port, log)
    try:
        yield server
    finally:
        server.stop()
