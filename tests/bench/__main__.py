"""The command of the bench: runs what is chosen, tells on stderr how it goes, prints the table."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import click

from tests.bench import starts
from tests.bench.contests import CONTESTS, Course, Result, Tcp
from tests.bench.peers import PEERS
from tests.bench.report import document, table
from tests.bench.servers import CLIENT_CORE, BenchError, program
from tests.bench.tiers import TIERS

_ALL = (*CONTESTS, Tcp())
NAMES = (*(contest.name for contest in _ALL), *starts.NAMES)


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


@click.group(invoke_without_command=True)
@click.pass_context
@click.option("--seconds", type=click.FloatRange(0.1), default=5.0, show_default=True, help="How long a round asks.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Rounds of each measure.")
@click.option("--only", type=_among(NAMES), default=",".join(NAMES), show_default=True, help="Which measures to run.")
@click.option("--tier", type=click.Choice([*TIERS]), default="L", show_default=True, help="The cluster of the mixes.")
@click.option("--lookups", type=click.IntRange(100), default=20_000, show_default=True, help="Lookups of a mix.")
@click.option("--seed", type=int, default=53, show_default=True, help="What everything is drawn from.")
@click.option("--peers", type=_among((*PEERS,)), help="Other servers beside Knot; those installed if left out.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every round there as well.")
def main(
    context: click.Context, seconds: float, rounds: int, only: tuple[str, ...], tier: str, lookups: int, seed: int,
    peers: tuple[str, ...] | None, file: Path | None,
) -> None:  # fmt: skip
    """What a query costs here and in Knot DNS, side by side."""
    if context.invoked_subcommand:
        return
    # Not on the core of the server that is measured.
    os.sched_setaffinity(0, {CLIENT_CORE})
    if peers is None:
        peers = tuple(name for name, peer in PEERS.items() if peer.there)
    with tempfile.TemporaryDirectory(prefix="pydnsk8s-bench-") as folder:
        course = Course(Path(folder), seconds, rounds, _tell, tier, lookups, seed, peers)
        try:
            for tool in ("knotd", "dnsperf", "taskset"):
                program(tool)
            results = _run(course, only)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    print(table(results))
    if file is not None:
        file.write_text(json.dumps(document(results), indent=2) + "\n")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _run(course: Course, only: tuple[str, ...]) -> list[Result]:
    results = [contest.run(course) for contest in _ALL if contest.name in only]
    if not set(starts.NAMES).isdisjoint(only):
        results += (result for result in starts.run_starts(course) if result.name in only)
    return results


if __name__ == "__main__":
    main()
