"""A short run of the fuzzer in memory; the long one is `python -m tests.fuzz --packets 1000000`."""

from __future__ import annotations

import random
import socket
import subprocess
import sys

import pytest

from pydnsk8s import clock, testing
from pydnsk8s.message import Client
from tests.fuzz.packets import COREFILE, mutated, seeds
from tests.fuzz.targets import TARGETS

CLIENTS = ("192.0.2.1", "2001:db8::1")


async def test_no_packet_does_any_harm(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever comes, the reply has its id and is one, memory stays bounded and no plugin meets a surprise."""
    with caplog.at_level("ERROR", "pydnsk8s"):
        async with testing.serving(COREFILE) as dns:
            (port,) = dns.ports.values()
            for number, packet in enumerate(mutated(1, 20_000)):
                address = CLIENTS[number % 2]
                client = Client(
                    socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address),
                    5353,
                    ("udp", "tcp")[number % 3 == 0],
                )
                gate = port.gate(client.transport, client.family)
                sender = (address, 5353)
                reply = gate.look(packet, sender, clock.now())
                if reply is None:
                    reply = await port.answer(packet, client, gate, clock.now())
                if reply is not None:
                    assert reply[:2] == packet[:2]
                    assert reply[2] & 0x80
                    assert client.transport == "tcp" or len(reply) <= 1232
                    if len(reply) > 12:
                        testing.read(reply)
            answer = await dns.ask("www.example.org")
            assert sorted(answer.answer) == [f"www.example.org. 3600 A 192.0.2.{last}" for last in (1, 2)]
    assert caplog.records == []


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_takes_any_bytes(target: str) -> None:
    draw = random.Random(2)
    for packet in (*seeds(), *mutated(3, 300), *(draw.randbytes(draw.randrange(60)) for _ in range(300))):
        TARGETS[target](packet)


def test_a_live_server_takes_it_too() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--packets", "4000", "--seed", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
