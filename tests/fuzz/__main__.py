"""Throws mutated packets at a live server over UDP and TCP, and looks at its answers, its log and its memory.

    python -m tests.fuzz --packets 1000000 --seed 1

Ends with 1 if the server stops answering, logs an exception, or grows by more than a tenth once it is warm.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pydnsk8s.testing import read
from tests.ports import free_port

from .packets import COREFILE, mutated

_BURST = 40  # packets between two looks at what came back
_CHECK = 2000  # packets between two questions that must be answered
_WARM = 0.4  # the share of the packets after which memory must not grow any more
_GROWTH = 1.10
_LAUNCH = """
import gc, threading
from pydnsk8s import cli, gate

def collect():
    gc.collect()
    again = threading.Timer(1, collect)
    again.daemon = True
    again.start()

# The memory is soon full and garbage soon collected, as a connection of asyncio leaves some: what grows is a leak.
gate.Gate.__init__.__defaults__ = (200, 1 << 18)
collect()
cli.main()
"""
_GOOD = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\7example\3org\0\0\1\0\1"
_FAULT = re.compile(r"Traceback|unexpected \w+ while|\[ERROR\]|never awaited|Task exception")


class Target:
    """A server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        corefile = folder / "Corefile"
        corefile.write_text(re.sub(r"^(\S.*) \{$", r"\1 {\n    bind 127.0.0.1", COREFILE, flags=re.MULTILINE))
        self.port = free_port()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCH, "-conf", str(corefile), "-dns.port", str(self.port)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def resident(self) -> int:
        """KiB of memory it holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        return int(found[1]) if found else 0

    def faults(self) -> Iterator[str]:
        """Lines of its log that must not be there."""
        with self.log.open(errors="replace") as lines:
            yield from (line.rstrip() for line in lines if _FAULT.search(line))

    def answers(self) -> bool:
        """Whether it still answers over UDP and over TCP."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.5)
            client.connect(("127.0.0.1", self.port))
            for _ in range(20):
                try:
                    client.send(_GOOD)
                    if len(read(client.recv(4096)).answer) == 2:
                        return self._answers_streams()
                except OSError:
                    time.sleep(0.1)
        return False

    def _answers_streams(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 5) as client:
            client.sendall(len(_GOOD).to_bytes(2, "big") + _GOOD)
            with client.makefile("rb") as stream:
                return len(read(stream.read(int.from_bytes(stream.read(2), "big"))).answer) == 2

    def stop(self) -> int:
        """End it as an operator would; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def throw(target: Target, packets: Iterator[bytes]) -> None:
    """Send bursts, most over UDP, each fifth over TCP; take whatever comes back."""
    number = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(("127.0.0.1", target.port))
        while burst := list(islice(packets, _BURST)):
            number += 1
            if number % 5 == 0:
                _stream(target.port, burst)
                continue
            for packet in burst:
                with contextlib.suppress(OSError):
                    client.send(packet)
            with contextlib.suppress(OSError):
                while True:
                    client.recv(65535)


def _stream(port: int, burst: list[bytes]) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"".join(len(packet).to_bytes(2, "big") + packet for packet in burst))
        client.shutdown(socket.SHUT_WR)
        while client.recv(65535):
            pass


def main() -> int:
    """Run as the command line says; the exit code."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--packets", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    given = options.parse_args()
    print(f"{given.packets} packets, seed {given.seed}")
    packets, sent, warm = mutated(given.seed, given.packets), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        target = Target(Path(folder))
        try:
            while sent < given.packets:
                if not target.answers():
                    print(f"it does not answer after {sent} packets", *target.faults(), sep="\n")
                    return 1
                throw(target, islice(packets, _CHECK))
                sent += _CHECK
                if not warm and sent >= given.packets * _WARM:
                    warm = target.resident
            alive, resident, code = target.answers(), target.resident, target.stop()
        finally:
            target.process.kill()
            target.process.wait()
        faults = list(target.faults())
    print(f"answers: {alive}, exit code {code}, {warm} KiB when warm, {resident} KiB at the end")
    print(*faults[:20], sep="\n")
    return 0 if alive and not code and not faults and resident <= warm * _GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
