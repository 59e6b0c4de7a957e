"""A running server: opens sockets, starts plugins, swaps configurations, and stops without losing a query."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydnsk8s import collector, metrics
from pydnsk8s.abilities import Herald, Inheritor, Lingerer
from pydnsk8s.configuration import Address, Configuration, Source, configure, includes, label, read
from pydnsk8s.corefile import CorefileError, Problem, load, parse
from pydnsk8s.listen.open import Open
from pydnsk8s.plugin import Plugin, StartError

_log = logging.getLogger("pydnsk8s.server")
_FAILED = metrics.counter("coredns_reload_failed_total", "Reloads that failed.").labels()


class Server:
    """Serves a Corefile inside the running event loop.

    ``async with Server.from_text(text, port=0) as server: ...`` serves until the block ends; ``server.ports`` tells
    where. Raises CorefileError for a bad Corefile and StartError when a socket or a plugin cannot begin.
    """

    def __init__(self, source: Source, *, port: int = 53) -> None:
        self.source = source
        self.default_port = port
        self.configuration: Configuration | None = None
        self.fatal: str | None = None
        """Why the process has to end, once a plugin has said so."""
        self.stopping = asyncio.Event()
        """Set when somebody wants the server to stop."""
        self._open: dict[Address, Open] = {}
        self._plugins: list[Plugin] = []
        self._swapping = asyncio.Lock()
        self._reloading: set[asyncio.Task[None]] = set()
        self._failed = ""
        """What failed last: the digest of a Corefile, or what is wrong with one that cannot be read."""

    @classmethod
    def from_text(cls, text: str, *, file: str = "Corefile", port: int = 53) -> Self:
        """A server of the Corefile in a string."""
        return cls(lambda known: parse(text, file, known=known), port=port)

    @classmethod
    def from_path(cls, path: Path, *, port: int = 53) -> Self:
        """A server of a Corefile on disk, read again at each reload."""
        return cls(lambda known: load(path, known=known), port=port)

    @property
    def ports(self) -> dict[Address, int]:
        """The port each address is served on; they differ where the Corefile says port 0."""
        return {address: held.number for address, held in self._open.items()}

    @property
    def port(self) -> int:
        """The port of the first address."""
        return next(iter(self.ports.values()))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Read the Corefile, open the sockets, start the plugins, then answer."""
        _raise_file_limit()
        corefile = read(self.source, port=self.default_port)
        configuration = configure(corefile, port=self.default_port, process=self)
        metrics.before_scrape.append(self._settling)
        try:
            self._bind(configuration)
            await self._begin(configuration, [])
        except BaseException:
            metrics.before_scrape.remove(self._settling)
            await self._close_all()
            raise
        self._settle_on(configuration)
        for held in self._open.values():
            await held.start()
        collector.settle()

    async def reload(self, *, force: bool = True) -> bool:
        """Swap to what the Corefile says now; whether it was swapped. A Corefile that fails changes nothing."""
        async with self._swapping:
            swapped = await self._renew(force)
            if swapped:
                collector.settle()  # nothing holds the old one any more
            return swapped

    def request_reload(self, *, force: bool = True) -> None:
        """Reload in a task of its own and log how it went; a Corefile that failed is not tried again by itself."""
        task = asyncio.get_running_loop().create_task(self._reload_and_tell(force))
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    async def _reload_and_tell(self, force: bool) -> None:
        if force:
            _log.info("Reloading")
        try:
            if not await self.reload(force=force):
                return
        except Exception as error:  # noqa: BLE001
            # Whatever a new configuration stumbles over, the old one goes on.
            _FAILED.add()
            _log.error("Restart failed: %s", error)
            return
        _log.info("Reloading complete")

    async def _renew(self, force: bool) -> bool:
        old = self.configuration
        if old is None:
            return False
        try:
            corefile = read(self.source, port=self.default_port)
            if corefile.default and not old.corefile.default:
                # A file that somebody is writing, or moving, is empty or not there for a moment.
                raise CorefileError(Problem(None, "there is no server block; start anew to serve the default ones"))
        except CorefileError as error:
            if not force and str(error) == self._failed:
                return False
            self._failed = str(error)
            raise
        if not force and corefile.digest == old.corefile.digest:
            self._failed = ""  # what failed was taken back, and may come again
            return False
        if not force and corefile.digest == self._failed:
            return False
        self._failed = corefile.digest
        await self._swap(configure(corefile, port=self.default_port, process=self))
        self._failed = ""
        return True

    async def _swap(self, new: Configuration) -> None:
        before = set(self._open)
        try:
            self._bind(new)
            retired = await self._begin(new, self._plugins)
        except BaseException:
            for address in set(self._open) - before:
                await self._open.pop(address).close(0)
            raise
        self._settle_on(new)
        for address, held in self._open.items():
            if address in new.routers:
                held.swap(new.routers[address])
            if address not in before:
                await held.start()
        gone = [self._open.pop(address) for address in before - set(new.routers)]
        await asyncio.gather(*(held.close() for held in gone))
        await _stop_all(retired)

    def _settle_on(self, configuration: Configuration) -> None:
        """Serve this configuration from now on: nothing of it can fail any more."""
        self.configuration = configuration
        for plugin in configuration.plugins:
            if isinstance(plugin, Herald):
                plugin.proclaim(configuration.corefile.digest)

    def _bind(self, configuration: Configuration) -> None:
        """Open the sockets of all addresses that are not open yet; nothing is read from them."""
        for address, router in configuration.routers.items():
            if address in self._open:
                continue
            try:
                self._open[address] = Open(*address, router, self._beside(address))
            except OSError as error:
                raise StartError(_why(address, error)) from error
        for block in configuration.blocks:
            block.addresses = tuple(
                (address[0], self._open[address].number)
                for address, router in configuration.routers.items()
                if any(site.block is block for site in router.sites)
            )

    def _beside(self, address: Address) -> list[Open]:
        """What is open on the same port at addresses that share some with this one."""
        return [
            held
            for (host, _), held in self._open.items()
            if held.number == address[1] and (includes(host, address[0]) or includes(address[0], host))
        ]

    async def _begin(self, configuration: Configuration, former: list[Plugin]) -> list[Plugin]:
        """Start the plugins; returns those of the former configuration that do not live on in an heir."""
        kept: list[Plugin] = []
        started: list[Plugin] = []
        heirs = {plugin.written: plugin for plugin in former if isinstance(plugin, Inheritor)}
        try:
            for plugin in configuration.plugins:
                ancestor = heirs.get(plugin.written)
                if isinstance(plugin, Inheritor) and type(ancestor) is type(plugin) and plugin.inherit(ancestor):
                    kept.append(ancestor)
                    await plugin.start()
                    continue
                await plugin.start()
                started.append(plugin)
        except BaseException:
            # An heir shares what it holds with its ancestor, which goes on: it is not stopped.
            await _stop_all(started)
            raise
        self._plugins = list(configuration.plugins)
        return [plugin for plugin in former if plugin not in kept]

    async def stop(self) -> None:
        """Say goodbye as the plugins want it, answer what is in work, and close."""
        self.stopping.set()
        async with self._swapping:  # a reload that has begun ends first, or it would bring to life what is stopped here
            configuration, self.configuration = self.configuration, None
        if configuration is None:
            return
        await asyncio.gather(*(plugin.linger() for plugin in configuration.plugins if isinstance(plugin, Lingerer)))
        await self._close_all()
        await _stop_all(self._plugins)
        self._plugins = []
        metrics.before_scrape.remove(self._settling)

    def abort(self, message: str) -> None:
        """Stop the server because of something that makes it useless."""
        self.fatal = self.fatal or message
        self.stopping.set()

    def _settling(self) -> Iterator[None]:
        for held in tuple(self._open.values()):
            yield from held.settling()

    async def _close_all(self) -> None:
        held, self._open = list(self._open.values()), {}
        await asyncio.gather(*(each.close() for each in held))


async def _stop_all(plugins: list[Plugin]) -> None:
    for plugin in plugins:
        try:
            await plugin.stop()
        except Exception:  # noqa: BLE001
            # One plugin that cannot stop must not keep the others from it.
            _log.exception("plugin/%s did not stop cleanly", plugin.name)


def _why(address: Address, error: OSError) -> str:
    if error.errno == errno.EACCES and 0 < address[1] < 1024:
        return (
            f"cannot listen on {label(address)}: ports below 1024 need a privilege. Grant CAP_NET_BIND_SERVICE, set "
            "the sysctl net.ipv4.ip_unprivileged_port_start=0, or listen on another port (-dns.port 1053)"
        )
    return f"cannot listen on {label(address)}: {error.strerror or error}"


def _raise_file_limit() -> None:
    """Allow as many open connections as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
