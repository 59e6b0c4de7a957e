"""Our server with two numbers more on its metrics page: how many replies the gates gave, and how many objects live.

python -m tests.bench.counted -conf FILE, in place of python -m pydnsk8s
"""

from __future__ import annotations

import sys

from pydnsk8s import metrics
from pydnsk8s.cli import main
from pydnsk8s.listen.port import Port
from pydnsk8s.router import Router

REPLAYS = "bench_gate_replays"
BLOCKS = "bench_python_blocks"
_ports: list[Port] = []


def _remember(port: Port, router: Router) -> None:
    _first(port, router)
    _ports.append(port)


def _count() -> None:
    _replays.set(sum(gate.replays for port in _ports for gate in port.gates.values()))
    _blocks.set(sys.getallocatedblocks())


_first = Port.__init__
_replays = metrics.gauge(REPLAYS, "Replies given from memory.").labels()
_blocks = metrics.gauge(BLOCKS, "Pieces of memory that Python has in use; an object is one or more.").labels()

if __name__ == "__main__":
    Port.__init__ = _remember  # type: ignore[assignment, method-assign]
    metrics.before_scrape.append(_count)
    main()
