from __future__ import annotations

import asyncio

import pytest

from pydnsk8s import background, codes, names
from pydnsk8s.metrics import Counter
from pydnsk8s.upstream import Message, Terms, Unanswered
from pydnsk8s.upstream.health import Health
from tests.upstream.servers import Server, reply, until
from tests.upstream.test_udp import upstream


class Patient:
    """Something to check that answers when told so."""

    def __init__(self) -> None:
        self.well = False
        self.checks = 0

    async def check(self) -> bytes:
        self.checks += 1
        await asyncio.sleep(0)
        if self.well:
            return b""
        raise Unanswered("ill")


async def test_nothing_is_checked_before_a_failure() -> None:
    patient = Patient()
    health = Health(patient.check, 0.001, 2, Counter())
    await asyncio.sleep(0.01)
    assert (patient.checks, health.down, health.doubtful) == (0, False, False)


async def test_it_is_down_only_after_more_than_max_fails_checks_and_up_after_one_reply() -> None:
    patient, failures = Patient(), Counter()
    health = Health(patient.check, 0.005, 2, failures)
    health.doubt()
    health.doubt()
    await until(lambda: patient.checks == 2)
    assert health.doubtful
    assert not health.down
    await until(lambda: health.down)
    assert patient.checks >= 3
    patient.well = True
    await until(lambda: not health.doubtful)
    checks = patient.checks
    assert not health.down
    await asyncio.sleep(0.02)
    assert patient.checks == checks
    assert failures.value == checks - 1


async def test_a_check_that_fails_through_a_fault_of_ours_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_PAUSE", 0.0)
    faults = [KeyError("nobody expected this")]

    async def check() -> bytes:
        if faults:
            raise faults.pop()
        return b""

    health = Health(check, 0.001, 2, Counter())
    health.doubt()
    await until(lambda: not health.doubtful)


async def test_max_fails_of_zero_means_never_checked_and_never_down() -> None:
    patient = Patient()
    health = Health(patient.check, 0.001, 0, Counter())
    health.doubt()
    await asyncio.sleep(0.01)
    assert (patient.checks, health.down, health.doubtful) == (0, False, False)


async def test_a_check_asks_as_told_and_any_reply_will_do() -> None:
    terms = Terms(check_name=names.parse("example.org"), check_recursion=False)
    async with (
        Server(lambda packet, transport: reply(packet, rcode=codes.REFUSED)) as server,
        upstream(server, terms) as asked,
    ):
        asked.health.doubt()
        await until(lambda: not asked.health.doubtful)
        expected = Message.ask(names.parse("example.org"), codes.NS, flags=0)
        assert server.asked[0].packet[2:] == expected.packet[2:]


async def test_an_upstream_reached_by_tcp_is_checked_by_tcp() -> None:
    async with Server() as server, upstream(server, Terms(stream=True)) as asked:
        asked.health.doubt()
        await until(lambda: not asked.health.doubtful)
        assert {received.transport for received in server.asked} == {"tcp"}


async def test_stopping_ends_the_checks() -> None:
    patient = Patient()
    health = Health(patient.check, 0.001, 2, Counter())
    health.doubt()
    await asyncio.sleep(0.005)
    await health.stop()
    checks = patient.checks
    await asyncio.sleep(0.01)
    assert patient.checks == checks
