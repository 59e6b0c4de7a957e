"""loadbalance - changes the order of addresses, so that clients that take the first one spread out."""

from __future__ import annotations

import asyncio
import ipaddress
import random
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Self

from pydnsk8s import codes, log
from pydnsk8s.corefile import CorefileError, Directive, Option
from pydnsk8s.keep import NEVER, TURNS
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import Plugin, Rest, ServerBlock, StartError

from .weights import WeightError, Weights, load

_ADDRESSES = (codes.A, codes.AAAA)
_USAGE = {"reload": "reload DURATION", "prefer": "prefer CIDRS..."}
_LOG = log.plugin("loadbalance")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Loadbalance(Plugin):
    """Turns, weighs or sorts the addresses of positive answers."""

    name = "loadbalance"

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        """The weight file; None for taking turns."""
        self.reload = 30.0
        """Seconds between two looks at the file; 0 for never looking again."""
        self.preferred: list[Network] = []
        self.weights = Weights({})
        self._mark: tuple[int, int, int] | None = None
        self._complained = ""
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if (first := block.find(cls)) is not None:
            # As CoreDNS does: the first use counts.
            message = "loadbalance is already used in this block; this one has no effect"
            block.warnings.append(directive.tokens[0].problem(message, severity="warning"))
            return first
        match directive.args:
            case () | ("round_robin",):
                balance = cls()
            case ("weighted", file):
                balance = cls(block.path(file))
            case policy:
                raise _misuse(directive, policy)
        for option in directive.options:
            balance._read(option)
        return balance

    def _read(self, option: Option) -> None:
        match option.words:
            case ["reload", duration] if self.file is not None:
                self.reload = option.duration(duration, low=0)
            case ["prefer", *cidrs] if cidrs:
                self.preferred += [_network(option, cidr) for cidr in cidrs]
            case ["reload", *_] if self.file is None:
                raise option.error("unknown property 'reload': only the policy weighted reads a file")
            case [name, *_] if name in _USAGE:
                raise option.error(f"unexpected argument; expected: {_USAGE[name]}")
            case _:
                raise option.error(f"unknown property {option.name!r}; valid here: {', '.join(_USAGE)}")

    async def start(self) -> None:
        if self.file is None:
            return
        try:
            self._load(self.file)
        except WeightError as error:
            raise StartError(f"loadbalance: {error}") from None
        except OSError as error:
            if not self.reload:
                raise StartError(f"loadbalance: cannot read the weight file {self.file}: {error.strerror}") from None
            _LOG.warning("cannot read %s, trying again every %g s: %s", self.file, self.reload, error.strerror)
        if self.reload:
            self._watching = asyncio.create_task(self._watch(self.file))

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    async def _watch(self, file: Path) -> None:
        while True:
            await asyncio.sleep(self.reload)
            self.refresh(file)

    def refresh(self, file: Path) -> None:
        """Read the weight file if it has changed; one with a fault changes nothing."""
        try:
            self._load(file)
        except (WeightError, OSError) as error:
            if str(error) != self._complained:
                _LOG.warning("going on with the weights as they were: %s", error)
            self._complained = str(error)
        else:
            self._complained = ""

    def _load(self, file: Path) -> None:
        now = file.stat()
        mark = now.st_mtime_ns, now.st_size, now.st_ino
        if mark != self._mark:
            old, self.weights = self.weights, load(file)
            self._mark = mark
            old.stamp.retire()

    async def answer(self, query: Query, rest: Rest) -> Reply:
        reply = await rest(query)
        if reply.rcode != codes.NOERROR or query.type in (codes.AXFR, codes.IXFR):
            return reply
        reply = self._turn(reply) if self.file is None else self._weigh(reply)
        return self._prefer(reply) if self.preferred else reply

    def _turn(self, reply: Reply) -> Reply:
        """Shuffle every section; the gate goes on turning the addresses."""
        return _sorted(reply, _shuffled).under(TURNS)

    def _weigh(self, reply: Reply) -> Reply:
        """Put one address of the answer first, each as often as its weight says."""
        weights = self.weights
        addresses = [record for record in reply.answer if record.type in _ADDRESSES]
        if len(addresses) < 2:
            return reply.under(weights.keep)
        chosen = addresses.pop(weights.pick(addresses))
        others = [record for record in reply.answer if record.type not in _ADDRESSES]
        reply = reply.with_(answer=_by_role([*others, chosen, *addresses]))
        # Taking turns is what equal weights mean; others are drawn anew for each query.
        return reply.under(NEVER if weights.knows([chosen, *addresses]) else weights.keep & TURNS)

    def _prefer(self, reply: Reply) -> Reply:
        """Put the addresses of preferred networks first."""
        reply = _sorted(reply, self._ranked)
        # Turning all of them would undo the order.
        ...
        return reply
