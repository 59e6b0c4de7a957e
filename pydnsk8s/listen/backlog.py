"""What waits in a UDP socket: a burst is worked off, but a queue that stands is cut down, the oldest first.

Rules: a queue that empties, or whose queries wait for less and less, is a burst, and all of it is answered. One whose
queries have waited longer than ``_FRESH`` for all of ``_PATIENCE`` is overload: what is older is read and given up, so
that the server's time goes to queries whose clients still wait; and the buffer is made short, for what the kernel
turns away costs us nothing. This is controlled delay for the queue of a server (Maurer, "Fail at Scale", ACM Queue
13:8, 2015).
"""

from __future__ import annotations

import fcntl
import logging
import math
import socket
import struct
import time

from pydnsk8s import metrics

_FRESH = 0.05  # seconds a query may wait
_PATIENCE = 0.1  # seconds until more than that is overload
_FALL = 0.9  # of the age there was: a queue whose queries become this much younger is being worked off
_WARY = 1.0  # seconds after an overload in which a queue is overload at once: floods come with gaps
_AT_MOST = 4096  # queries given up a wake, some milliseconds: TCP, timers and upstreams have their turn
_CHUNK = 16  # queries given up between two looks at the age
_QUIET = 60.0  # seconds between two lines in the log
_BUFFER = 4 << 20  # octets the kernel may hold for us while we are busy, some 10,000 queries
_SHORT = 512 << 10  # octets of the same under overload, some 1,000 queries
_SO_RCVBUFFORCE = 33  # from asm-generic/socket.h; the socket module has no names for these
_SO_MEMINFO = 55
_SIOCGSTAMPNS = 0x8907  # from asm-generic/sockios.h: when the packet read last came in
_STAMP = struct.Struct("@ll")  # struct timespec
_MEMINFO = struct.Struct("@9I")  # from linux/sock_diag.h; the last one counts drops

_log = logging.getLogger("pydnsk8s.server")
_DROPPED = metrics.counter("coredns_shed_dropped_total", "Queries and replies given up.", "server", "reason")
_OVERFLOWS = metrics.counter(
    "coredns_udp_overflows_total", "Queries the kernel dropped because a socket's buffer was full.", "server"
)


def dropped(server: str, reason: str) -> metrics.Counter:
    """Counts what is given up at an address, such as ``dns://:53``, for a reason.

    Those are ``query`` for queries that waited too long to be read, ``miss`` for the ones that others were answered in
    place of, ``pending`` for those of too many that waited longest for an answer, and ``response`` for replies that the
    socket did not take.
    """
    return _DROPPED.labels(server, reason)


class Trend:
    """How old queries are when they are read, and whether that gets better."""

    def __init__(self) -> None:
        self._since: float | None = None
        """Since when they have been too old, and did not become much younger."""
        self._age = 0.0
        """How old they were then."""

    def overload(self, age: float, now: float) -> bool:
        """Whether they have been too old for too long; ages and times in seconds."""
        if age <= _FRESH:
            self._since = None
        elif self._since is None or age < self._age * _FALL:
            # Who was held up catches up. As each such age is a tenth below the one before, that comes to an end.
            self._since, self._age = now, age
        return self._since is not None and now - self._since > _PATIENCE


class Backlog:
    """The queries in the kernel's buffer of one socket."""

    def __init__(self, bound: socket.socket, server: str) -> None:
        self._socket = bound
        self._server = server
        self._shed = dropped(server, "query")
        self._overflows = _OVERFLOWS.labels(server)
        self._overflowed = 0
        self._buffer = _size(bound)
        self._standing_since: float | None = None
        self._trend = Trend()
        self._overloaded: float | None = None
        """When it was last so."""
        self.cut_at = -math.inf
        """When queries were last given up, by us or by the kernel, as there were too many for long."""
        self._told: float | None = None
        self._scrap = bytearray(1)

    def emptied(self, now: float) -> None:
        """Take note that there was nothing more to read."""
        self._stood()
        if self._overloaded is not None and now - self._overloaded > _WARY:
            self._overloaded = None
            # The kernel doubles what it is told.
            _resize(self._socket, self._buffer // 2)

    def stands(self, now: float) -> None:
        """Take note that a wake has left something unread; give up what waits too long if that goes on."""
        if self._standing_since is None:
            self._standing_since = now
        over = self._overloaded is not None
        # The kernel notes times only once it has been asked for one: a server that is never near its limits pays
        # nothing for it.
        if over or now - self._standing_since > _PATIENCE / 2:
            age = self._age()
            if self._trend.overload(age, now) or (over and age > _FRESH):
                self._cut(now)
            elif self.settle():
                # A short buffer never holds anything old: it tells of overload by what does not get in.
                self.cut_at = now

    def _stood(self) -> None:
        """Start afresh: nothing waits any longer."""
        if self._standing_since is not None:
            self._standing_since, self._trend = None, Trend()

    def settle(self) -> int:
        """Count what the kernel has dropped since the last time; returns how much."""
        try:
            drops: int = _MEMINFO.unpack(self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[-1]
        except (OSError, struct.error):
            return 0  # not a Linux of 2017 (4.12) or later
        # The kernel counts in 32 bits.
        more = (drops - self._overflowed) & 0xFFFFFFFF
        self._overflows.add(more)
        self._overflowed = drops
        return more

    def _age(self) -> float:
        """Seconds the query read last had waited by now; 0 if the kernel does not know."""
        try:
            stamp = fcntl.ioctl(self._socket, _SIOCGSTAMPNS, bytes(_STAMP.size))
        except OSError:
            return 0.0
        seconds, nanoseconds = _STAMP.unpack(stamp)
        return time.time() - float(seconds) - float(nanoseconds) / 1e9

    def _cut(self, now: float) -> None:
        if self._overloaded is None:
            self._begin(now)
        self._overloaded = self.cut_at = now
        receive, scrap, count = self._socket.recv_into, self._scrap, 0
        try:
            while count < _AT_MOST and self._age() > _FRESH:
                for _ in range(_CHUNK):
                    receive(scrap)
                    count += 1
        except BlockingIOError:
            self._stood()
        self._shed.add(count)

    def _begin(self, now: float) -> None:
        if self._buffer > 2 * _SHORT:
            _resize(self._socket, _SHORT)
        if self._told is None or now - self._told > _QUIET:
            self._told = now
            _log.warning(
                "%s: overloaded, queries that wait longer than %.0f ms are given up", self._server, _FRESH * 1000
            )


def widen(opened: socket.socket) -> None:
    """Have room for a burst; more than the system's usual limit (net.core.rmem_max) takes CAP_NET_ADMIN."""
    _resize(opened, _BUFFER)


def _resize(opened: socket.socket, octets: int) -> None:
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, octets)
    except OSError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)


def _size(opened: socket.socket) -> int:
    return opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
