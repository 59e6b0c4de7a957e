"""Databases that know where addresses are: opened, looked up, and read again when their file changes.

Rule: a database is read into memory whole and looked through before it is used, so that whatever happens to the file
a server goes on with the version it has.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pydnsk8s import background
from pydnsk8s.keep import Stamp

if TYPE_CHECKING:
    from maxminddb import Reader

    from pydnsk8s.subnet import Asker

_PROBED = 256  # networks looked at before a database is used

_Mark: TypeAlias = tuple[int, int, int]  # what changes when a file does: its time, size and inode
_GONE: _Mark = (0, 0, 0)


class UnreadableError(Exception):
    """Why a file cannot be used as a database, in words for the operator."""


class Database:
    """One file in the MaxMind DB format, and the version of it in use.

    Raises UnreadableError if there is no such file or it is no database.
    """

    def __init__(self, path: Path, log: logging.Logger) -> None:
        self.path = path
        self.stamp = Stamp()
        """Lives as long as the version in use."""
        self._log = log
        self._mark = self._refused = _mark(path)
        self._reader = _read(path)
        self._only4 = self._reader.metadata().ip_version == 4
        self._watching: asyncio.Task[None] | None = None

    @property
    def type(self) -> str:
        """The kind of database as it calls itself, such as ``GeoLite2-City``."""
        return self._reader.metadata().database_type

    def find(self, asker: Asker) -> tuple[object, int]:
        """What is known of an address, None for nothing, and for how many of its leading bits."""
        from maxminddb import InvalidDatabaseError

        width = len(asker.address) * 8
        if width == 128 and self._only4:
            return None, 0
        try:
            record, bits = self._reader.get_with_prefix_len(asker.text)
        except (InvalidDatabaseError, UnicodeDecodeError) as error:
            # What was looked at before use was sound; this part is not.
            self._log.warning("%s: cannot look up %s: %s", self.path, asker.text, error)
            return None, width
        return record, min(max(bits, 0), width)

    def watch(self, seconds: float) -> None:
        """Look every so many seconds whether the file has changed; 0 for never."""
        if seconds:
            self._watching = background.start(lambda: self._watch(seconds), self._log, f"looking at {self.path}")

    async def stop(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    async def _watch(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self.refresh()

    async def refresh(self) -> bool:
        """Read the file if it has changed, and whether it was read; one that cannot be used changes nothing."""
        mark = _GONE
        try:
            mark = _mark(self.path)
            if mark in (self._mark, self._refused):
                return False
            # In a thread, for a database of all cities has a hundred megabytes.
            reader = await asyncio.to_thread(_read, self.path)
        except UnreadableError as error:
            if mark != self._refused:
                self._log.warning("%s; going on with the version from before", error)
            self._refused = mark
            return False
        self._mark = self._refused = mark
        self._reader.close()
        self._reader, self._only4 = reader, reader.metadata().ip_version == 4
        old, self.stamp = self.stamp, Stamp()
        old.retire()
        self._log.info("%s has changed and was read again", self.path)
        return True


def _mark(path: Path) -> _Mark:
    try:
        now = path.stat()
    except OSError as error:
        raise _unopenable(path, error) from None
    return now.st_mtime_ns, now.st_size, now.st_ino


def _read(path: Path) -> Reader:
    import maxminddb

    try:
        with path.open("rb") as file, os.fdopen(os.memfd_create(path.name), "wb") as copy:
            # A file that is mapped as it is would kill the process if somebody made it shorter.
            shutil.copyfileobj(file, copy)
            copy.flush()
            reader = maxminddb.open_database(f"/proc/self/fd/{copy.fileno()}")
        for _ in itertools.islice(reader, _PROBED):
            pass
    except OSError as error:
        raise _unopenable(path, error) from None
    except (maxminddb.InvalidDatabaseError, ValueError):
        raise UnreadableError(f"{path} is not a MaxMind DB file, or not a whole one") from None
    return reader


def _unopenable(path: Path, error: OSError) -> UnreadableError:
    return UnreadableError(f"cannot read {path}: {(error.strerror or str(error)).lower()}")
