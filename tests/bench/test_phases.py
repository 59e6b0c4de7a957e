"""The phases of a running server come to their end; what comes out is not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import mixes, tiers
from tests.bench.blast import fresh
from tests.bench.mixes import freshened
from tests.bench.phases import PHASES
from tests.bench.question import FLOOD, OUTSIDE, Question
from tests.bench.servers import ROOT, installed

_MISSING = [tool for tool in ("knotd", "dnsperf", "taskset") if installed(tool) is None]
_SMALL = ("--tier", "S", "--lookups", "300", "--seconds", "0.2", "--minutes", "0.05")


def _phases(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", "phases", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.peer
@pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")
def test_a_server_goes_through_every_phase_and_answers_as_expected(tmp_path: Path) -> None:
    file = tmp_path / "phases.json"
    ran = _phases(*_SMALL, "--json", str(file))
    assert ran.returncode == 0, ran.stderr
    names = [*PHASES, "soak"]
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["phase", *names]
    phases = json.loads(file.read_text())
    assert [phase["name"] for phase in phases] == names
    assert all(0 <= phase["hits"] <= 1 and phase["pace"]["sent"] for phase in phases)
    notes = {phase["name"]: phase["notes"] for phase in phases}
    assert notes["churn-1000"]["changes"] > 0
    for name in ("relist", "relist-pages"):
        assert notes[name]["relists"] >= 5
        assert notes[name]["lists"] >= 3 * notes[name]["relists"]
        assert notes[name]["queries meanwhile"] > 0
    assert notes["reload"]["reloads"] > 0
    assert notes["flood"]["flood q/s"] > 0
    assert 0 <= notes["flood"]["hits flooded"] <= 1
    assert notes["overload"]["answered q/s"] > 0
    assert {"KiB a minute", "blocks a minute"} <= notes["soak"].keys()


def test_a_flame_graph_is_of_one_phase() -> None:
    ran = _phases("--profile", "flames.svg")
    assert ran.returncode == 2
    assert "--profile wants one contest or phase with --only" in ran.stderr


def test_options_before_the_word_are_not_passed_over() -> None:
    command = [sys.executable, "-m", "tests.bench", "--tier", "S", "phases"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "options go behind the word phases" in ran.stderr


def test_a_missing_program_is_told_with_its_package() -> None:
    command = [sys.executable, "-c", "import os, tests.bench.servers as s; s._SEARCHED = ''; s.program('knotd')"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "knotd is missing: apt-get install knot" in ran.stderr


def test_a_flood_is_a_third_each_below_the_zone_a_namespace_and_a_zone_outside() -> None:
    cluster = tiers.Cluster(tiers.TIERS["S"])
    asked = mixes.flood(cluster)
    assert {question.group for question in asked} == {FLOOD}
    zones = [question.name.partition(".")[2] for question in asked]
    assert zones[::3] == ["cluster.local"] * 10
    assert zones[1::3] == [f"{namespace}.svc.cluster.local" for namespace in cluster.namespaces]
    assert zones[2::3] == ["vendor.example"] * 10


def test_a_flood_never_asks_for_the_same_name_twice() -> None:
    zone = b"\7cluster\5local\0\0\1\0\1"
    asked = list(fresh([bytes(12) + b"\20" + b"0123456789abcdef" + zone] * 1000, "53"))
    assert len(set(asked)) == 1000
    assert all(len(wire) == 12 + 17 + len(zone) and wire.endswith(zone) and wire[12] == 16 for wire in asked)
    assert asked == list(fresh(asked, "53"))


def test_what_nobody_has_asked_the_upstream_is_among_the_rest() -> None:
    asked = freshened([Question("a.example", "A")] * 250)
    assert [place for place, question in enumerate(asked) if question.group == OUTSIDE] == [100, 201]
