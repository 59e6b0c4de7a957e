"""The contests: the same questions to us and to Knot, in turns, and to other servers where they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import hosts, stages
from tests.bench.course import Course
from tests.bench.load import Round, ask, cost
from tests.bench.ours import Ours, pydnsk8s
from tests.bench.peers import PEERS, knot
from tests.bench.question import Sheet
from tests.bench.servers import CLIENT_CORE, SERVER_CORE, Server

_WARM_UP = 0.5  # seconds before the rounds that count
_LONG = 120.0  # seconds at most for a sheet that is played to its end


@dataclass(frozen=True, slots=True)
class Result:
    """What a measure comes to, and the rounds of each side: ours first, then what it is compared with, then others."""

    name: str
    value: float
    unit: str
    target: float
    sides: dict[str, tuple[Round, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contest:
    """The same questions to us and to Knot; the value is how many times Knot's processor time a query costs here."""

    name: str
    target: float
    stage: Callable[[Course], stages.Stage]
    cache: bool = True
    once: bool = False
    """Each question once a round, and none of them known to the gate before."""
    warm: bool = False
    """The whole sheet is played before, twice: the gate remembers much only from the second time on."""

    def run(self, course: Course) -> Result:
        """Play all rounds, everybody's in turns: what else the machine does then falls on all."""
        folder = course.folder / self.name
        folder.mkdir()
        stage = self.stage(course)
        sheet = Sheet(folder / "questions", stage.questions)
        with self._servers(course, stage, folder) as servers:
            rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
            for server in servers:
                course.tell(told(self.name, server.name, 0, self._play(course, server, sheet, 0)))
            with course.watching(servers[0]):
                for number in range(1, course.rounds + 1):
                    for server in servers:
                        rounds[server.name].append(self._play(course, server, sheet, number))
                        course.tell(told(self.name, server.name, number, rounds[server.name][-1]))
        sides = {name: tuple(each) for name, each in rounds.items()}
        ours, knots, *_ = sides.values()
        return Result(self.name, cost(ours) / cost(knots), "x", self.target, sides)

    def _play(self, course: Course, server: Server, sheet: Sheet, number: int) -> Round:
        if self.once and isinstance(server, Ours):
            server.reload()
        if self.warm and not number:
            return ask(server, sheet, _LONG, times=2)
        seconds = course.seconds if number else min(course.seconds, _WARM_UP)
        # Knot works out each answer anew: it may be asked again, so that a round is long enough to be measured.
        return ask(server, sheet, seconds, times=int(self.once and server.name != "Knot"))

    @contextmanager
    def _servers(self, course: Course, stage: stages.Stage, folder: Path) -> Iterator[list[Server]]:
        with ExitStack() as running:
            upstream = running.enter_context(knot(folder / "upstream", stage.outside, CLIENT_CORE))
            block = running.enter_context(stage.backend(folder))
            ours = running.enter_context(pydnsk8s(folder / "pydnsk8s", block, upstream.port, cache=self.cache))
            peer = running.enter_context(knot(folder / "knot", {**stage.zones, **stage.outside}, SERVER_CORE))
            servers = [ours, peer]
            for name in course.peers:
                other = PEERS[name].start(folder / name, stage.zones, stage.outside, upstream.port)
                servers.append(running.enter_context(other))
            ours.wait_until_ready(stage.sample, next(iter(stage.outside)))
            yield servers


def told(contest: str, server: str, number: int, played: Round) -> str:
    """A round as the progress shows it."""
    label = f"round {number}" if number else "warm-up"
    return f"{contest} {label} {server}: {played.cost:.2f} us a query, {played.rate:.0f} q/s, {played.lost} lost"


CONTESTS = (
    Contest("hits", 1.45, stages.plain(100, 100)),
    Contest("kubernetes", 5.0, stages.plain(20_000, 40_000), once=True),
    Contest("mixed", 1.8, stages.tiered("mixed"), warm=True),
    Contest("external", 2.2, stages.tiered("external"), warm=True),
    Contest("internal", 1.45, stages.tiered("internal"), warm=True),
    Contest("cold", 2.2, stages.tiered("cold"), once=True),
    Contest("cached", 1.7, stages.forwarded(hosts.questions)),
    Contest("fetched", 9.0, stages.forwarded(hosts.many), once=True),
    Contest("forward", 3.5, stages.forwarded(hosts.questions), cache=False),
    Contest("etcd", 1.45, stages.etcd(once=False)),
    Contest("etcd-cold", 5, stages.etcd(once=True), once=True),
)


@dataclass(frozen=True, slots=True)
class Tcp:
    """The questions of ``hits`` over connections that stay open, many at a time; compared with our own UDP."""

    name: str = "tcp"
    target: float = 2.0

    def run(self, course: Course) -> Result:
        """Play all rounds, TCP and UDP in turns."""
        folder = course.folder / self.name
        folder.mkdir()
        stage = stages.plain(100, 100)(course)
        sheet = Sheet(folder / "questions", stage.questions)
        rounds: dict[str, list[Round]] = {"TCP": [], "UDP": []}
        with (
            knot(folder / "upstream", stage.outside, CLIENT_CORE) as upstream,
            stage.backend(folder) as block,
            pydnsk8s(folder / "pydnsk8s", block, upstream.port) as ours,
        ):
            ours.wait_until_ready(stage.sample, next(iter(stage.outside)))
            for transport in rounds:
                played = ask(ours, sheet, min(course.seconds, _WARM_UP), tcp=transport == "TCP")
                course.tell(told(self.name, transport, 0, played))
            with course.watching(ours):
                for number in range(1, course.rounds + 1):
                    for transport, each in rounds.items():
                        each.append(ask(ours, sheet, course.seconds, tcp=transport == "TCP"))
                        course.tell(told(self.name, transport, number, each[-1]))
        sides = {f"pydnsk8s {transport}": tuple(each) for transport, each in rounds.items()}
        ours_tcp, ours_udp = sides.values()
        return Result(self.name, cost(ours_tcp) / cost(ours_udp), "x", self.target, sides)
