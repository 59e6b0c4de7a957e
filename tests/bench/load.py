"""The load: dnsperf asks as fast as it can, and the processor time of the server is read before and after."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryFile
from typing import IO

from tests.bench.question import Sheet
from tests.bench.servers import CLIENT_CORE, TICK, BenchError, Server, program

_CLIENTS = 4
_OUTSTANDING = 64  # queries; a new one goes out when an answer comes in
_PACED = 2000  # the same where the pace is given: some milliseconds' worth
_BUFFER = 2048  # KiB of each socket, for replies that come while another process has the core
_FIGURE = r"^\s*{}:\s+([\d.]+)"
_CODE = re.compile(r"([A-Z0-9]+) (\d+) \(")


@dataclass(frozen=True, slots=True)
class Round:
    """One run of dnsperf against one server."""

    queries: int
    """Those that were answered."""
    lost: int
    seconds: float
    cpu: float
    """Seconds that the server worked."""
    codes: dict[str, int]

    @property
    def cost(self) -> float:
        """Microseconds of processor time a query."""
        return max(self.cpu, TICK) / self.queries * 1e6

    @property
    def rate(self) -> float:
        """Queries a second."""
        return self.queries / self.seconds


class Asking:
    """A run of dnsperf while it lasts."""

    def __init__(self, server: Server, sheet: Sheet, command: list[str], output: IO[str]) -> None:
        self._server = server
        self._sheet = sheet
        self._output = output
        self._before = server.cpu
        self.process = subprocess.Popen(command, stdout=output, stderr=output)

    @property
    def lasts(self) -> bool:
        """Whether it still asks."""
        return self.process.poll() is None

    def outcome(self) -> Round:
        """What came of it, once it ends; BenchError if an answer is not as expected."""
        failed = self.process.wait()
        cpu, server, sheet = self._server.cpu - self._before, self._server.name, self._sheet
        self._output.seek(0)
        told = self._output.read()
        if failed:
            raise BenchError(f"dnsperf: {told}")
        codes = Counter({code: int(number) for code, number in _CODE.findall(_line(told, "Response codes"))})
        sent, queries, lost = (int(_figure(told, f"Queries {what}")) for what in ("sent", "completed", "lost"))
        if not queries:
            raise BenchError(f"{server} answered nothing of {sheet.path.name}")
        if wrong := sheet.wrong(codes, sent):
            raise BenchError(f"{server} answered {sheet.path.name} wrongly: {wrong}")
        return Round(queries, lost, _figure(told, r"Run time \(s\)"), cpu, dict(codes))


@contextmanager
def asking(
    server: Server, sheet: Sheet, seconds: float, *, times: int = 0, tcp: bool = False, pace: float = 0
) -> Iterator[Asking]:
    """Ask the questions of a sheet over and over, or so many times; when the block ends, that ends as well.

    As fast as it can be answered, or ``pace`` times a second.
    """
    command = [program("taskset"), "-c", str(CLIENT_CORE), program("dnsperf"), "-s", "127.0.0.1"]
    command += ["-p", str(server.port), "-d", str(sheet.path), "-c", str(_CLIENTS), "-b", str(_BUFFER)]
    command += ["-q", str(_PACED), "-Q", f"{pace:.0f}"] if pace else ["-q", str(_OUTSTANDING)]
    # One thread, so that the questions are asked in their order.
    command += ["-l", f"{seconds:g}", "-t", "1", "-T", "1", "-m", "tcp" if tcp else "udp"]
    if times:
        command += ["-n", str(times)]
    with TemporaryFile("w+") as output:
        begun = Asking(server, sheet, command, output)
        try:
            yield begun
        finally:
            if begun.lasts:
                begun.process.kill()
                begun.process.wait()


def ask(server: Server, sheet: Sheet, seconds: float, *, times: int = 0, tcp: bool = False, pace: float = 0) -> Round:
    """The same, waited for."""
    with asking(server, sheet, seconds, times=times, tcp=tcp, pace=pace) as begun:
        return begun.outcome()


def cost(rounds: tuple[Round, ...]) -> float:
    """Microseconds of processor time a query, the median of the rounds."""
    return median(played.cost for played in rounds)


def rate(rounds: tuple[Round, ...]) -> float:
    """Queries a second, the median of the rounds."""
    return median(played.rate for played in rounds)


def _figure(output: str, label: str) -> float:
    found = re.search(_FIGURE.format(label), output, re.MULTILINE)
    if found is None:
        raise BenchError(f"dnsperf does not say {label}: {output}")
    return float(found[1])


def _line(output: str, label: str) -> str:
    return next((line for line in output.splitlines() if label in line), "")
