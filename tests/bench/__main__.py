"""The command of the bench: runs what is chosen, tells on stderr how it goes, prints the table."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tests.bench import starts
from tests.bench.contests import CONTESTS, Result, Tcp
from tests.bench.course import Course
from tests.bench.ground import Measured
from tests.bench.peers import PEERS
from tests.bench.phases import PHASES, run_phases
from tests.bench.plot import find_matplotlib, plot
from tests.bench.report import document, phase_document, phase_table, table
from tests.bench.servers import CLIENT_CORE, BenchError, program
from tests.bench.tiers import TIERS

_ALL = (*CONTESTS, Tcp())
NAMES = (*(contest.name for contest in _ALL), *starts.NAMES)
_PHASES = (*PHASES, "soak")
_FILE = click.Path(path_type=Path)


def _among(known: tuple[str, ...]) -> click.ParamType[tuple[str, ...]]:
    class Names(click.ParamType[tuple[str, ...]]):
        name = ",".join((known[0], "..."))

        def convert(
            self, value: object, parameter: click.Parameter | None, context: click.Context | None
        ) -> tuple[str, ...]:
            names = tuple(filter(None, str(value).split(",")))
            for name in names:
                if name not in known:
                    self.fail(f"{name!r} is none of {', '.join(known)}")
            return names

    return Names()


def _drawn(command: Callable[..., None]) -> Callable[..., None]:
    """The options that all commands have: what is served and asked, and where the outcome goes."""
    for option in (
        click.option("--json", "file", type=_FILE, help="Write all figures there as well."),
        click.option(
            "--profile", type=_FILE, help="Write a flame graph (SVG) of our server there; choose one with --only."
        ),
        click.option("--seed", type=int, default=53, show_default=True, help="What everything is drawn from."),
        click.option(
            "--lookups", type=click.IntRange(100), default=20_000, show_default=True, help="Lookups of a mix."
        ),
        click.option("--tier", type=click.Choice([*TIERS]), default="L", show_default=True, help="The cluster's size."),
        click.option(
            "--seconds", type=click.FloatRange(0.1), default=5.0, show_default=True, help="How long each asks."
        ),
    ):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@click.pass_context
@_drawn
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Rounds of each measure.")
@click.option("--only", type=_among(NAMES), default=",".join(NAMES), show_default=True, help="Which measures to run.")
@click.option("--peers", type=_among((*PEERS,)), help="Other servers beside Knot; those installed if left out.")
def main(
    context: click.Context, only: tuple[str, ...], peers: tuple[str, ...] | None, file: Path | None, **options: Any
) -> None:
    """What a query costs here and in Knot DNS, side by side."""
    if context.invoked_subcommand:
        if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in context.params):
            raise click.UsageError(f"options go behind the word {context.invoked_subcommand}")
        return
    if peers is None:
        peers = tuple(name for name, peer in PEERS.items() if peer.there)
    results: list[Result] = []
    try:
        with _course(only, peers=peers, **options) as course:
            results.extend(_run(course, only))
    finally:
        # What there is, whatever went wrong later.
        print(table(results))
        if file is not None:
            file.write_text(json.dumps(document(results), indent=2) + "\n")


@main.command("phases")
@_drawn
@click.option("--only", type=_among(_PHASES), default=",".join(_PHASES), show_default=True, help="Which phases.")
@click.option(
    "--minutes", type=click.FloatRange(0.01), default=30.0, show_default=True, help="How long the soak takes."
)
@click.option("--plot", "picture", type=_FILE, help="Draw latencies and throughput there (PNG).")
def phases(only: tuple[str, ...], minutes: float, picture: Path | None, file: Path | None, **options: Any) -> None:
    """Our server alone: from cold to flooded, and whether its memory grows."""
    measured: list[Measured] = []
    try:
        with _course(only, **options) as course:
            if picture is not None:
                find_matplotlib()
            measured.extend(run_phases(course, only, minutes))
    finally:
        print(phase_table(measured))
        if file is not None:
            file.write_text(json.dumps(phase_document(measured), indent=2) + "\n")
    if picture is not None:
        plot(measured, picture)


@contextmanager
def _course(only: tuple[str, ...], *, profile: Path | None, **options: Any) -> Iterator[Course]:
    """All that a run needs; what is missing or goes wrong is told in one line."""
    if profile is not None and (len(only) != 1 or only[0] in starts.NAMES):
        raise click.UsageError("--profile wants one contest or phase with --only")
    # Not on the core of the server that is measured.
    os.sched_setaffinity(0, {CLIENT_CORE})
    with tempfile.TemporaryDirectory(prefix="pydnsk8s-bench-") as folder:
        try:
            for tool in ("knotd", "dnsperf", "taskset"):
                program(tool)
            yield Course(Path(folder), tell=_tell, profile=profile, **options)
        except BenchError as error:
            raise click.ClickException(str(error)) from error


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _run(course: Course, only: tuple[str, ...]) -> Iterator[Result]:
    yield from (contest.run(course) for contest in _ALL if contest.name in only)
    if not set(starts.NAMES).isdisjoint(only):
        yield from (result for result in starts.run_starts(course) if result.name in only)


if __name__ == "__main__":
    main()
