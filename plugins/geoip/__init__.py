"""geoip - tells where clients are, as labels for view, log and others."""

from __future__ import annotations

import importlib.util
import re
from typing import Self

from pydnsk8s import log, subnet
from pydnsk8s.corefile import CorefileError, Directive, Option
from pydnsk8s.geo import Database, UnreadableError
from pydnsk8s.keep import ALWAYS, Keep
from pydnsk8s.message import Labels, Query
from pydnsk8s.plugin import Plugin, ServerBlock

from .fields import Path, known, pick

_USAGE = {
    "edns-subnet": "edns-subnet [PREFIX...]",
    "label": "label NAME PATH",
    "reload": "reload DURATION",
}
_LABEL = re.compile(r"[\w-]+(/[\w-]+)*", re.ASCII)
_REMEMBERED = 1024  # askers whose labels are at hand
_LOG = log.plugin("geoip")


class Source:
    """One database and the labels it gives."""

    def __init__(self, database: Database, paths: dict[str, Path]) -> None:
        self.database = database
        self.paths = paths
        """Where in a record the value of each label stands."""


class Label:
    """One label of one asker; it also says how long and for whom its value holds."""

    __slots__ = ("_asker", "_name", "_sources")

    def __init__(self, name: str, sources: tuple[Source, ...], asker: subnet.Asker) -> None:
        self._name = name
        self._sources = sources
        self._asker = asker

    def __call__(self) -> str:
        return self._find()[0]

    @property
    def keep(self) -> Keep:
        """How long and for whom the value holds."""
        return self._find()[1]

    def _find(self) -> tuple[str, Keep]:
        """The value of the first database that has one."""
        keep, text = ALWAYS, ""
        for source in self._sources:
            record, bits = source.database.find(self._asker)
            keep &= self._asker.keep(bits) & Keep.while_(source.database.stamp)
            if text := pick(record, source.paths[self._name]):
                break
        # As CoreDNS does: what is not known to be in the Union is not, and the number of no network is 0.
        return text or {"country/is_in_european_union": "false", "asn/number": "0"}.get(self._name, ""), keep


class GeoIP(Plugin):
    """Looks addresses up in its databases when a label is read."""

    name = "geoip"

    def __init__(self) -> None:
        self.sources: list[Source] = []
        """In the order of the Corefile: for each label the first that knows its value gives it."""
        self.believed: subnet.Networks | None = None
        """From whom a client subnet is taken for the client's address; None for nobody."""
        self.reload = 30.0
        """Seconds between two looks at the files; 0 for never looking again."""
        self._labels: dict[tuple[bytes, subnet.Subnet | None], Labels] = {}

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if importlib.util.find_spec("maxminddb") is None:
            raise directive.error("geoip needs the library maxminddb", hint="pip install 'pydnsk8s[geoip]'")
        match directive.args:
            case [file]:
                path = block.path(file)
            case _:
                raise directive.arguments("geoip DBFILE")
        self = block.find(cls) or cls()
        if any(source.database.path == path for source in self.sources):
            raise directive.error(f"geoip: {path} is in use in this block already", file)
        paths: dict[str, Path] = {}
        for option in directive.options:
            self._read(option, paths)
        try:
            database = Database(path, _LOG)
        except UnreadableError as error:
            raise directive.error(f"geoip: {error}", file) from None
        paths = {**known(database.type), **paths}
        if not paths:
            message = f"geoip: {path} is a {database.type!r} database, whose fields have no names here"
            raise directive.error(message, file, "say which field becomes which label: label NAME PATH")
        self.sources.append(Source(database, paths))
        return self

    def _read(self, option: Option, paths: dict[str, Path]) -> None:
        match option.words:
            case ["edns-subnet", *prefixes]:
                self.believed = subnet.Networks(_network(option, text) for text in prefixes)
                if not prefixes:
                    self.believed = subnet.EVERYBODY
            case ["label", name, path]:
                if not _LABEL.fullmatch(name):
                    raise option.error(f"label: expected a name such as datacenter or isp/name, found {name!r}", name)
                paths[name] = tuple(path.split("."))
            case ["reload", duration]:
                self.reload = option.duration(duration, low=0)
            case _:
                raise _wrong(option)

    async def start(self) -> None:
        for source in self.sources:
            source.database.watch(self.reload)

    async def stop(self) -> None:
        for source in self.sources:
            await source.database.stop()

    def labels(self, query: Query) -> Labels:
        """The labels for whoever asks; a database is looked into when one is read."""
        key = query.client.address, subnet.of(query)
        labels = self._labels.get(key)
        if labels is None:
            if len(self._labels) >= _REMEMBERED:
                self._labels.clear()
            asker = subnet.asker(query, self.believed)
            names = dict.fromkeys(name for source in self.sources for name in source.paths)
            labels = self._labels[key] = {
                f"geoip/{name}": Label(name, tuple(source for source in self.sources if name in source.paths), asker)
                for name in names
            }
        return labels


def _wrong(option: Option) -> CorefileError:
    return option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)


def _network(option: Option, text: str) -> subnet.Network:
    try:
        return subnet.network(text)
    except ValueError as error:
        raise option.error(f"{option.name}: {error}", text) from None
