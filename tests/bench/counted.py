"""Our server with one number more on its metrics page: how many replies the gates gave.

python -m tests.bench.counted -conf FILE, in place of python -m pydnsk8s
"""

from __future__ import annotations

from pydnsk8s import metrics
from pydnsk8s.cli import main
from pydnsk8s.listen.port import Port
from pydnsk8s.router import Router

REPLAYS = "bench_gate_replays"
_ports: list[Port] = []


def _remember(port: Port, router: Router) -> None:
    _first(port, router)
    _ports.append(port)


def _count() -> None:
    _replays.set(sum(gate.replays for port in _ports for gate in port.gates.values()))


_first = Port.__init__
_replays = metrics.gauge(REPLAYS, "Replies given from memory.").labels()

if __name__ == "__main__":
    Port.__init__ = _remember  # type: ignore[assignment, method-assign]
    metrics.before_scrape.append(_count)
    main()
