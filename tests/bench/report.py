"""What a run comes to, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.bench.contests import Result
from tests.bench.ground import Measured
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


_PHASE_HEADINGS = (
    "phase", "us a query", "q/s a core", "q/s", "lost",
    "at q/s", "p50 ms", "p99 ms", "p99.9 ms", "lost", "doubt", "others", "hits", "MB",
)  # fmt: skip
_SHARES = (0.5, 0.99, 0.999)
_PHASE_ROW = "{:<14}{:>11}{:>12}{:>9}{:>6}{:>9}{:>8}{:>8}{:>10}{:>8}{:>7}{:>8}{:>6}{:>8}  {}"


def phase_table(phases: Sequence[Measured]) -> str:
    """One line a phase: as fast as it goes, then at half that rate, and what else is worth knowing."""
    rows = [_PHASE_ROW.format(*_PHASE_HEADINGS, "")]
    for measured in phases:
        busy, pace = measured.busy, measured.pace
        notes = ", ".join(f"{key} {_figure(value)}" for key, value in measured.notes.items())
        target = f"target: {measured.target}" if measured.target else ""
        rows.append(
            _PHASE_ROW.format(
                measured.name, f"{busy.cost:.2f}", f"{measured.capacity:.0f}", f"{busy.rate:.0f}", busy.lost,
                f"{pace.rate:.0f}", *(f"{measured.within(share):.2f}" for share in _SHARES),
                f"{pace.lost(measured.judged):.2%}", f"{pace.doubt:.0%}", f"{pace.others:.0%}",
                f"{measured.hits:.0%}", f"{measured.memory:.1f}",
                "; ".join(filter(None, (notes, target))),
            )
        )  # fmt: skip
    return "\n".join(row.rstrip() for row in rows)


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def phase_document(phases: Sequence[Measured]) -> list[dict[str, Any]]:
    """The phases, ready for JSON."""
    return [
        {
            "name": measured.name, "us": measured.busy.cost, "rate": measured.busy.rate, "a core": measured.capacity,
            "lost": measured.busy.lost, "codes": measured.busy.codes, "hits": measured.hits, "MB": measured.memory,
            "pace": {
                "rate": measured.pace.rate, "sent": measured.pace.sent, "late": measured.pace.late,
                "missed": measured.pace.missed, "others": measured.pace.others,
                "lost": {group: measured.pace.lost((group,)) for group in measured.pace.sent},
                "ms": {f"{share:.1%}": measured.within(share) for share in _SHARES},
            },
            "notes": measured.notes, "target": measured.target,
        }
        for measured in phases
    ]  # fmt: skip
