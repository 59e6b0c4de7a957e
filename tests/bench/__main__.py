"""The command of the bench: runs what is chosen, tells on stderr how it goes, prints the table."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from tests.bench.measures import CONTESTS, NAMES, STARTS, Course, Result, cost, rate, run_starts
from tests.bench.servers import CLIENT_CORE, BenchError

_TOOLS = ("knotd", "dnsperf", "taskset")
_HEADINGS = ("measure", "result", "target", "us a query", "Knot's", "q/s", "Knot's", "lost", "Knot's")
_ROW = "{:<12}{:>10}{:>10}{:>12}{:>9}{:>10}{:>9}{:>7}{:>8}"


def _chosen(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(value.split(","))
    for name in names:
        if name not in NAMES:
            raise click.BadParameter(f"{name!r} is none of {', '.join(NAMES)}")
    return names


@click.command()
@click.option("--seconds", type=click.FloatRange(0.1), default=5.0, show_default=True, help="How long a round asks.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Rounds of each measure.")
@click.option("--only", callback=_chosen, default=",".join(NAMES), show_default=True, help="Which measures to run.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every round there as well.")
def main(seconds: float, rounds: int, only: tuple[str, ...], file: Path | None) -> None:
    """What a query costs here and in Knot DNS, side by side."""
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            raise click.ClickException(f"{tool} is missing: apt-get install knot dnsperf util-linux")
    # Not on the core of the server that is measured.
    os.sched_setaffinity(0, {CLIENT_CORE})
    with tempfile.TemporaryDirectory(prefix="pydnsk8s-bench-") as folder:
        course = Course(Path(folder), seconds, rounds, lambda line: print(line, file=sys.stderr, flush=True))
        try:
            results = _run(course, only)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    print(_table(results))
    if file is not None:
        file.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")


def _run(course: Course, only: tuple[str, ...]) -> list[Result]:
    results = [contest.run(course) for contest in CONTESTS if contest.name in only]
    if not set(STARTS).isdisjoint(only):
        results += (result for result in run_starts(course) if result.name in only)
    return results


def _table(results: list[Result]) -> str:
    return "\n".join((_ROW.format(*_HEADINGS), *(_row(result) for result in results)))


def _row(result: Result) -> str:
    against: tuple[str, ...] = ("",) * 6
    if result.ours:
        sides = (result.ours, result.knot)
        against = (
            *(f"{cost(rounds):.2f}" for rounds in sides),
            *(f"{rate(rounds):.0f}" for rounds in sides),
            *(str(sum(played.lost for played in rounds)) for rounds in sides),
        )
    value = f"{result.value:.2f} {result.unit}"
    return _ROW.format(result.name, value, f"<= {result.target:g} {result.unit}", *against).rstrip()


if __name__ == "__main__":
    main()
