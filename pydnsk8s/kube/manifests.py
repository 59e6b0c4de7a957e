"""A cluster described in files: manifests, or what ``kubectl get ns,svc,endpointslices,pods -A -o yaml`` prints."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from pydnsk8s import background
from pydnsk8s.kube.decode import read
from pydnsk8s.kube.documents import SUFFIXES, ManifestError, documents
from pydnsk8s.kube.objects import KINDS, Kind, Namespace, Object
from pydnsk8s.kube.source import Sink

_log = logging.getLogger("pydnsk8s.kube")


class Mark(NamedTuple):
    """What tells one version of a file from the next; a ConfigMap's swapped link shows in the inode."""

    changed_ns: int
    size: int
    inode: int


class Manifests:
    """Serves the objects in YAML or JSON files and folders of them, and follows their changes.

    Folders are searched to the bottom, hidden entries left out. A namespace that objects use exists, listed or not.
    Of two objects of one name the later counts, files in the order given and within a folder by name. A file that can
    no longer be read counts with its last good objects; when starting it is an error.
    """

    def __init__(self, paths: Iterable[Path], kinds: Iterable[Kind] = KINDS, every: float = 2.0) -> None:
        self._paths = tuple(paths)
        self._kinds = tuple(kinds)
        self._every = every
        self._marks: dict[Path, Mark | None] = {}
        self._objects: dict[Path, list[Object]] = {}
        self._broken: dict[Path, str] = {}
        self._skipped = 0
        self._following: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str:
        """Which files could not be read when last looked at."""
        return "; ".join(self._broken.values())

    @property
    def skipped(self) -> int:
        """How many objects were passed over because they could not be read."""
        return self._skipped

    async def start(self, sink: Sink) -> None:
        """Read everything, then keep looking for changes; raises ManifestError for what cannot be read."""
        await asyncio.to_thread(self._look)
        self._give(sink)
        self._following = background.start(lambda: self._follow(sink), _log, "following the manifests")

    async def stop(self) -> None:
        """Stop looking."""
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following

    async def _follow(self, sink: Sink) -> None:
        while True:
            await asyncio.sleep(self._every)
            # A large cluster takes seconds to parse, which must not hold up the queries.
            if await asyncio.to_thread(self._look_again):
                self._give(sink)

    def _give(self, sink: Sink) -> None:
        listed: dict[Kind, list[Object]] = {kind: [] for kind in (Namespace, *self._kinds)}
        for path in self._marks:
            for obj in self._objects.get(path, ()):
                listed[type(obj)].append(obj)
        used = {obj.namespace for objects in listed.values() for obj in objects} - {""}
        listed[Namespace] += [Namespace(name) for name in sorted(used)]
        for kind in self._kinds:
            sink.replace(kind, listed[kind])

    def _look(self) -> None:
        self._marks = {path: _mark(path) for path in _files(self._paths)}
        for path in self._marks:
            self._read(path)

    def _look_again(self) -> bool:
        """Read what is new or different; whether anything was."""
        try:
            marks = {path: _mark(path) for path in _files(self._paths)}
        except ManifestError as error:
            self._complain(error)
            return False
        before, self._marks = self._marks, marks
        changed = [path for path, mark in marks.items() if path not in before or before[path] != mark]
        gone = before.keys() - marks.keys()
        for path in gone:
            del self._objects[path]
        self._broken = {path: why for path, why in self._broken.items() if path in marks}
        for path in changed:
            try:
                self._read(path)
            except ManifestError as error:
                self._complain(error)
        return bool(changed or gone)

    def _read(self, path: Path) -> None:
        self._objects.setdefault(path, [])
        found = [read(kind, document) for kind, document in documents(path) if kind in self._kinds]
        self._objects[path] = [obj for obj in found if obj is not None]
        self._skipped += len(found) - len(self._objects[path])
        self._broken.pop(path, None)

    def _complain(self, error: ManifestError) -> None:
        if self._broken.get(error.path) != str(error):
            _log.warning("%s; keeping what was last read", error)
        self._broken[error.path] = str(error)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files to read, in order; raises ManifestError for a path that cannot be searched."""
    for top in paths:
        try:
            mode = top.stat().st_mode
        except FileNotFoundError:
            raise ManifestError(top, "no such file or folder") from None
        except OSError as error:
            _unreadable(error)
        if not stat.S_ISDIR(mode):
            yield top
            continue
        # A ConfigMap's folder holds its files twice more, in ``..data`` and in the folder that this points to.
        for folder, folders, files in os.walk(top, onerror=_unreadable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if not name.startswith(".") and Path(name).suffix in SUFFIXES:
                    yield Path(folder, name)


def _unreadable(error: OSError) -> NoReturn:
    raise ManifestError(Path(error.filename), error.strerror or str(error)) from None


def _mark(path: Path) -> Mark | None:
    try:
        now = path.stat()
    except OSError:
        return None  # reading it will say why
    return Mark(now.st_mtime_ns, now.st_size, now.st_ino)
