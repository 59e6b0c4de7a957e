"""What a start takes: seconds to the first answer, and memory once the server is idle."""

from __future__ import annotations

import time
from statistics import median

from tests.bench import cluster, hosts
from tests.bench.contests import Result
from tests.bench.course import Course
from tests.bench.ours import kubernetes, pydnsk8s
from tests.bench.peers import knot
from tests.bench.servers import CLIENT_CORE, ROOT

NAMES = ("start", "memory")
_EXAMPLE = ROOT / "docker" / "cluster.example.yaml"
_SETTLE = 1.0  # seconds after the first answer until a server is idle


def run_starts(course: Course) -> tuple[Result, Result]:
    """Start a server of the example cluster anew each round: seconds to its first answer, and MB once it is idle."""
    took: list[float] = []
    held: list[float] = []
    with knot(course.folder / "start-upstream", {hosts.ZONE: hosts.zone()}, CLIENT_CORE) as upstream:
        for number in range(1, course.rounds + 1):
            begun = time.monotonic()
            with pydnsk8s(
                course.folder / f"start-{number}", kubernetes(f"manifests {_EXAMPLE}"), upstream.port
            ) as ours:
                # The version of the DNS specification is there in every cluster once it is known.
                ours.wait_for_answer(f"dns-version.{cluster.ZONE}", "TXT")
                took.append(time.monotonic() - begun)
                time.sleep(_SETTLE)
                held.append(ours.resident)
            course.tell(f"start {number}: {took[-1]:.2f} s, {held[-1]:.1f} MB")
    return Result("start", median(took), "s", 0.6), Result("memory", median(held), "MB", 45.0)
