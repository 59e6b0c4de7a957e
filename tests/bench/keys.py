"""A real etcd with hosts as ExternalDNS writes them, and the same hosts as a zone."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.question import NXDOMAIN, Question
from tests.bench.servers import CLIENT_CORE, BenchError, Server, running
from tests.bench.tiers import zone_file
from tests.ports import free_port

ZONE = "keys.bench.example"
NUMBER = 10_000
_AT_ONCE = 100  # keys in a transaction; etcd takes 128
_PATIENCE = 20.0


def _address(number: int) -> str:
    # RFC 2544 appendix C.2.2 sets 198.18.0.0/15 aside for benchmarks.
    return f"198.18.{number >> 8}.{number & 255}"


def zone() -> str:
    """The zone file."""
    return zone_file(ZONE, 300, [f"host-{number} A {_address(number)}" for number in range(NUMBER)])


def questions(*, once: bool, seed: int = 53) -> list[Question]:
    """A few hosts for again and again, or each host and as many that are not there."""
    names = [f"host-{number}" for number in range(NUMBER if once else 500)]
    asked = [Question(f"{name}.{ZONE}", "A") for name in names]
    asked += [Question(f"gone-{name}.{ZONE}", "A", NXDOMAIN) for name in names if once]
    random.Random(seed).shuffle(asked)
    return asked


@contextmanager
def etcd(folder: Path) -> Iterator[str]:
    """Its URL, once it holds every host."""
    folder.mkdir()
    url, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    words = ["--data-dir", str(folder / "data"), "--listen-client-urls", url, "--advertise-client-urls", url]
    words += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    words += ["--initial-cluster", f"default={peer}", "--unsafe-no-fsync", "--logger", "zap", "--log-level", "error"]
    port = int(url.rpartition(":")[2])
    with running("etcd", ["etcd", *words], folder, port, CLIENT_CORE) as server:
        _wait(server, url)
        for first in range(0, NUMBER, _AT_ONCE):
            puts = [{"requestPut": _put(number)} for number in range(first, first + _AT_ONCE)]
            _call(url, "/v3/kv/txn", {"success": puts})
        yield url


def _put(number: int) -> dict[str, str]:
    # ExternalDNS ends each key with eight digits that tell the values of a name apart.
    backwards = "/".join(reversed(ZONE.split(".")))
    key = f"/skydns/{backwards}/host-{number}/{number:08x}"
    value = json.dumps({"host": _address(number), "ttl": 300, "targetstrip": 1})
    return {"key": b64encode(key.encode()).decode(), "value": b64encode(value.encode()).decode()}


def _wait(server: Server, url: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            _call(url, "/v3/kv/range", {"key": b64encode(b"/").decode()})
            return
        except OSError as error:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"etcd does not answer: {server.log.read_text()}") from error
            time.sleep(0.05)


def _call(url: str, path: str, document: object) -> None:
    request = urllib.request.Request(url + path, json.dumps(document).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
        answer.read()
