"""Questions sent and not answered yet: their ids, which packet answers which, and when to wait no longer."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

from pydnsk8s import codes, wire
from pydnsk8s.message import Edns


class Unanswered(Exception):  # noqa: N818 - it is what the question stays
    """An upstream gave no usable answer; the text says why."""


class Closed(Unanswered):
    """The connection ended before the answer came."""


def reason(error: OSError) -> str:
    """What to tell an operator about a failure of the network."""
    if isinstance(error, ssl.SSLError):
        return f"tls: {getattr(error, 'verify_message', '') or error.reason or error}".lower()
    return (error.strerror or str(error) or type(error).__name__).lower()


class Message(NamedTuple):
    """A question ready to be sent; its first two octets are replaced by an id for each sending."""

    packet: bytes
    question: bytes
    """The question section alone, which the reply has to repeat octet for octet."""

    @classmethod
    def ask(
        cls, name: bytes, type: int, *, klass: int = codes.IN, flags: int = codes.RD, edns: Edns | None = None
    ) -> Self:
        """The message that asks this; the name goes out as it is spelled."""
        packet = wire.query(name, type, klass=klass, id=0, flags=flags, edns=edns)
        return cls(packet, packet[12 : 12 + len(name) + 4])


class Asked:
    """One question on its way, and who waits for its answer."""

    __slots__ = ("answer", "id", "question", "seconds", "turn", "where")

    def __init__(self, id: bytes, question: bytes, answer: asyncio.Future[bytes], where: Outstanding) -> None:
        self.id = id
        self.question = question
        self.answer = answer
        self.where = where
        self.turn: set[Asked]
        """Those that the wheel ends together with this one."""
        self.seconds: float


class Wheel:
    """Ends what has waited too long, in coarse steps: one timer for all questions instead of one for each."""

    STEP = 0.05

    def __init__(self) -> None:
        self._turns: dict[int, set[Asked]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, asked: Asked, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        """End this question after so many seconds, or up to one step later."""
        number = int((loop.time() + seconds) / self.STEP) + 1
        turn = self._turns.get(number)
        if turn is None:
            turn = self._turns[number] = set()
        turn.add(asked)
        asked.turn = turn
        asked.seconds = seconds
        if self._timer is None:
            self._timer = loop.call_later(self.STEP, self._advance, loop)

    def _advance(self, loop: asyncio.AbstractEventLoop) -> None:
        now = int(loop.time() / self.STEP)
        for number in [number for number in self._turns if number <= now]:
            for asked in tuple(self._turns.pop(number)):
                asked.where.give_up(asked)
        self._timer = loop.call_later(self.STEP, self._advance, loop) if self._turns else None

    def stop(self) -> None:
        """End nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Outstanding:
    """The questions sent over one socket and not answered yet, by id."""

    __slots__ = ("_asked", "_emptied", "_ids", "_loop", "_wheel", "given_up")

    def __init__(self, wheel: Wheel, loop: asyncio.AbstractEventLoop, emptied: Callable[[], None]) -> None:
        self._asked: dict[bytes, Asked] = {}
        self._wheel = wheel
        self._loop = loop
        self._emptied = emptied
        self._ids = _random_ids()
        self.given_up = 0
        """How many questions the time ran out for."""

    def __len__(self) -> int:
        return len(self._asked)

    def add(self, message: Message, seconds: float) -> tuple[bytes, asyncio.Future[bytes]]:
        """Give the message an id that is free; returns the packet to send and the answer to wait for."""
        id = next(self._ids)
        while id in self._asked:
            id = next(self._ids)
        answer: asyncio.Future[bytes] = self._loop.create_future()
        asked = self._asked[id] = Asked(id, message.question, answer, self)
        self._wheel.add(asked, seconds, self._loop)
        return id + message.packet[2:], answer

    def settle(self, packet: bytes) -> None:
        """Hand a packet to the one who waits for it; a packet that nobody waits for changes nothing."""
        asked = self._asked.get(packet[:2])
        if asked is None:
            return
        if not wire.matches(packet, packet[0] << 8 | packet[1], asked.question) and not _is_bare_error(packet):
            return
        asked.turn.discard(asked)
        if not asked.answer.done():
            asked.answer.set_result(packet)
        self._drop(asked)

    def give_up(self, asked: Asked) -> None:
        """Tell the one who waits for this answer that the time is over."""
        self.given_up += 1
        if not asked.answer.done():
            asked.answer.set_exception(Unanswered(f"no reply within {asked.seconds:.3g} s"))
        self._drop(asked)

    def fail(self, error: Unanswered) -> None:
        """Tell everybody who waits that no answer will come."""
        waiting = tuple(self._asked.values())
        self._asked.clear()
        for asked in waiting:
            asked.turn.discard(asked)
            if not asked.answer.done():
                asked.answer.set_exception(error)

    def _drop(self, asked: Asked) -> None:
        del self._asked[asked.id]
        if not self._asked:
            self._emptied()


def _random_ids() -> Iterator[bytes]:
    # RFC 5452 section 9.2: ids must not be predictable, so they come from the system's generator.
    while True:
        block = os.urandom(512)
        for at in range(0, len(block), 2):
            yield block[at : at + 2]


def _is_bare_error(packet: bytes) -> bool:
    """Whether this is a header alone that reports an error, as servers send that could not read the question."""
    return len(packet) == 12 and packet[2] & 0x80 != 0 and packet[3] & 15 != 0 and packet[4:] == bytes(8)
