"""What is asked: a name, a type and the response code that has to come back; sheets of them for dnsperf."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

NOERROR, NXDOMAIN, SERVFAIL = "NOERROR", "NXDOMAIN", "SERVFAIL"


class Question(NamedTuple):
    """One query of a client, and what it has to be answered with."""

    name: str
    type: str
    rcode: str = NOERROR
    forwarded: bool = False
    """Whether only the upstream can answer it."""


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

    def wrong(self, codes: Counter[str], sent: int) -> str:
        """What came more often than it may, exact if nothing was lost; empty if all is well."""
        excess = codes - self.expected(sent)
        return ", ".join(f"{number} times {code} too often" for code, number in sorted(excess.items()))
