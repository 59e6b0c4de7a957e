"""What is served and asked in each contest, drawn from the course's seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import cluster, hosts, keys, mixes, outside, tiers
from tests.bench.course import Course
from tests.bench.ours import kubernetes
from tests.bench.peers import Zones
from tests.bench.question import NOERROR, Question


@dataclass(frozen=True, slots=True)
class Stage:
    """What is served and what is asked in a contest."""

    questions: Sequence[Question]
    zones: Zones
    """The cluster's, as Knot serves them."""
    outside: Zones
    """The upstream's."""
    manifest: str = ""
    """The cluster's objects, as we read them; without any, we have the hosts that etcd holds."""

    @property
    def sample(self) -> Question:
        """One of those that find something."""
        return next(question for question in self.questions if question.rcode == NOERROR)

    @contextmanager
    def backend(self, folder: Path) -> Iterator[str]:
        """The plugin that knows the names, in a Corefile, and what it has them from."""
        if self.manifest:
            manifests = folder / "cluster.json"
            manifests.write_text(self.manifest)
            yield kubernetes(f"manifests {manifests}")
        else:
            with keys.etcd(folder / "etcd") as url:
                yield f"etcd {keys.ZONE} {{\n        endpoint {url}\n        mode strict\n    }}"


def plain(services: int, pods: int = 0) -> Callable[[Course], Stage]:
    """A cluster of services that are all alike, each name asked for once a sheet."""

    def stage(course: Course) -> Stage:
        drawn = cluster.Cluster(services, pods, seed=course.seed)
        questions = [_question(line) for line in drawn.questions()]
        return Stage(questions, {cluster.ZONE: drawn.zone()}, {hosts.ZONE: hosts.zone()}, drawn.manifest())

    return stage


def forwarded(ask: Callable[[], list[str]]) -> Callable[[Course], Stage]:
    """Hosts that only the upstream knows."""

    def stage(course: Course) -> Stage:
        drawn = cluster.Cluster(100, 0, seed=course.seed)
        questions = [_question(line) for line in ask()]
        return Stage(questions, {cluster.ZONE: drawn.zone()}, {hosts.ZONE: hosts.zone()}, drawn.manifest())

    return stage


def _question(line: str) -> Question:
    name, type = line.split()
    return Question(name, type)


def tiered(name: str) -> Callable[[Course], Stage]:
    """A large cluster and one of the mixes, or ``cold`` for each name once."""

    def stage(course: Course) -> Stage:
        drawn = tiers.Cluster(tiers.TIERS[course.tier], seed=course.seed)
        if name == "cold":
            questions = mixes.once(drawn, seed=course.seed)
        else:
            questions = mixes.mix(drawn, name, course.lookups, seed=course.seed)
        return Stage(questions, drawn.zones(), outside.zones(), drawn.manifest())

    return stage


def etcd(*, once: bool) -> Callable[[Course], Stage]:
    """Hosts that ExternalDNS has written to etcd."""

    def stage(course: Course) -> Stage:
        asked = keys.questions(once=once, seed=course.seed)
        return Stage(asked, {keys.ZONE: keys.zone()}, {hosts.ZONE: hosts.zone()})

    return stage
