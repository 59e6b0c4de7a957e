"""The bench works: every measure is taken once, briefly; what comes out is not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import cluster
from tests.bench.__main__ import NAMES
from tests.bench.cluster import Cluster
from tests.bench.contests import CONTESTS
from tests.bench.servers import ROOT, installed

_MISSING = [tool for tool in ("knotd", "dnsperf", "taskset", "etcd") if installed(tool) is None]


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.peer
@pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")
def test_every_measure_gives_a_line_of_the_table_and_its_rounds_as_json(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    small = ("--tier", "S", "--lookups", "200", "--peers", "")
    ran = _bench("--seconds", "0.3", "--rounds", "1", *small, "--json", str(file))
    assert ran.returncode == 0, ran.stderr
    assert [*dict.fromkeys(line.split()[0] for line in ran.stdout.splitlines())] == ["measure", *NAMES]
    results = {result["name"]: result for result in json.loads(file.read_text())}
    assert all(results[name]["value"] > 0 for name in NAMES)
    played = [contest.name for contest in CONTESTS]
    assert all([*results[name]["servers"]] == ["pydnsk8s", "Knot"] for name in played)
    assert all(len(rounds) == 1 for name in played for rounds in results[name]["servers"].values())


def test_an_unknown_measure_is_named() -> None:
    ran = _bench("--only", "hits,speed")
    assert ran.returncode == 2
    assert "'speed' is none of hits, kubernetes" in " ".join(ran.stderr.split())


def test_the_same_seed_draws_the_same_cluster() -> None:
    one, other = (Cluster(50, 20, seed=7) for _ in range(2))
    assert (one.manifest(), one.zone(), one.questions()) == (other.manifest(), other.zone(), other.questions())
    assert one.zone() != Cluster(50, 20, seed=8).zone()


def test_no_question_is_asked_twice() -> None:
    questions = Cluster(200, 100).questions()
    assert len(set(questions)) == len(questions) == 200 * 3 + 100


def test_every_name_asked_for_is_in_the_zone() -> None:
    drawn = Cluster(200, 100)
    owners = {line.split()[0] for line in drawn.zone().splitlines()}
    assert {question.split()[0].removesuffix(f".{cluster.ZONE}") for question in drawn.questions()} <= owners
