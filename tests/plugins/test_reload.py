"""reload: which configuration it says is running."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

from pydnsk8s import metrics
from pydnsk8s.corefile import load
from pydnsk8s.plugin import StartError
from pydnsk8s.server import Server
from tests.plugins.blocks import errors

ONE = "example.org:0 {\n    bind 127.0.0.1\n    reload\n    whoami\n}\n"
INFO = 'coredns_reload_version_info{hash="sha512",value="'


def told() -> list[str]:
    """The hashes that the metric shows."""
    lines = metrics.exposition()[1].decode().splitlines()
    return [line.removeprefix(INFO).partition('"')[0] for line in lines if line.startswith(INFO)]


async def test_the_running_configuration_is_told_of_and_not_one_that_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "Corefile"
    path.write_text(ONE)
    with caplog.at_level(logging.INFO, "pydnsk8s"), socket.create_server(("127.0.0.1", 0)) as taken:
        async with Server.from_path(path) as server:
            first = load(path).digest
            assert told() == [first]
            path.write_text(ONE.replace("whoami", f"whoami\n    health 127.0.0.1:{taken.getsockname()[1]}"))
            failed = load(path).digest
            with pytest.raises(StartError, match="in use"):
                await server.reload()
            assert told() == [first]
            path.write_text(ONE.replace("whoami", "whoami\n    nsid"))
            second = load(path).digest
            assert await server.reload()
            assert told() == [second]
    assert f"Running configuration SHA512 = {first}" in caplog.text
    assert f"Running configuration SHA512 = {second}" in caplog.text
    assert failed not in caplog.text


def test_what_a_corefile_may_not_say() -> None:
    assert "at least 2s" in errors("reload 1s")
    assert "at least 1s" in errors("reload 10s 500ms")
    assert "expected: reload [INTERVAL [JITTER]]" in errors("reload 10s 5s 1s")
