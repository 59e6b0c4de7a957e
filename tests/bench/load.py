"""The load: dnsperf asks as fast as it can, and the processor time of the server is read before and after."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from statistics import median

from tests.bench.question import Sheet
from tests.bench.servers import CLIENT_CORE, TICK, BenchError, Server, program

_CLIENTS = 4
_OUTSTANDING = 64  # queries; a new one goes out when an answer comes in
_PACED = 2000  # the same where the pace is given: some milliseconds' worth
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


def ask(server: Server, sheet: Sheet, seconds: float, *, times: int = 0, tcp: bool = False, pace: float = 0) -> Round:
    """Ask the questions of a sheet over and over, or so many times; BenchError if an answer is not as expected.

    As fast as it can be answered, or ``pace`` times a second.
    """
    command = [program("taskset"), "-c", str(CLIENT_CORE), program("dnsperf"), "-s", "127.0.0.1"]
    command += ["-p", str(server.port), "-d", str(sheet.path), "-c", str(_CLIENTS)]
    command += ["-q", str(_PACED), "-Q", f"{pace:.0f}"] if pace else ["-q", str(_OUTSTANDING)]
    # One thread, so that the questions are asked in their order.
    command += ["-l", f"{seconds:g}", "-t", "1", "-T", "1", "-m", "tcp" if tcp else "udp"]
    if times:
        command += ["-n", str(times)]
    before = server.cpu
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    cpu = server.cpu - before
    if ran.returncode:
        raise BenchError(f"dnsperf: {ran.stderr or ran.stdout}")
    codes = Counter({code: int(number) for code, number in _CODE.findall(_line(ran.stdout, "Response codes"))})
    sent, queries, lost = (int(_figure(ran.stdout, f"Queries {what}")) for what in ("sent", "completed", "lost"))
    if not queries:
        raise BenchError(f"{server.name} answered nothing of {sheet.path.name}")
    if wrong := sheet.wrong(codes, sent):
        raise BenchError(f"{server.name} answered {sheet.path.name} wrongly: {wrong}")
    return Round(queries, lost, _figure(ran.stdout, r"Run time \(s\)"), cpu, dict(codes))


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
