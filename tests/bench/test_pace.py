"""The client with its own pace: latencies count from when a query was due; each reply is held against its query."""

from __future__ import annotations

import socket
import threading
from array import array
from collections import Counter
from pathlib import Path

import pytest

from tests.bench.openloop import Asking, due_in, latencies, percentile
from tests.bench.question import NXDOMAIN, OUTSIDE, Question, Sheet, packets
from tests.bench.soak import slope


def test_a_latency_counts_from_when_the_query_was_due() -> None:
    # Ten a second: due at 0, 100, 200 and 300 ms; the third was not answered.
    answered = array("d", [0.001, 0.150, 0.0, 0.301])
    assert latencies(answered, 10) == {1000: 2, 50_000: 1}
    assert latencies(answered, 10, [1, 2]) == {50_000: 1}


def test_latencies_are_kept_to_three_digits() -> None:
    assert latencies([0.0000004, 0.0012345, 0.0987654], 1e9) == {1: 1, 1230: 1, 98_800: 1}


def test_only_what_was_due_in_a_spell_counts(tmp_path: Path) -> None:
    spells = tmp_path / "spells"
    # One is over before the first query, one begins before it, one lies within, one has not come to its end.
    spells.write_text("900.0 901.0\n999.0 1000.15\n1000.95 1001.25\n1009.75")
    assert [list(each) for each in due_in(spells, 1000.0, 10, 100)] == [[], [0, 1], [10, 11, 12], [98, 99]]


def test_a_percentile_is_the_time_within_which_so_many_came() -> None:
    taken = Counter({100: 90, 2000: 9, 30_000: 1})
    assert [percentile(taken, share) for share in (0.5, 0.9, 0.91, 0.99, 0.999)] == [0.1, 0.1, 2.0, 2.0, 30.0]
    assert percentile(Counter(), 0.5) == 0.0


def test_a_slope_is_given_with_its_error() -> None:
    straight = slope([(minute, 3.0 * minute + 7) for minute in range(10)])
    assert straight.value == pytest.approx(3)
    assert straight.error == pytest.approx(0, abs=1e-6)
    # (0, 0), (1, 2), (2, 1): the line is x / 2 + 1/2, the squares left sum up to 3/2, the times spread by 2.
    assert slope([(0, 0), (1, 2), (2, 1)]) == pytest.approx((0.5, 0.75**0.5))


def test_packets_say_what_they_may_be_answered_with(tmp_path: Path) -> None:
    sheet = Sheet(tmp_path / "questions", [Question("a.example", "A"), Question("b.example", "PTR", NXDOMAIN, OUTSIDE)])
    one, other = packets(sheet.packets())
    assert one.wire == bytes.fromhex("0000010000010000000000000161076578616d706c650000010001")
    assert (one.group, *one.allowed) == ("inside", 0)
    assert (other.group, *other.allowed) == ("outside", 3)
    # An upstream that is away excuses SERVFAIL and REFUSED, but only for what is its.
    assert [each.allowed for each in packets(sheet.packets(failing=True))] == [{0}, {3, 2, 5}]


def _answer(server: socket.socket, number: int) -> None:
    """Answer with NXDOMAIN, every fourth not at all."""
    for each in range(number):
        packet, sender = server.recvfrom(512)
        if each % 4 != 3:
            server.sendto(packet[:2] + b"\x81\x83" + packet[4:], sender)


def test_each_reply_is_held_against_its_query(tmp_path: Path) -> None:
    sheet = Sheet(tmp_path / "questions", [Question("a.example", "A", NXDOMAIN), Question("b.example", "A")])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        answering = threading.Thread(target=_answer, args=(server, 200))
        answering.start()
        asking = Asking(server.getsockname()[1], list(packets(sheet.packets())), 2000, 200)
        asking.run()
        answering.join()
    assert sum(map(bool, asking.answered)) == 150
    assert asking.missed == 0
    assert asking.codes == {3: 150}
    # Half of the queries wanted NOERROR; those sent as every fourth were among them.
    assert asking.wrong == {3: 50}
