"""Whether memory grows: a straight line through what was held over time, and how sure its slope is."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple


class Slope(NamedTuple):
    """A slope with its standard error."""

    value: float
    error: float


def slope(points: Sequence[tuple[float, float]]) -> Slope:
    """By least squares; at least three points at different times."""
    number = len(points)
    mean_x, mean_y = (sum(point[axis] for point in points) / number for axis in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    value = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    left = sum((y - mean_y - value * (x - mean_x)) ** 2 for x, y in points)
    return Slope(value, sqrt(left / (number - 2) / spread))
