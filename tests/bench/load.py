"""The load: dnsperf asks, and the processor time of the server is read before and after."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.servers import CLIENT_CORE, BenchError, Server

_CLIENTS = 4
_OUTSTANDING = 64  # queries; a new one goes out when an answer comes in
_FIGURE = r"^\s*{}:\s+([\d.]+)"
_CODE = re.compile(r"([A-Z0-9]+) \d+ \(")


@dataclass(frozen=True, slots=True)
class Round:
    """One run of dnsperf against one server."""

    queries: int
    """Those that were answered."""
    lost: int
    seconds: float
    cpu: float
    """Seconds that the server worked."""

    @property
    def cost(self) -> float:
        """Microseconds of processor time a query."""
        return self.cpu / self.queries * 1e6

    @property
    def rate(self) -> float:
        """Queries a second."""
        return self.queries / self.seconds


def ask(server: Server, questions: Path, seconds: float, *, once: bool = False) -> Round:
    """Ask the questions of a file over and over, or each once at most; every answer has to be NOERROR."""
    command = ["taskset", "-c", str(CLIENT_CORE), "dnsperf", "-s", "127.0.0.1", "-p", str(server.port)]
    command += ["-d", str(questions), "-c", str(_CLIENTS), "-q", str(_OUTSTANDING), "-l", f"{seconds:g}", "-t", "1"]
    if once:
        command += ["-n", "1"]
    before = server.cpu
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    cpu = server.cpu - before
    if ran.returncode:
        raise BenchError(f"dnsperf: {ran.stderr or ran.stdout}")
    codes = set(_CODE.findall(_line(ran.stdout, "Response codes")))
    if codes != {"NOERROR"}:
        raise BenchError(f"{server.name} answered {', '.join(sorted(codes)) or 'nothing'} to {questions.name}")
    queries, lost = (int(_figure(ran.stdout, f"Queries {what}")) for what in ("completed", "lost"))
    return Round(queries, lost, _figure(ran.stdout, r"Run time \(s\)"), cpu)


def _figure(output: str, label: str) -> float:
    found = re.search(_FIGURE.format(label), output, re.MULTILINE)
    if found is None:
        raise BenchError(f"dnsperf does not say {label}: {output}")
    return float(found[1])


def _line(output: str, label: str) -> str:
    return next((line for line in output.splitlines() if label in line), "")
