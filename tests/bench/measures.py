"""What is measured: contests against Knot on the same names, and what a start takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench import cluster, hosts
from tests.bench.cluster import Cluster
from tests.bench.load import Round, ask
from tests.bench.servers import CLIENT_CORE, ROOT, SERVER_CORE, knot, pydnsk8s

_EXAMPLE = ROOT / "docker" / "cluster.example.yaml"
_WARM_UP = 0.5  # seconds before the rounds that count
_SETTLE = 1.0  # seconds after the first answer until a server is idle


@dataclass(frozen=True, slots=True)
class Course:
    """How a run goes: where files may be written, how long and how often to ask, whom to tell."""

    folder: Path
    seconds: float
    rounds: int
    tell: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table."""

    name: str
    value: float
    unit: str
    target: float
    ours: tuple[Round, ...] = ()
    knot: tuple[Round, ...] = ()


@dataclass(frozen=True, slots=True)
class Contest:
    """The same questions to Knot and to us; the value is how many times Knot's processor time a query costs here."""

    name: str
    target: float
    services: int
    pods: int = 0
    forwarded: bool = False
    """Ask for hosts that only the upstream knows, instead of the cluster's names."""
    cache: bool = True
    once: bool = False
    """Each question once a round, and none of them known to the gate before."""

    def run(self, course: Course) -> Result:
        """Play all rounds, Knot's and ours in turns: what else the machine does then falls on both."""
        folder = course.folder / self.name
        folder.mkdir()
        drawn = Cluster(self.services, self.pods)
        manifests, questions = folder / "cluster.json", folder / "questions"
        manifests.write_text(drawn.manifest())
        questions.write_text("\n".join(hosts.questions() if self.forwarded else drawn.questions()) + "\n")
        outside = {hosts.ZONE: hosts.zone()}
        with (
            knot(folder / "upstream", outside, CLIENT_CORE) as upstream,
            knot(folder / "knot", {cluster.ZONE: drawn.zone(), **outside}, SERVER_CORE) as peer,
            pydnsk8s(folder / "pydnsk8s", manifests, upstream.port, cache=self.cache) as ours,
        ):
            ours.wait_for_answer(hosts.ZONE, "SOA")
            rounds: dict[str, list[Round]] = {peer.name: [], ours.name: []}
            for number in range(course.rounds + 1):
                seconds = course.seconds if number else min(course.seconds, _WARM_UP)
                for server in (peer, ours):
                    if self.once and server is ours:
                        ours.reload()
                    played = ask(server, questions, seconds, once=self.once)
                    rounds[server.name] += [played] if number else []
                    course.tell(_told(self.name, server.name, number, played))
        knots, own = tuple(rounds[peer.name]), tuple(rounds[ours.name])
        return Result(self.name, cost(own) / cost(knots), "x", self.target, own, knots)


CONTESTS = (
    Contest("hits", 1.6, services=100, pods=100),
    Contest("kubernetes", 5.0, services=20_000, pods=40_000, once=True),
    Contest("cached", 1.7, services=100, forwarded=True),
    Contest("forward", 6.0, services=100, forwarded=True, cache=False),
)
STARTS = ("start", "memory")
NAMES = (*(contest.name for contest in CONTESTS), *STARTS)


def run_starts(course: Course) -> tuple[Result, Result]:
    """Start a server of the example cluster anew each round: seconds to its first answer, and MB once it is idle."""
    took: list[float] = []
    held: list[float] = []
    with knot(course.folder / "start-upstream", {hosts.ZONE: hosts.zone()}, CLIENT_CORE) as upstream:
        for number in range(1, course.rounds + 1):
            begun = time.monotonic()
            with pydnsk8s(course.folder / f"start-{number}", _EXAMPLE, upstream.port) as ours:
                # The version of the DNS specification is there in every cluster once it is known.
                ours.wait_for_answer(f"dns-version.{cluster.ZONE}", "TXT")
                took.append(time.monotonic() - begun)
                time.sleep(_SETTLE)
                held.append(ours.resident)
            course.tell(f"start {number}: {took[-1]:.2f} s, {held[-1]:.1f} MB")
    return Result("start", median(took), "s", 0.6), Result("memory", median(held), "MB", 45.0)


def cost(rounds: tuple[Round, ...]) -> float:
    """Microseconds of processor time a query, the median of the rounds."""
    return median(played.cost for played in rounds)


def rate(rounds: tuple[Round, ...]) -> float:
    """Queries a second, the median of the rounds."""
    return median(played.rate for played in rounds)


def _told(contest: str, server: str, number: int, played: Round) -> str:
    label = f"round {number}" if number else "warm-up"
    return f"{contest} {label} {server}: {played.cost:.2f} us a query, {played.rate:.0f} q/s, {played.lost} lost"
