"""Which of the targets are where the client is, by the fields of a database."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydnsk8s import background, log
from pydnsk8s.geo import Database, UnreadableError
from pydnsk8s.keep import Keep, Stamp
from pydnsk8s.subnet import Asker

_EVERY = 30.0  # seconds between two looks at the file
_LOG = log.plugin("k8s_crd")


class Places:
    """The database of a file, or its absence for as long as there is no such file."""

    def __init__(self, path: Path, fields: tuple[tuple[str, ...], ...]) -> None:
        self._path = path
        self._fields = fields
        self._database: Database | None = None
        self._absence = Stamp()
        self._missed = False
        self._refused = ""
        self._waiting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Read the file and follow its changes; geo.UnreadableError if it is there and cannot be used."""
        if self._path.exists():
            self._use(Database(self._path, _LOG))
        else:
            self._waiting = background.start(self._wait, _LOG, f"waiting for {self._path}")

    async def stop(self) -> None:
        """Follow the file no more."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.wait([self._waiting])
        if self._database is not None:
            await self._database.stop()

    def near(self, asker: Asker, targets: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], Keep]:
        """Those of the targets that share a field with whoever asks, or all; and for how long and whom it is these.

        The fields count in their order: the first that any target shares decides.
        """
        database = self._database
        if database is None:
            self._complain()
            return targets, Keep.while_(self._absence)
        record, bits = database.find(asker)
        keep = asker.keep(bits) & Keep.while_(database.stamp)
        records = [database.find(Asker(target))[0] for target in targets]
        for field in self._fields:
            here = _value(record, field)
            if here is None:
                continue
            near = tuple(t for t, found in zip(targets, records, strict=True) if _value(found, field) == here)
            if near:
                return near, keep
        return targets, keep

    def _use(self, database: Database) -> None:
        self._database = database
        database.watch(_EVERY)
        self._absence.retire()

    async def _wait(self) -> None:
        """Take the file into use when it appears."""
        while self._database is None:
            await asyncio.sleep(_EVERY)
            await self.look()

    async def look(self) -> None:
        """Read the file if it is there now; one that cannot be used leaves everything as it is."""
        if not self._path.exists():
            return
        try:
            self._use(await asyncio.to_thread(Database, self._path, _LOG))
        except UnreadableError as error:
            if str(error) != self._refused:
                _LOG.warning("%s", error)
            self._refused = str(error)

    def _complain(self) -> None:
        if not self._missed:
            _LOG.warning("no client can be placed: there is no %s", self._path)
        self._missed = True


def _value(record: object, field: tuple[str, ...]) -> str | int | None:
    """What the database says in a field; None for nothing, and for what is neither text nor a number."""
    for key in field:
        record = record.get(key) if isinstance(record, dict) else None
    return record if isinstance(record, str | int) and record != "" else None
