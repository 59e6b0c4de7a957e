"""Databases of addresses: read whole, looked through, read again when they change, and never lost."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

from pydnsk8s.geo import Database, UnreadableError
from pydnsk8s.subnet import Asker
from tests import databases
from tests.upstream.servers import until

LOG = logging.getLogger("pydnsk8s.plugin.geoip")
GERMANY: dict[str, dict[str, object]] = {
    "192.0.2.0/25": {"country": {"iso_code": "DE"}},
    "2001:db8::/33": {"country": {"iso_code": "DE"}},
}
FRANCE: dict[str, dict[str, object]] = {"192.0.2.0/26": {"country": {"iso_code": "FR"}}}


def asker(text: str) -> Asker:
    return Asker(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text))


def opened(path: Path) -> Database:
    return Database(path, LOG)


def test_what_is_known_of_an_address_and_of_how_much_of_it(tmp_path: Path) -> None:
    database = opened(databases.write(tmp_path / "a.mmdb", GERMANY))
    assert database.type == "GeoLite2-City"
    assert database.find(asker("192.0.2.77")) == ({"country": {"iso_code": "DE"}}, 25)
    assert database.find(asker("192.0.2.128")) == (None, 25)
    assert database.find(asker("2001:db8::1")) == ({"country": {"iso_code": "DE"}}, 33)
    record, bits = database.find(asker("10.0.0.1"))
    assert (record, 0 < bits <= 32) == (None, True)


def test_a_database_of_ipv4_alone_knows_nothing_of_the_rest(tmp_path: Path) -> None:
    database = opened(databases.write(tmp_path / "a.mmdb", FRANCE, version=4))
    assert database.find(asker("192.0.2.1")) == ({"country": {"iso_code": "FR"}}, 26)
    assert database.find(asker("2001:db8::1")) == (None, 0)


def test_there_is_none_and_there_is_half_of_one(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"cannot read .*nowhere: no such file or directory"):
        opened(tmp_path / "nowhere")
    with pytest.raises(UnreadableError, match=r"cannot read .*: is a directory"):
        opened(tmp_path)
    whole = databases.write(tmp_path / "a.mmdb", GERMANY).read_bytes()
    half = tmp_path / "half.mmdb"
    for part in (b"", whole[:100], whole[: len(whole) // 2], whole[:-5], b"\0" * 5000, whole[len(whole) // 3 :]):
        half.write_bytes(part)
        with pytest.raises(UnreadableError, match=r"half\.mmdb is not a MaxMind DB file, or not a whole one"):
            opened(half)


async def test_a_new_file_is_read_and_ends_what_was_kept_under_the_old_one(tmp_path: Path) -> None:
    path = databases.write(tmp_path / "a.mmdb", GERMANY)
    database = opened(path)
    before = database.stamp
    assert not await database.refresh()
    assert before.alive
    databases.write(path, FRANCE)
    assert await database.refresh()
    assert (before.alive, database.stamp.alive) == (False, True)
    assert database.find(asker("192.0.2.1")) == ({"country": {"iso_code": "FR"}}, 26)


async def test_a_file_that_breaks_changes_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = databases.write(tmp_path / "a.mmdb", GERMANY)
    database, whole = opened(path), path.read_bytes()
    for _ in range(3):
        # In place, as careless programs write: whoever maps the file would be killed by that.
        path.write_bytes(whole[:50])
        assert not await database.refresh()
        assert database.find(asker("192.0.2.1")) == ({"country": {"iso_code": "DE"}}, 25)
    assert database.stamp.alive
    path.unlink()
    for _ in range(3):
        assert not await database.refresh()
    assert database.find(asker("192.0.2.1")) == ({"country": {"iso_code": "DE"}}, 25)
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(": ")[0] for text in told if "no such file" in text] == [f"cannot read {path}"]
    assert 1 <= len([text for text in told if "not a whole one; going on with the version from before" in text]) <= 3
    databases.write(path, FRANCE)
    assert await database.refresh()


async def test_it_is_looked_at_from_time_to_time(tmp_path: Path) -> None:
    path = databases.write(tmp_path / "a.mmdb", GERMANY)
    database = opened(path)
    before = database.stamp
    database.watch(0.01)
    databases.write(path, FRANCE)
    await until(lambda: not before.alive)
    await database.stop()
