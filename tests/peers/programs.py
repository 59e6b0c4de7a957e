"""Programs of the distribution as child processes: found or excused, on free ports, ended by their id."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.message
import pytest

PATIENCE = 20.0
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"))


def program(name: str) -> str:
    """Where a program is; the test is skipped without it, but on CI it fails."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        missing = f"the program {name} is not installed (tests/run installs it as root)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


async def said(*words: str) -> str:
    """What a program prints; it may take its time but not for ever."""
    process = await asyncio.create_subprocess_exec(
        program(words[0]), *words[1:], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return output.decode(errors="replace")


@asynccontextmanager
async def running(words: Sequence[str], port: int, log: Path) -> AsyncIterator[None]:
    """A daemon in the foreground, from its first answer until the block ends."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program(words[0]), *words[1:], stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        await _answers(port, process, log)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(PATIENCE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _answers(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    probe = dns.message.make_query("version.bind", "TXT", "CH")
    async with asyncio.timeout(PATIENCE):
        while process.returncode is None:
            try:
                await dns.asyncquery.udp(probe, "127.0.0.1", 0.3, port)
            except (dns.exception.Timeout, OSError):
                await asyncio.sleep(0.05)
            else:
                return
    raise AssertionError(f"it ended with {process.returncode}:\n{log.read_text(errors='replace')}")
