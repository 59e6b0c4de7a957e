"""Where a server spends its time, as a flame graph; py-spy looks at it from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.servers import BenchError, Server, installed

_SAMPLES = 200  # a second


@contextmanager
def profiled(server: Server, file: Path) -> Iterator[None]:
    """Write the flame graph (SVG) of what the server does until the block ends; that costs it some time."""
    beside = Path(sys.executable).with_name("py-spy")
    command = str(beside) if beside.exists() else installed("py-spy")
    if command is None:
        raise BenchError("py-spy is missing: pip install pydnsk8s[bench]")
    words = [command, "record", "--pid", str(server.process.pid), "--output", str(file), "--rate", str(_SAMPLES)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    if process.returncode or not file.exists():
        raise BenchError(f"py-spy: {said.decode(errors='replace')}")
