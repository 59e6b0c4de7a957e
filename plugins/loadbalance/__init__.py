"""loadbalance - changes the order of addresses, so that clients that take the first one spread out."""

from __future__ import annotations

import asyncio
import ipaddress
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from pydnsk8s import background, codes, log
from pydnsk8s.corefile import CorefileError, Directive, Option, did_you_mean
from pydnsk8s.keep import NEVER, TURNS, Keep
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import HAND_ON, Plugin, ServerBlock, StartError
from pydnsk8s.wire import Forwarded

from .weights import WeightError, Weights, load

_ADDRESSES = (codes.A, codes.AAAA)
_MIXED = (*_ADDRESSES, codes.MX)
_TRANSFERS = (codes.AXFR, codes.IXFR)
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
            case _:
                raise self._wrong(option)

    def _wrong(self, option: Option) -> CorefileError:
        if option.name == "reload" and self.file is None:
            return option.error("loadbalance: reload needs the policy weighted, which reads a file")
        return option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)

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
            self._complained = str(error)
        if self.reload:
            file = self.file
            self._watching = background.start(lambda: self._watch(file), _LOG, f"looking at {file}")

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

    def passes(self, zone: bytes) -> Keep | None:
        # Weights and preferences are for some names and addresses only; to shuffle is the same for all.
        return HAND_ON if self.file is None and not self.preferred else None

    def amend(self, query: Query, reply: Reply) -> Reply:
        if reply.rcode != codes.NOERROR or query.type in _TRANSFERS:
            return reply
        # Nothing to put in order: with bytes from elsewhere, that can be told without decoding them.
        if isinstance(reply, Forwarded):
            if max(reply.found.counts) < 2:
                return reply
        elif len(reply.answer) < 2 and len(reply.authority) < 2 and len(reply.additional) < 2:
            return reply
        before = reply.keep
        reply = self._turn(reply) if self.file is None else self._weigh(reply)
        return self._prefer(reply, before) if self.preferred else reply

    def _turn(self, reply: Reply) -> Reply:
        """Shuffle every section; the gate goes on turning the addresses of the answer."""
        reply = _rearranged(reply, _shuffled)
        return reply.under(TURNS) if len(_addresses(reply)) > 1 else reply

    def _weigh(self, reply: Reply) -> Reply:
        """Put one address of the answer first, each as often as its weight says."""
        weights = self.weights
        addresses = _addresses(reply)
        if len(addresses) < 2:
            return reply
        chosen = addresses.pop(weights.pick(addresses))
        others = [record for record in reply.answer if record.type not in _ADDRESSES]
        reply = reply.with_(answer=_by_role([*others, chosen, *addresses]))
        # Equal weights mean to take turns; others mean that every query draws anew.
        return reply.under(NEVER if weights.knows([chosen, *addresses]) else weights.keep & TURNS)

    def _prefer(self, reply: Reply, before: Keep) -> Reply:
        """Put the addresses of preferred networks first; ``before`` is the keep of the reply as it came."""
        reply = _rearranged(reply, self._ranked)
        ranks = [self._rank(record) for record in _addresses(reply)]
        if len(set(ranks)) < 2:
            return reply
        if len(set(ranks)) < len(ranks):
            # To turn them all would undo the preference, to keep them would end the balance among equals.
            return reply.under(NEVER)
        # The preference alone decides; what a weight file says of them changes nothing.
        return reply.with_(keep=before)

    def _ranked(self, section: Sequence[Record]) -> tuple[Record, ...]:
        addresses = sorted((record for record in section if record.type in _ADDRESSES), key=self._rank)
        return _by_role([*(record for record in section if record.type not in _ADDRESSES), *addresses])

    def _rank(self, record: Record) -> int:
        """Where in the list of preferred networks the address is; behind its end for none of them."""
        try:
            address = ipaddress.ip_address(record.data)
        except ValueError:
            return len(self.preferred)  # octets from elsewhere that are no address
        ranks = (rank for rank, network in enumerate(self.preferred) if address in network)
        return next(ranks, len(self.preferred))


def _misuse(directive: Directive, words: tuple[str, ...]) -> CorefileError:
    match words:
        case ("round_robin", word, *_):
            return directive.error(f"loadbalance: unknown property {word!r}", word)
        case ("weighted",):
            return directive.error("loadbalance: missing weight file argument; expected: loadbalance weighted FILE")
        case ("weighted", _, word, *_):
            return directive.error(f"loadbalance: unexpected argument {word!r}", word)
        case _:
            hint = did_you_mean(words[0], ("round_robin", "weighted"))
            return directive.error(f"loadbalance: unknown policy {words[0]!r}", words[0], hint)


def _network(option: Option, text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise option.error(f"prefer: expected an address prefix such as 192.0.2.0/24, found {text!r}", text) from None


def _addresses(reply: Reply) -> list[Record]:
    """The addresses of the answer."""
    return [record for record in reply.answer if record.type in _ADDRESSES]


def _rearranged(reply: Reply, arrange: Callable[[Sequence[Record]], tuple[Record, ...]]) -> Reply:
    """The reply with each section put in order; the reply itself if nothing moves."""
    sections = {"answer": reply.answer, "authority": reply.authority, "additional": reply.additional}
    moved = {name: arrange(section) for name, section in sections.items() if len(section) > 1}
    changes = {name: section for name, section in moved.items() if section != sections[name]}
    return reply.with_(**changes) if changes else reply


def _shuffled(section: Sequence[Record]) -> tuple[Record, ...]:
    """Addresses and MX records in random order, but each record set together, for it is cut as one."""
    if _is_set(section) and section[0].type in _MIXED:
        return tuple(sorted(section, key=_chance))
    places: dict[tuple[bytes, int], int] = {}
    for record in section:
        places.setdefault((record.name, record.type), len(places))
    mixed = [record for record in section if record.type in _MIXED]
    random.shuffle(mixed)
    mixed.sort(key=lambda record: places[record.name, record.type])
    return _by_role([*(record for record in section if record.type not in _MIXED), *mixed])


def _is_set(section: Sequence[Record]) -> bool:
    """Whether all records belong to one record set."""
    name, type, *_ = section[0]
    for record in section:  # noqa: SIM110 - on the way of every such reply, and several times as fast
        if record.type != type or record.name != name:
            return False
    return True


def _chance(_: Record) -> float:
    return random.random()


def _by_role(section: Sequence[Record]) -> tuple[Record, ...]:
    """Aliases before all others, for there are resolvers that expect it; addresses and MX records last."""
    return tuple(sorted(section, key=_role))


def _role(record: Record) -> int:
    match record.type:
        case codes.CNAME:
            return 0
        case codes.A | codes.AAAA:
            return 2
        case codes.MX:
            return 3
        case _:
            return 1
