"""The measures of a live cluster work; what comes out is not judged."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.bench.servers import ROOT


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("taskset") is None, reason="not installed: taskset")
@pytest.mark.parametrize(
    ("measure", "options", "told"),
    [
        ("churn", ["--events", "1000", "--services", "100"], "memory: "),
        ("fresh", ["--seconds", "1", "--services", "100", "--rate", "100"], "100 changes answered: "),
    ],
)
def test_a_measure_comes_to_its_end(measure: str, options: list[str], told: str) -> None:
    if measure == "fresh" and shutil.which("dnsperf") is None:
        pytest.skip("not installed: dnsperf")
    command = [sys.executable, "-m", f"tests.bench.{measure}", *options]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told in ran.stdout, ran.stderr
