"""The contests: the same questions to us and to Knot, in turns, and to other servers where they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import cluster, hosts, mixes, outside, tiers
from tests.bench.load import Round, ask, cost
from tests.bench.ours import Ours, kubernetes, pydnsk8s
from tests.bench.peers import PEERS, Zones, knot
from tests.bench.profile import profiled
from tests.bench.question import Question, Sheet
from tests.bench.servers import CLIENT_CORE, SERVER_CORE, Server

_WARM_UP = 0.5  # seconds before the rounds that count
_LONG = 120.0  # seconds at most for a sheet that is played to its end


@dataclass(frozen=True, slots=True)
class Course:
    """How a run goes: where files may be written, how long and how often to ask, about which cluster, whom to tell."""

    folder: Path
    seconds: float
    rounds: int
    tell: Callable[[str], None]
    tier: str = "L"
    lookups: int = 20_000
    seed: int = 53
    peers: tuple[str, ...] = ()
    profile: Path | None = None
    """Where to write a flame graph of our server."""

    def watching(self, server: Server) -> AbstractContextManager[None]:
        """Draw the flame graph, if one is wanted, of what the server does while this lasts."""
        return profiled(server, self.profile) if self.profile else nullcontext()


@dataclass(frozen=True, slots=True)
class Result:
    """What a measure comes to, and the rounds of each side: ours first, then what it is compared with, then others."""

    name: str
    value: float
    unit: str
    target: float
    sides: dict[str, tuple[Round, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stage:
    """What is served and what is asked in a contest."""

    questions: Sequence[Question]
    zones: Zones
    """The cluster's, as Knot serves them."""
    outside: Zones
    """The upstream's."""
    manifest: str = '{"kind": "List", "items": []}'
    """The cluster's, as we read it."""


def _plain(services: int, pods: int = 0) -> Callable[[Course], Stage]:
    def stage(course: Course) -> Stage:
        drawn = cluster.Cluster(services, pods, seed=course.seed)
        questions = [_question(line) for line in drawn.questions()]
        return Stage(questions, {cluster.ZONE: drawn.zone()}, {hosts.ZONE: hosts.zone()}, drawn.manifest())

    return stage


def _hosts(course: Course) -> Stage:
    drawn = cluster.Cluster(100, 0, seed=course.seed)
    questions = [_question(line) for line in hosts.questions()]
    return Stage(questions, {cluster.ZONE: drawn.zone()}, {hosts.ZONE: hosts.zone()}, drawn.manifest())


def _question(line: str) -> Question:
    name, type = line.split()
    return Question(name, type)


def _tiered(name: str) -> Callable[[Course], Stage]:
    def stage(course: Course) -> Stage:
        drawn = tiers.Cluster(tiers.TIERS[course.tier], seed=course.seed)
        if name == "cold":
            questions = mixes.once(drawn, seed=course.seed)
        else:
            questions = mixes.mix(drawn, name, course.lookups, seed=course.seed)
        return Stage(questions, drawn.zones(), outside.zones(), drawn.manifest())

    return stage


@dataclass(frozen=True, slots=True)
class Contest:
    """The same questions to us and to Knot; the value is how many times Knot's processor time a query costs here."""

    name: str
    target: float
    stage: Callable[[Course], Stage]
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
    def _servers(self, course: Course, stage: Stage, folder: Path) -> Iterator[list[Server]]:
        manifests = folder / "cluster.json"
        manifests.write_text(stage.manifest)
        with ExitStack() as running:
            upstream = running.enter_context(knot(folder / "upstream", stage.outside, CLIENT_CORE))
            block = kubernetes(f"manifests {manifests}")
            ours = running.enter_context(pydnsk8s(folder / "pydnsk8s", block, upstream.port, cache=self.cache))
            peer = running.enter_context(knot(folder / "knot", {**stage.zones, **stage.outside}, SERVER_CORE))
            servers = [ours, peer]
            for name in course.peers:
                other = PEERS[name].start(folder / name, stage.zones, stage.outside, upstream.port)
                servers.append(running.enter_context(other))
            ours.wait_until_ready(next(iter(stage.outside)))
            yield servers


def told(contest: str, server: str, number: int, played: Round) -> str:
    """A round as the progress shows it."""
    label = f"round {number}" if number else "warm-up"
    return f"{contest} {label} {server}: {played.cost:.2f} us a query, {played.rate:.0f} q/s, {played.lost} lost"


CONTESTS = (
    Contest("hits", 1.45, _plain(100, 100)),
    Contest("kubernetes", 5.0, _plain(20_000, 40_000), once=True),
    Contest("mixed", 1.8, _tiered("mixed"), warm=True),
    Contest("external", 2.2, _tiered("external"), warm=True),
    Contest("internal", 1.45, _tiered("internal"), warm=True),
    Contest("cold", 2.2, _tiered("cold"), once=True),
    Contest("cached", 1.7, _hosts),
    Contest("forward", 3.5, _hosts, cache=False),
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
        stage = _plain(100, 100)(course)
        sheet, manifests = Sheet(folder / "questions", stage.questions), folder / "cluster.json"
        manifests.write_text(stage.manifest)
        rounds: dict[str, list[Round]] = {"TCP": [], "UDP": []}
        with (
            knot(folder / "upstream", stage.outside, CLIENT_CORE) as upstream,
            pydnsk8s(folder / "pydnsk8s", kubernetes(f"manifests {manifests}"), upstream.port) as ours,
        ):
            ours.wait_until_ready(hosts.ZONE)
            for number in range(course.rounds + 1):
                seconds = course.seconds if number else min(course.seconds, _WARM_UP)
                for transport, played in rounds.items():
                    fresh = ask(ours, sheet, seconds, tcp=transport == "TCP")
                    played += [fresh] if number else []
                    course.tell(told(self.name, transport, number, fresh))
        sides = {f"pydnsk8s {transport}": tuple(each) for transport, each in rounds.items()}
        ours_tcp, ours_udp = sides.values()
        return Result(self.name, cost(ours_tcp) / cost(ours_udp), "x", self.target, sides)
