"""Files that others may replace: whether they have changed since they were read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class Files:
    """Some files as they were when this was made, or last found changed."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._marks = [_mark(path) for path in self._paths]

    def changed(self) -> bool:
        """Whether any of them is another one now; each change is told once."""
        before, self._marks = self._marks, [_mark(path) for path in self._paths]
        return before != self._marks


def _mark(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does, a swapped link on the way to it included; None for one that is not there."""
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_mtime_ns, now.st_size, now.st_ino
