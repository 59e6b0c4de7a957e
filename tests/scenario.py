"""Scenarios: a Corefile, questions and expected answers in a text file, played in memory on a clock that stands still.

A step starts at the left border, what belongs to it is indented; `#` at the left border is a comment. The steps:

    corefile            the Corefile; `${DIR}` in it is the folder of the files
    file NAME           a file, written anew each time it appears
    upstream            the records that the directive `scripted` answers from (`name ttl TYPE data`)
    upstream fails      it answers SERVFAIL until it is given records again
    upstream asked N    so many queries came to it since the last such step
    wait 5s             time passes
    ask NAME TYPE [from ADDRESS] [tcp] [edns SIZE] [version N] [option CODE:HEX] [do] [cd] [ad] [norec]
                  [class CLASS] [times N]

The lines of `ask` are what has to come back: the response code and exactly the flags that are set (`qr` goes without
saying; `edns` stands for an OPT record, `do` for its flag), then the records of the answer, and those of the other
sections behind the lines `authority`, `additional` and `options` (`CODE:HEX`). A section that is not mentioned must be
empty; `...` stands for one record or more, whatever they say; behind `any order` the order does not matter. `size N`
limits the octets of the reply. With `times`, the line `taking turns` wants each record of the answer to come first at
least once. `no reply` stands alone.

Each reply is also read by dnspython, and must repeat id and question octet for octet.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import dns.edns
import dns.flags
import dns.message

from pydnsk8s import testing
from pydnsk8s.testing import Answer

from .scripted import Scripted

_FLAGS = {"cd": dns.flags.CD, "ad": dns.flags.AD}
_SECTIONS = ("answer", "authority", "additional", "options")
_ID = 4711


class ScenarioError(AssertionError):
    """Where a scenario went otherwise than it says, or says what nobody understands."""


@dataclass(slots=True)
class Step:
    """One step: its words and the lines that belong to it."""

    line: int
    words: list[str]
    body: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(line + "\n" for line in self.body)


def read(path: Path) -> list[Step]:
    """The steps of a scenario file."""
    steps: list[Step] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line[0].isspace():
            steps.append(Step(number, line.split()))
        elif steps:
            steps[-1].body.append(line)
        else:
            raise ScenarioError(f"{path.name}:{number}: an indented line without a step")
    return steps


async def play(path: Path, folder: Path) -> None:
    """Play a scenario; ScenarioError tells the first line that went wrong."""
    # One thread, so that what a plugin has it do is done before what we have it do.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    async with testing.stopped_clock() as clock:
        player = _Player(folder, clock)
        for step in read(path):
            try:
                await player.take(step)
                await _quiet()
            except ScenarioError as error:
                raise ScenarioError(f"{path.name}:{step.line}: {' '.join(step.words)}\n{error}") from None
        await player.close()


async def _quiet() -> None:
    """Let everything go on that the last step has set off."""
    for _ in range(3):
        await asyncio.sleep(0)
        await asyncio.to_thread(int)


class _Player:
    """A scenario under way."""

    def __init__(self, folder: Path, clock: testing.Clock) -> None:
        self.folder = folder
        self.clock = clock
        self._corefile = ""
        self._dns: testing.Dns | None = None
        self._end = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def take(self, step: Step) -> None:
        match step.words:
            case ["corefile"]:
                self._corefile = step.text.replace("${DIR}", str(self.folder))
            case ["file", name]:
                (self.folder / name).write_text(step.text)
            case ["upstream", *how]:
                await self._script(how, step)
            case ["wait", span] if match := re.fullmatch(r"(\d+)s", span):
                await self.dns()
                await self.clock.advance(int(match[1]))
            case ["ask", name, type, *rest]:
                await self._ask(_question(name, type, rest), step)
            case _:
                raise ScenarioError("not a step")

    async def dns(self) -> testing.Dns:
        """The configuration under test, started at its first use."""
        if self._dns is None:
            ready = asyncio.get_running_loop().create_future()
            self._serving = asyncio.create_task(self._serve(ready))
            self._dns = await ready
        return self._dns

    async def _serve(self, ready: asyncio.Future[testing.Dns]) -> None:
        try:
            async with testing.serving(self._corefile) as dns:
                ready.set_result(dns)
                await self._end.wait()
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def close(self) -> None:
        self._end.set()
        if self._serving is not None:
            await self._serving

    async def _script(self, how: list[str], step: Step) -> None:
        upstreams = [plugin for plugin in (await self.dns()).plugins if isinstance(plugin, Scripted)]
        match how:
            case []:
                records = [testing.record(" ".join(line.split(None, 3))) for line in step.body]
                for upstream in upstreams:
                    upstream.works, upstream.records = True, records
            case ["fails"]:
                for upstream in upstreams:
                    upstream.works = False
            case ["asked", number]:
                asked = sum(upstream.asked for upstream in upstreams)
                for upstream in upstreams:
                    upstream.asked = 0
                if asked != int(number):
                    raise ScenarioError(f"it was asked {asked} times")
            case _:
                raise ScenarioError("not a step")

    async def _ask(self, question: _Question, step: Step) -> None:
        lines = [" ".join(line.split()) for line in step.body]
        dns, firsts = await self.dns(), set()
        for _ in range(question.times):
            try:
                answer = await dns.send(question.packet, client=question.client, tcp=question.tcp)
            except TimeoutError:
                if lines != ["no reply"]:
                    raise ScenarioError("no reply") from None
                continue
            if lines == ["no reply"]:
                raise ScenarioError(_shown(answer))
            _check_echo(question, answer)
            _compare(lines, answer)
            firsts |= set(answer.answer[:1])
        if "taking turns" in lines and firsts != set(answer.answer):
            raise ScenarioError(f"only these came first: {sorted(firsts)}")


@dataclass(slots=True)
class _Question:
    packet: bytes
    client: str = "127.0.0.1"
    tcp: bool = False
    times: int = 1


def _question(name: str, type: str, words: list[str]) -> _Question:
    given: dict[str, str] = {}
    left = iter(words)
    for word in left:
        given[word] = next(left) if word in ("from", "edns", "version", "option", "class", "times") else ""
    message = dns.message.make_query(name, type, given.get("class", "IN"), id=_ID)
    message.flags = dns.flags.RD if "norec" not in given else dns.flags.Flag(0)
    for word, flag in _FLAGS.items():
        message.flags |= flag if word in given else 0
    if {"edns", "version", "option", "do"} & given.keys():
        options: list[dns.edns.Option] = [
            dns.edns.GenericOption(dns.edns.OptionType.make(int(code)), bytes.fromhex(value))
            for code, _, value in (text.partition(":") for text in given.get("option", "").split(",") if text)
        ]
        flags = dns.flags.DO if "do" in given else 0
        message.use_edns(int(given.get("version", 0)), flags, int(given.get("edns", 1232)), options=options)
    unknown = given.keys() - {"from", "edns", "version", "option", "class", "times", "tcp", "do", "norec", *_FLAGS}
    if unknown:
        raise ScenarioError(f"not understood: {', '.join(sorted(unknown))}")
    return _Question(
        message.to_wire(), given.get("from", "127.0.0.1"), "tcp" in given, times=int(given.get("times", 1))
    )


def _check_echo(question: _Question, answer: Answer) -> None:
    asked, told = question.packet, answer.wire
    again = dns.message.from_wire(told)
    if told[:2] != asked[:2]:
        raise ScenarioError("the id is another")
    if again.question:
        end = asked.index(b"\0", 12) + 5
        if told[12:end] != asked[12:end]:
            raise ScenarioError(f"the question came back as {again.question[0]}")


def _compare(expected: list[str], answer: Answer) -> None:
    head, *lines = expected or [""]
    found = _head(answer)
    if head.split()[:1] != found[:1] or set(head.split()) != set(found):
        raise ScenarioError(_shown(answer))
    wanted = dict(_by_section(lines))
    for section in _SECTIONS:
        if not _agree(wanted.get(section, []), _records(answer, section)):
            raise ScenarioError(f"the section {section} is another\n{_shown(answer)}")
    for line in lines:
        if line.startswith("size ") and len(answer.wire) > int(line.split()[1]):
            raise ScenarioError(f"the reply has {len(answer.wire)} octets")


def _by_section(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    section, held = "answer", list[str]()
    for line in lines:
        if line in _SECTIONS:
            yield section, held
            section, held = line, []
        elif line != "taking turns" and not line.startswith("size "):
            held.append(line)
    yield section, held


def _agree(wanted: list[str], found: list[str]) -> bool:
    if wanted == ["..."]:
        return bool(found)
    if wanted[:1] == ["any order"]:
        return sorted(wanted[1:]) == sorted(found)
    return wanted == found


def _head(answer: Answer) -> list[str]:
    flags = sorted(answer.flags - {"qr"})
    if answer.edns:
        flags.append("edns")
        flags += ["do"] if dns.message.from_wire(answer.wire).ednsflags & dns.flags.DO else []
    return [answer.rcode, *flags]


def _records(answer: Answer, section: str) -> list[str]:
    if section == "options":
        return [f"{code}:{value.hex()}" for code, value in answer.options]
    records: list[str] = getattr(answer, section)
    return records


def _shown(answer: Answer) -> str:
    lines = [" ".join(_head(answer)), *answer.answer]
    for section in _SECTIONS[1:]:
        if records := _records(answer, section):
            lines += [section, *records]
    return "it was:\n" + "".join(f"    {line}\n" for line in lines)
