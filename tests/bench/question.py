"""What is asked: a name, a type and the response code that has to come back; sheets of them for dnsperf."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydnsk8s import codes, names
from pydnsk8s.wire import query

NOERROR, NXDOMAIN, SERVFAIL, REFUSED = "NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED"
INSIDE, OUTSIDE, FLOOD = "inside", "outside", "flood"
GOOD = (INSIDE, OUTSIDE)
"""The groups of questions that somebody wants answered."""


class Question(NamedTuple):
    """One query of a client, and what it has to be answered with."""

    name: str
    type: str
    rcode: str = NOERROR
    group: str = INSIDE
    """``outside`` if only the upstream can answer it, ``flood`` if nobody wants to know."""


class Sheet:
    """Questions in the order they are asked, in a file as dnsperf reads it."""

    def __init__(self, path: Path, questions: Sequence[Question]) -> None:
        self.path = path
        self.questions = questions
        path.write_text("".join(f"{question.name} {question.type}\n" for question in questions))

    def expected(self, sent: int) -> Counter[str]:
        """How often each response code has to come when so many were sent, from the top over and over."""
        times, more = divmod(sent, len(self.questions))
        whole = Counter(question.rcode for question in self.questions)
        rest = Counter(question.rcode for question in self.questions[:more])
        return Counter({code: whole[code] * times + rest[code] for code in whole})

    def wrong(self, came: Counter[str], sent: int) -> str:
        """What came more often than it may, exact if nothing was lost; empty if all is well."""
        excess = came - self.expected(sent)
        return ", ".join(f"{number} times {code} too often" for code, number in sorted(excess.items()))

    def packets(self, *, failing: bool = False) -> Path:
        """A file of the same as packets in hexadecimal digits, with their groups and the codes they may have.

        If the upstream is failing, what only it can answer need not be answered as it should.
        """
        path = self.path.with_suffix(".failing" if failing else ".packets")
        with path.open("w") as file:
            for question in self.questions:
                excused = (SERVFAIL, REFUSED) if failing and question.group == OUTSIDE else ()
                packet = query(names.parse(question.name), codes.parse_type(question.type), id=0)
                allowed = " ".join(str(_CODES[code]) for code in (question.rcode, *excused))
                file.write(f"{packet.hex()} {question.group} {allowed}\n")
        return path


_CODES = {NOERROR: codes.NOERROR, SERVFAIL: codes.SERVFAIL, NXDOMAIN: codes.NXDOMAIN, REFUSED: codes.REFUSED}


class Packet(NamedTuple):
    """A question as a client without names sends it."""

    wire: bytes
    group: str
    allowed: frozenset[int]


def packets(path: Path) -> Iterator[Packet]:
    """What such a file holds."""
    for line in path.read_text().splitlines():
        wire, group, *allowed = line.split()
        yield Packet(bytes.fromhex(wire), group, frozenset(int(code) for code in allowed))
