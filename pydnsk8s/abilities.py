"""What some plugins can do besides answering; looked for where it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, Self, runtime_checkable

from pydnsk8s.message import Labels, Query, Record
from pydnsk8s.relay import Relay
from pydnsk8s.survey import Survey


@runtime_checkable
class Labeller(Protocol):
    """A plugin that gives metadata, collected before the chain runs when the block has ``metadata``."""

    def labels(self, query: Query) -> Labels:
        """The labels this plugin has for a query."""


@runtime_checkable
class Inheritor(Protocol):
    """A plugin that can take over the state of its predecessor when a reload leaves its directive unchanged."""

    def inherit(self, old: Self) -> bool:
        """Take over what is worth keeping before ``start``; True if the old one need not be stopped."""


@runtime_checkable
class Herald(Protocol):
    """A plugin that tells of the configuration it belongs to once that is the one that runs, as ``reload`` does."""

    def proclaim(self, digest: str) -> None:
        """Called after every plugin has started, with the SHA-512 of what the Corefile says."""


@runtime_checkable
class Lingerer(Protocol):
    """A plugin that wants a word before the server stops for good, as ``health`` with ``lameduck`` does."""

    async def linger(self) -> None:
        """Return when the server may stop answering."""


@runtime_checkable
class Transferable(Protocol):
    """A plugin that holds whole zones, which ``transfer`` may copy to secondaries."""

    def transfer(self, zone: bytes) -> Iterator[Record] | None:
        """The zone's records as they are now, whatever changes while they are taken: its SOA once and first.

        None for a name that is no zone of this plugin; no record at all while the zone's data is not known.
        """


@runtime_checkable
class Surveyor(Protocol):
    """A plugin that knows what there is in a zone, so that the gate can answer for names not asked for yet."""

    def survey(self, query: Query) -> Survey | None:
        """The zone that the name is in, as far as the type asked for goes; None if each name has to be asked for.

        Called after the plugin has answered the query. Its replies for other names must be the same but for what is
        found.
        """


@runtime_checkable
class Relayer(Protocol):
    """A plugin that has others answer, so that a listener can pass packets on without a query being made of them."""

    def relay(self, query: Query, zone: bytes) -> Relay | None:
        """How questions like this one go for every name in the zone; None if that is not the same for all.

        Called after the plugin has begun to answer the query, and its reply has come.
        """


@runtime_checkable
class Keeper(Protocol):
    """A plugin that keeps what those behind it have others answer, and so has a hand in what is passed on."""

    def relayed(self, query: Query, zone: bytes, behind: Callable[[Query], Relay | None]) -> Relay | None:
        """How questions like this one go by way of this plugin for every name in the zone.

        ``behind`` tells how they go from here; None if that is not the same for all.
        """


@runtime_checkable
class Explainer(Protocol):
    """A plugin that can say why it answers as it does, for ``pydnsk8s explain``."""

    async def explain(self, query: Query) -> Sequence[str]:
        """The reasons in lines, none for a query it would not answer; it may first wait a little to know them."""
