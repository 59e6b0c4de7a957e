"""Coverage-guided fuzzing: `pip install atheris`, then `python -m tests.fuzz.targets query|reply|corefile|name`.

What follows the target goes to libFuzzer, such as a folder that keeps the corpus, or `-max_total_time=60`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from pydnsk8s import codes, corefile, names, testing
from pydnsk8s.message import NOBODY, Query, Reply
from pydnsk8s.wire import FormError, forwarded, parse, records, render, scan


def query(data: bytes) -> None:
    """Any packet is a Query or a FormError, and a Query can be answered."""
    try:
        asked = parse(data, NOBODY)
    except FormError:
        return
    testing.read(render(asked, Reply(codes.SERVFAIL), 512, 1232))


def reply(data: bytes) -> None:
    """Any message is a reply that can be passed on, or a FormError."""
    try:
        records(data, scan(data))
    except FormError:
        return
    testing.read(render(Query(b"\1a\0", codes.A), forwarded(data), 65535, 1232))


def text(data: bytes) -> None:
    """Any text is a Corefile or a CorefileError."""
    try:
        corefile.parse(data.decode(errors="replace"))
    except corefile.CorefileError as error:
        str(error)


def name(data: bytes) -> None:
    """Any text is a name, and the same one once written, or a ValueError."""
    try:
        wire = names.parse_keeping_case(data.decode("latin-1"))
    except ValueError:
        return
    assert names.parse_keeping_case(names.text(wire)) == wire


TARGETS: dict[str, Callable[[bytes], None]] = {"query": query, "reply": reply, "corefile": text, "name": name}


def main() -> None:
    """Fuzz the target that the command line names until libFuzzer ends."""
    atheris = importlib.import_module("atheris")
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(__doc__)
    target = TARGETS[sys.argv.pop(1)]
    atheris.instrument_all()
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
