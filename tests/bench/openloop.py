"""A client that asks at its own pace whatever comes back: each reply's latency counts from when its query was due.

python -m tests.bench.openloop PORT SHEET RATE SECONDS [SPELLS]

Only queries that were due in one of the spells count, if there is such a file: on each line a begin and an end in
seconds as ``time.perf_counter`` tells them to all processes; what has not ended has no end there. It is read last.

A client that waits for replies asks less when the server is slow, and so hides it ("coordinated omission"). This one
does not: a query that leaves late because the client was held up counts the delay as well.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from math import ceil
from pathlib import Path

from tests.bench.question import Packet, packets

_SOCKETS = 4  # each has 65,536 ids, so that one is not used again within seconds
_BURST = 32  # queries sent before replies are looked for
_LAST = 1.0  # seconds for the last replies
_BUFFER = 8 << 20  # octets
_SO_RCVBUFFORCE = 33  # from asm-generic/socket.h; the socket module has no name for it
_LATE = 0.001  # seconds a query may leave late without being noted


class Asking:
    """One run: the queries, when each was due, and when each was answered."""

    def __init__(self, port: int, questions: Sequence[Packet], rate: float, number: int) -> None:
        self._questions = questions
        self._tails = [question.wire[2:] for question in questions]
        self._rate = rate
        self.number = number
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(_SOCKETS)]
        for each in self._sockets:
            each.setblocking(False)
            _widen(each)
            each.connect(("127.0.0.1", port))
        self.answered = array("d", bytes(8 * number))
        """When each query was answered, in seconds since the begin; 0 if it was not."""
        self.begun = 0.0
        """When the first query was due, as ``time.perf_counter`` tells it."""
        self.late: list[int] = []
        """The numbers of the queries that left later than they should."""
        self.codes: Counter[int] = Counter()
        self.wrong: Counter[int] = Counter()
        self.missed = 0
        """Replies that came while the client was held up, and found its buffers full."""

    def run(self) -> None:
        """Send every query when it is due, and take what comes back."""
        begin = self.begun = time.perf_counter()
        sent, number, rate = 0, self.number, self._rate
        while sent < number:
            now = time.perf_counter() - begin
            due = min(number, int(now * rate) + 1, sent + _BURST)
            if sent < due:
                if now - sent / rate > _LATE:
                    self.late += range(sent, due)
                self._send(sent, due)
                sent = due
            self._take(begin, sent, max(0.0, sent / rate - (time.perf_counter() - begin)))
        end = time.perf_counter() + _LAST
        while (left := end - time.perf_counter()) > 0:
            self._take(begin, sent, left)
        self.missed = sum(_dropped(each) for each in self._sockets)
        for each in self._sockets:
            each.close()

    def _send(self, first: int, end: int) -> None:
        tails, sockets = self._tails, self._sockets
        for number in range(first, end):
            packet = ((number // _SOCKETS) & 0xFFFF).to_bytes(2, "big") + tails[number % len(tails)]
            try:
                sockets[number % _SOCKETS].send(packet)
            except OSError:
                # What the socket does not take is lost as what the server drops.
                continue

    def _take(self, begin: float, sent: int, patience: float) -> None:
        """Wait for replies, at most so long, and take all that are there."""
        ready, _, _ = select.select(self._sockets, (), (), patience)
        for each in ready:
            place = self._sockets.index(each)
            # The id of the youngest query that left by this socket.
            youngest = (sent - 1 - place) // _SOCKETS
            try:
                while True:
                    reply = each.recv(4096)
                    id = reply[0] << 8 | reply[1]
                    turn = youngest - ((youngest - id) & 0xFFFF)
                    self._note(turn * _SOCKETS + place, reply[3] & 15, time.perf_counter() - begin)
            except OSError:
                continue

    def _note(self, number: int, code: int, now: float) -> None:
        if not 0 <= number < self.number or self.answered[number]:
            return
        self.answered[number] = now
        self.codes[code] += 1
        if code not in self._questions[number % len(self._questions)].allowed:
            self.wrong[code] += 1


def _widen(opened: socket.socket) -> None:
    """Have room for replies that come while another process has the core; only root may ask for more than the usual."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)


def _dropped(opened: socket.socket) -> int:
    """How many packets the kernel dropped because the buffer was full, see the last column of /proc/net/udp."""
    port = f":{opened.getsockname()[1]:04X}"
    lines = (line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:])
    return sum(int(fields[-1]) for fields in lines if fields[1].endswith(port))


def due_in(spells: Path, begun: float, rate: float, number: int) -> list[range]:
    """Of so many queries, the first of them due when all began, those that were due in one of the spells."""
    found = []
    for line in spells.read_text().splitlines():
        first, *end = ((float(word) - begun) * rate for word in line.split())
        found.append(range(max(0, ceil(first)), min(number, ceil(end[0]) if end else number)))
    return found


def latencies(answered: Sequence[float], rate: float, wanted: Iterable[int] | None = None) -> Counter[int]:
    """How many replies took how many microseconds, to three digits, each counted from when its query was due."""
    numbers = range(len(answered)) if wanted is None else wanted
    return Counter(_three_digits((answered[each] - each / rate) * 1e6) for each in numbers if answered[each])


def _three_digits(microseconds: float) -> int:
    whole = max(1, round(microseconds))
    unit: int = 10 ** max(0, len(str(whole)) - 3)
    return round(whole / unit) * unit


def percentile(taken: Counter[int], share: float) -> float:
    """The milliseconds within which this share of the replies came; 0 if there were none."""
    wanted = share * taken.total()
    seen = 0
    for microseconds, number in sorted(taken.items()):
        seen += number
        if seen >= wanted:
            return microseconds / 1000
    return 0.0


def main() -> None:
    """Print what came of it as JSON."""
    port, sheet, rate, seconds, *spells = sys.argv[1:]
    questions = list(packets(Path(sheet)))
    asking = Asking(int(port), questions, float(rate), int(float(rate) * float(seconds)))
    asking.run()
    counted = [range(asking.number)]
    for file in spells:
        counted = due_in(Path(file), asking.begun, float(rate), asking.number)
    late = sum(each in numbers for each in asking.late for numbers in counted)
    # Nobody can say which queries the replies without room were of.
    missed = round(asking.missed * sum(map(len, counted)) / asking.number)
    groups = {}
    for group in dict.fromkeys(question.group for question in questions):
        wanted = [each for each in chain(*counted) if questions[each % len(questions)].group == group]
        taken = latencies(asking.answered, float(rate), wanted)
        groups[group] = {"sent": len(wanted), "latencies": taken}
    outcome = {"late": late, "missed": missed, "codes": asking.codes, "wrong": asking.wrong}
    json.dump({"groups": groups, **outcome}, sys.stdout)


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    main()
