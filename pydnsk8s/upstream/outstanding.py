"""Questions sent and not answered yet: their ids, which packet answers which, and when to wait no longer."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import Self, TypeAlias

from msgspec import Struct

from pydnsk8s import clock, codes
from pydnsk8s.message import Edns
from pydnsk8s.wire import matches, query

STOPPING = "the server is stopping"
_DRAWN = 128  # octets of ids drawn at a time: what a port holds in stock comes and goes with it


class Unanswered(Exception):  # noqa: N818 - it is what the question stays
    """An upstream gave no usable answer; the text says why."""


class Closed(Unanswered):
    """The connection ended before the answer came."""


def reason(error: OSError) -> str:
    """What to tell an operator about a failure of the network."""
    if isinstance(error, ssl.SSLError):
        return f"tls: {getattr(error, 'verify_message', '') or error.reason or error}".lower()
    return (error.strerror or str(error) or type(error).__name__).lower()


class Message(Struct, frozen=True, gc=False):
    """A question ready to be sent, with another id each time."""

    tail: bytes
    """All that comes behind the id."""
    question: bytes
    """The question section alone, which the reply has to repeat octet for octet."""

    @classmethod
    def ask(
        cls, name: bytes, type: int, *, klass: int = codes.IN, flags: int = codes.RD, edns: Edns | None = None
    ) -> Self:
        """The message that asks this; the name goes out as it is spelled."""
        packet = query(name, type, klass=klass, id=0, flags=flags, edns=edns)
        return cls(packet[2:], packet[12 : 12 + len(name) + 4])

    @property
    def packet(self) -> bytes:
        """The message with the id 0, as it goes where no id is needed."""
        return b"\0\0" + self.tail


Wake: TypeAlias = Callable[[bytes | Unanswered], None]
"""Tells who waits of the reply, as soon as it has been read, or that there will be none, in the loop's next round."""
Asked: TypeAlias = tuple[bytes, Wake, float, float]
"""A question on its way: its question section, who waits, until when by the clock, and how many seconds that was."""


class Patience:
    """Ends what has waited too long: one timer for all questions, in coarse steps, instead of one for each."""

    STEP = 0.05

    def __init__(self) -> None:
        self._watched: set[Outstanding] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, outstanding: Outstanding, loop: asyncio.AbstractEventLoop) -> None:
        """Look after these questions until none is left."""
        self._watched.add(outstanding)
        if self._timer is None:
            self._timer = loop.call_later(self.STEP, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = clock.now()
        for outstanding in tuple(self._watched):
            outstanding.expire(now)
            if not outstanding:
                self._watched.discard(outstanding)
        self._timer = loop.call_later(self.STEP, self._look, loop) if self._watched else None

    def stop(self) -> None:
        """Look no more."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Outstanding:
    """The questions sent over one socket and not answered yet, by id."""

    def __init__(self, patience: Patience, loop: asyncio.AbstractEventLoop, emptied: Callable[[], None]) -> None:
        self._asked: dict[bytes, Asked] = {}
        self._patience = patience
        self._loop = loop
        self._emptied = emptied
        self._ids: list[bytes] = []
        """Those for the next questions."""
        self.given_up = 0
        """How many questions the time ran out for."""

    def __len__(self) -> int:
        return len(self._asked)

    def add(self, message: Message, seconds: float, wake: Wake) -> bytes:
        """Give the message an id that is free; returns the packet to send."""
        if not self._asked:
            self._patience.watch(self, self._loop)
        ids = self._ids or self._draw_ids()
        id = ids.pop()
        while id in self._asked:
            id = (ids or self._draw_ids()).pop()
        self._asked[id] = (message.question, wake, clock.now() + seconds, seconds)
        return id + message.tail

    def _draw_ids(self) -> list[bytes]:
        # RFC 5452 section 9.2: ids must not be predictable, so they come from the system's generator.
        block = os.urandom(_DRAWN)
        self._ids += [block[at : at + 2] for at in range(0, _DRAWN, 2)]
        return self._ids

    def settle(self, packet: bytes) -> None:
        """Hand a packet to the one who waits for it; a packet that nobody waits for changes nothing."""
        id = packet[:2]
        asked = self._asked.pop(id, None)
        if asked is None:
            return
        question, wake, _, _ = asked
        if not matches(packet, question) and not _is_bare_error(packet):
            self._asked[id] = asked
            return
        if not self._asked:
            self._emptied()
        wake(packet)

    def expire(self, now: float) -> None:
        """Tell those who have waited long enough that no answer will come."""
        late = [id for id, (_, _, end, _) in self._asked.items() if end <= now]
        for id in late:
            _, wake, _, seconds = self._asked.pop(id)
            self.given_up += 1
            self._loop.call_soon(wake, Unanswered(f"no reply within {seconds:.3g} s"))
        if late and not self._asked:
            self._emptied()

    def fail(self, error: Unanswered) -> None:
        """Tell everybody who waits that no answer will come."""
        waiting = tuple(self._asked.values())
        self._asked.clear()
        for _, wake, _, _ in waiting:
            self._loop.call_soon(wake, error)

    def end(self, error: Unanswered) -> None:
        """The same, and nothing will be asked here any more: the socket is let go of."""
        self.fail(error)
        # Else it and this would hold each other until the garbage collector comes by, which may take an hour.
        self._emptied = _nobody


def _nobody() -> None:
    """Whom to tell of what happens on a socket that is closed."""


def awaited(loop: asyncio.AbstractEventLoop) -> tuple[asyncio.Future[bytes], Wake]:
    """A future for the reply, or for Unanswered, and what wakes those who await it."""
    answer: asyncio.Future[bytes] = loop.create_future()

    def wake(came: bytes | Unanswered) -> None:
        if answer.done():
            return  # nobody waits any more
        if isinstance(came, Unanswered):
            answer.set_exception(came)
        else:
            answer.set_result(came)

    return answer, wake


def _is_bare_error(packet: bytes) -> bool:
    """Whether this is a header alone that reports an error, as servers send that could not read the question."""
    # Who could not read the question cannot know that its name does not exist.
    error = len(packet) == 12 and packet[3] & 15 not in (codes.NOERROR, codes.NXDOMAIN)
    return error and packet[2] & 0x80 != 0 and packet[4:] == bytes(8)
