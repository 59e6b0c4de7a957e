"""What a run comes to, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.bench.contests import Result
from tests.bench.load import cost, rate

_HEADINGS = ("measure", "server", "result", "target", "us a query", "q/s", "lost")
_ROW = "{:<12}{:<14}{:>10}{:>12}{:>12}{:>10}{:>8}"


def table(results: Sequence[Result]) -> str:
    """One line a server: our ratio to the second of them, and what each took."""
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for result in results:
        rows += _rows(result)
    return "\n".join(_ROW.format(*row).rstrip() for row in rows)


def _rows(result: Result) -> list[tuple[str, ...]]:
    value, target = f"{result.value:.2f} {result.unit}", f"<= {result.target:g} {result.unit}"
    if not result.sides:
        return [(result.name, "pydnsk8s", value, target, "", "", "")]
    rows: list[tuple[str, ...]] = []
    reference = cost(list(result.sides.values())[1])
    for number, (server, rounds) in enumerate(result.sides.items()):
        lost = sum(played.lost for played in rounds)
        figures = f"{cost(rounds):.2f}", f"{rate(rounds):.0f}", str(lost)
        rows.append((result.name, server, f"{cost(rounds) / reference:.2f} x", "" if number else target, *figures))
    return rows


def document(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The results with every round, ready for JSON."""
    return [
        {
            "name": result.name, "value": result.value, "unit": result.unit, "target": result.target,
            "servers": {
                server: [
                    {"us": played.cost, "rate": played.rate, "queries": played.queries, "lost": played.lost,
                     "codes": played.codes}
                    for played in rounds
                ]
                for server, rounds in result.sides.items()
            },
        }
        for result in results
    ]  # fmt: skip
