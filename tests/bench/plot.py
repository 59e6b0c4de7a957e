"""A picture of the phases: how long replies took, and how much a core answers."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from tests.bench.ground import Measured
from tests.bench.openloop import percentile
from tests.bench.servers import BenchError

_COLOURS = 10  # that matplotlib has before it begins again
_SHARES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999)


def find_matplotlib() -> None:
    """BenchError if it is not installed: said before a long run, not after it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise BenchError("matplotlib is missing: pip install pydnsk8s[bench]")


def plot(phases: Sequence[Measured], file: Path) -> None:
    """Write it as PNG."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, (slow, much) = plt.subplots(1, 2, figsize=(15, 5), layout="constrained")
    for number, measured in enumerate(phases):
        taken = measured.pace.all_taken(measured.judged)
        # Nines are as far apart as they are rare.
        slow.plot(
            [1 / (1 - share) for share in _SHARES],
            [percentile(taken, share) for share in _SHARES],
            marker=".",
            linestyle="-" if number < _COLOURS else "--",
            label=f"{measured.name} ({measured.pace.rate / 1000:.1f} k/s)",
        )
    slow.set(xscale="log", yscale="log", title="Latency at half load", xlabel="percentile", ylabel="milliseconds")
    slow.set_xticks([1 / (1 - share) for share in _SHARES], [f"{share * 100:g}" for share in _SHARES], minor=False)
    slow.minorticks_off()
    slow.grid(alpha=0.3)
    slow.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    bars = much.barh([measured.name for measured in phases], [measured.capacity / 1000 for measured in phases])
    much.bar_label(bars, [_kept(measured) for measured in phases], label_type="center", color="white")
    much.invert_yaxis()
    much.set(title="Throughput", xlabel="thousand queries a second and core")
    much.grid(axis="x", alpha=0.3)
    figure.savefig(file, dpi=120)
    plt.close(figure)


def _kept(measured: Measured) -> str:
    """What is left of it for the good queries, if there were others."""
    kept = measured.notes.get("kept")
    return "" if kept is None else f"good ones under it keep {kept:.0%}"
