"""What a plugin is, and the server block it is set up in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol, Self, TypeAlias, TypeVar

from pydnsk8s import codes, names
from pydnsk8s.keep import ALWAYS, NEVER, Keep
from pydnsk8s.message import Query, Reply, Seen
from pydnsk8s.relay import Relay
from pydnsk8s.survey import Survey

if TYPE_CHECKING:
    from pydnsk8s.corefile import Directive, Key, Problem
    from pydnsk8s.metrics import Traffic

Rest = Callable[[Query], Awaitable[Reply]]
"""The rest of the chain."""
Filter = Callable[[Query], tuple[bool, Keep]]
"""Whether a query may enter a block, and how long and for whom that decision holds."""


Turn: TypeAlias = Reply | Keep | None
"""What asking a plugin at once comes to: its reply, HAND_ON or another keep, or WAIT."""
HAND_ON: Final = ALWAYS
"""The query is for the rest of the chain. Any other keep says the same, and that the reply holds no longer than it."""
PASSED: Final = frozenset((codes.A, codes.AAAA, codes.SRV))
"""Addresses and services: the types of question that ``Plugin.passes`` is about."""
WAIT: Final = None
"""It takes more than looking in memory: ask ``answer``."""


Wake: TypeAlias = Callable[[Any], None]
"""Called once, from the loop, with what a plugin has waited for."""
Take: TypeAlias = Callable[[Any], Reply | Rest]
"""Makes the reply of what came; or says who goes on to find it, in a coroutine."""


class Plugin:
    """The base of every plugin; each hook does nothing until overridden.

    Most plugins need one hook: ``at_once`` to answer from memory, ``amend`` to change what others answered, or
    ``answer`` for everything else. Queries that only meet the first two pass without a coroutine; so do those that
    ``begin`` takes on, a shorter way to wait for one thing.
    """

    name: ClassVar[str]
    """The directive."""
    once: ClassVar[bool] = False
    """Whether a second use in one server block is an error."""
    written: tuple[str, ...] = ()
    """The words it was set up from, its block's keys first; a reload compares them."""
    before: ClassVar[str | None] = None
    """For plugins from elsewhere: the directive of ORDER it stands directly before."""
    after: ClassVar[str | None] = None
    """The same, directly after."""

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        """Read one directive; raise ``directive.error(...)`` for what it should not say.

        A directive that adds to an earlier one of its block returns that one again, ``block.find(cls)``.
        """
        raise NotImplementedError

    def at_once(self, query: Query) -> Turn:
        """The reply if it needs nobody else; HAND_ON to let the rest of the chain answer; WAIT for ``answer``."""
        return HAND_ON

    def amend(self, query: Query, reply: Reply) -> Reply:
        """What becomes of the reply that the rest of the chain gave to a query handed on.

        Who overrides ``answer`` as well is asked by that if the reply has to be waited for.
        """
        return reply

    async def answer(self, query: Query, rest: Rest) -> Reply:
        """Answer the query, or hand it on: ``return await rest(query)``.

        Who overrides this as well as ``at_once`` sees to it that both say the same.
        """
        turn = self.at_once(query)
        if isinstance(turn, Reply):
            return turn
        return self.amend(query, (await rest(query)).under(turn or HAND_ON))

    def passes(self, zone: bytes) -> Keep | None:
        """For how long all names in a zone pass this plugin alike; None if it cannot tell.

        That is: it hands every question there for addresses or services on, and does the same to the replies of those
        behind it whatever the name, the TTLs and the data, whoever asks; only addresses may it put in another order.
        HAND_ON means always.
        """
        return None

    def begin(self, query: Query, wake: Wake, behind: Later | None) -> Take | None:
        """Begin what ``answer`` would, if that is to send something and to wait; None to leave it to ``answer``.

        ``wake`` is to be called with what comes, but not before this has returned: what it returned makes the reply
        of that. Both happen even if nobody wants the reply any more; only the coroutine to go on with is not begun
        then. ``behind`` is what has to be waited for behind this plugin; None if it is this plugin itself.
        """
        return None

    def seen(self, batch: Sequence[Seen]) -> None:
        """Take note of queries already answered, in batches and after the fact."""

    async def start(self) -> None:
        """Begin background work; the server answers only after every start returns."""

    async def stop(self) -> None:
        """End it again."""

    def ready(self) -> bool:
        """Whether the plugin can do its job yet; asked by ``ready``."""
        return True


Amend: TypeAlias = Callable[[Query, Reply], Reply]


class Later(NamedTuple):
    """A reply that has to be waited for."""

    rest: Rest
    """The plugin that waits, with those behind it."""
    amends: tuple[Amend, ...] = ()
    """What those before it make of its reply, the nearest first."""
    keep: Keep = HAND_ON
    """How long they say that it holds."""
    begin: Callable[[Query, Wake, Later | None], Take | None] | None = None
    """The plugin's way without a coroutine, if it has one."""
    behind: Later | None = None
    """What has to be waited for behind the plugin; None if that is the plugin itself."""

    def amended(self, query: Query, reply: Reply) -> Reply:
        """What becomes of the reply that ``rest`` gave."""
        if self.keep is not HAND_ON:
            reply = reply.under(self.keep)
        for amend in self.amends:
            reply = amend(query, reply)
        return reply

    async def answer(self, query: Query) -> Reply:
        """The reply, waited for."""
        return self.amended(query, await self.rest(query))

    def under(self, keep: Keep) -> Later:
        """The same, for a query that was handed on with this keep."""
        return self._replace(keep=keep, behind=self.behind and self.behind.under(keep))


class Stop(NamedTuple):
    """A plugin on the way of a query."""

    ask: Callable[[Query], Turn] | None
    """None if it has to be waited for in any case."""
    amends: tuple[Amend, ...]
    """What those before it make of its reply, the nearest first."""
    later: Later
    """For when it has to be waited for."""


class Chain:
    """Plugins linked in their order."""

    __slots__ = ("_stops", "answer")

    def __init__(self, *stops: Stop) -> None:
        """The last stop is one that has to be waited for in any case."""
        self._stops = stops
        first = stops[0]
        self.answer: Rest = self._answer if first.ask or first.later.amends else first.later.rest
        """The reply, waited for if need be."""

    def ask(self, query: Query) -> Reply | Later:
        """The reply, if the plugins know it without waiting."""
        keep = HAND_ON
        for ask, amends, later in self._stops:
            turn = ask(query) if ask is not None else WAIT
            if turn is HAND_ON:
                continue
            if turn is WAIT:
                return later if keep is HAND_ON else later.under(keep)
            if isinstance(turn, Keep):
                keep &= turn
                continue
            reply = turn if keep is HAND_ON else turn.under(keep)
            for amend in amends:
                reply = amend(query, reply)
            return reply
        raise AssertionError("the last stop has to be waited for")

    async def _answer(self, query: Query) -> Reply:
        turn = self.ask(query)
        return turn if isinstance(turn, Reply) else turn.amended(query, await turn.rest(query))


@dataclass(slots=True)
class Timeouts:
    """Limits of stream connections, in seconds, as CoreDNS's ``timeouts`` names them."""

    read: float = 3.0
    write: float = 5.0
    idle: float = 10.0
    queries: int = -1
    """Queries answered on one connection before it is closed; -1 for any number."""


class StartError(Exception):
    """Why a plugin or a socket cannot begin its work, in words for the operator."""


class Process(Protocol):
    """What a plugin may ask of the server as a whole."""

    @property
    def stopping(self) -> asyncio.Event:
        """Set when the server stops for good."""

    def abort(self, message: str) -> None:
        """End the process with exit code 1, saying why."""

    def request_reload(self, *, force: bool = True) -> None:
        """Read the Corefile again soon and swap to it, if it has changed or by force."""


P = TypeVar("P", bound=Plugin)

LIMIT = 1232
"""Octets of the largest UDP reply unless ``bufsize`` says otherwise: no fragments (RFC 9715 section 3)."""


@dataclass(slots=True)
class ServerBlock:
    """One server block while it is set up and served: what its plugins share."""

    keys: tuple[Key, ...] = ()
    zones: tuple[bytes, ...] = ()
    """The zones of all its keys."""
    root: Path = field(default_factory=Path)
    """Where relative file names start."""
    plugins: list[Plugin] = field(default_factory=list)
    """Set up so far, in chain order."""
    hosts: tuple[str, ...] = ()
    """Addresses to listen on; none means all."""
    limit: int = LIMIT
    """The largest UDP reply in octets, and the size we advertise."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    debug: bool = False
    """Whether an exception in a plugin ends the process instead of one query."""
    stacktrace: bool = False
    """Whether such an exception is logged with its stack."""
    labelled: tuple[bytes, ...] = ()
    """The zones in which ``metadata`` collects labels; none without it."""
    any_class: bool = False
    """Whether classes other than IN reach the chain."""
    view: str = ""
    filters: list[Filter] = field(default_factory=list)
    """All must agree before a query enters the block."""
    traffic: Callable[[str, bytes], Traffic] | None = None
    """Set by ``prometheus``: the counters for one of our addresses and a zone."""
    notify: Callable[[bytes], None] | None = None
    """Set by ``transfer``: tells the secondaries of a zone that it has changed."""
    label: str = ""
    """Its first address as metrics and logs name it, such as ``dns://:53``."""
    addresses: tuple[tuple[str, int], ...] = ()
    """Where it is served, once the sockets are open; an empty host means all addresses."""
    process: Process | None = None
    """The server it belongs to; None for a block on its own."""
    warnings: list[Problem] = field(default_factory=list)
    chain: Chain | None = None
    watchers: tuple[Plugin, ...] = ()
    """The plugins that want to see every query."""
    surveys: dict[str, Callable[[Query], Survey | None]] = field(default_factory=dict)
    """By the plugin that answered a query: what there is in the zone, as the whole chain sees it."""
    relays: dict[str, Callable[[Query, bytes], Relay | None]] = field(default_factory=dict)
    """By the plugin that had others answer a query: how that goes for all names in a zone, for the whole chain."""

    def find(self, kind: type[P]) -> P | None:
        """The plugin of this class set up in the block so far, or None."""
        return next((plugin for plugin in self.plugins if isinstance(plugin, kind)), None)

    def named(self, name: str) -> Plugin | None:
        """The plugin of this directive in the block, or None."""
        return next((plugin for plugin in self.plugins if plugin.name == name), None)

    def path(self, text: str) -> Path:
        """A file name of a directive, relative ones below ``root``."""
        return self.root / text


@dataclass(frozen=True, slots=True)
class Fall:
    """The zones in which a plugin hands on what it does not know (``fallthrough``)."""

    zones: tuple[bytes, ...] = ()

    def through(self, name: bytes) -> bool:
        """Whether this name falls through."""
        return any(names.is_under(name, zone) for zone in self.zones)


NOWHERE = Fall()


async def refuse(query: Query) -> Reply:  # noqa: ARG001 - the end of a chain without any handler
    """Answer a block that has nothing to answer with."""
    return Reply(codes.REFUSED, authoritative=False, keep=NEVER)


async def fail(query: Query) -> Reply:
    """Answer what the last plugin handed on."""
    return Reply(codes.SERVFAIL, authoritative=False, keep=NEVER, error=f"no plugin answers {query!r}")
