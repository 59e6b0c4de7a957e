"""Whether memory grows: how fast what is held has become more, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from statistics import stdev
from typing import NamedTuple


class Slope(NamedTuple):
    """A slope with its standard error."""

    value: float
    error: float


def slope(points: Sequence[tuple[float, float]]) -> Slope:
    """By the steps between what was held at equal distances of time; at least three points.

    A straight line through the amounts would be far too sure of itself: what has once come stays, so each amount has
    all the chance of those before in it. The steps are what is independent of each other: one that comes many times
    is a slope, one that comes once tells little.
    """
    steps = [later - before for (_, before), (_, later) in pairwise(points)]
    time = points[-1][0] - points[0][0]
    return Slope(sum(steps) / time, stdev(steps) * sqrt(len(steps)) / time)
