"""Who answers: by distance, by region, by weight."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, testing
from pydnsk8s.message import Edns
from pydnsk8s.plugins.gslb.choice import Offer, Point, distance, draw, nearest
from pydnsk8s.plugins.gslb.cluster import Cluster
from tests import databases

BERLIN, PARIS, SYDNEY = (52.52, 13.405), (48.8566, 2.3522), (-33.8688, 151.2093)
POINTS = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


def offer(tag: str, place: Point | None = None, weight: int = 1) -> Offer:
    return Offer(Cluster(tag, location=place, weight=weight), (b"\xc0\0\2\1",))


@pytest.mark.parametrize(
    ("one", "other", "kilometres"), [(BERLIN, PARIS, 878), (PARIS, SYDNEY, 16_960), ((0, 179.5), (0, -179.5), 111)]
)
def test_distances_are_those_on_the_globe(one: Point, other: Point, kilometres: float) -> None:
    assert distance(one, other) == pytest.approx(kilometres, rel=0.01)


@given(POINTS, POINTS)
def test_a_distance_is_the_same_both_ways_and_never_beyond_the_antipodes(one: Point, other: Point) -> None:
    assert distance(one, other) == pytest.approx(distance(other, one), abs=1e-6)
    assert 0 <= distance(one, other) <= math.pi * 6371.1
    assert distance(one, one) == pytest.approx(0, abs=1e-6)


@given(st.lists(st.none() | POINTS, min_size=1, max_size=8), POINTS, st.floats(0, 3000))
def test_the_nearest_are_chosen_and_none_that_is_farther(
    places: list[Point | None], client: Point, near: float
) -> None:
    offers = [offer(str(number), place) for number, place in enumerate(places)]
    chosen = nearest(offers, client, near)
    far = {held.cluster.tag: distance(client, place) for held in offers if (place := held.cluster.location)}
    if not far:
        assert chosen == offers
        return
    least = min(far.values())
    assert {held.cluster.tag for held in chosen} == {tag for tag, way in far.items() if way <= least + near}


def test_a_weight_is_the_share_of_draws() -> None:
    offers = [offer("eu", weight=75), offer("us", weight=25)]
    drawn = Counter(draw(offers).cluster.tag for _ in range(4000))
    assert 0.70 < drawn["eu"] / 4000 < 0.80


GEOGRAPHIC = """
example.org {{
    {before}
    gslb app.example.org {{
        strategy {strategy}
        cluster eu 192.0.2.1 {eu}
        cluster us 192.0.2.2 {us}
        cluster far 192.0.2.3 {far}
        geodb {path} {fields}
        {more}
    }}
}}
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Clients in Berlin, near New York, and in Sydney; others are nowhere."""

    def at(latitude: float, longitude: float, continent: str) -> dict[str, object]:
        return {"location": {"latitude": latitude, "longitude": longitude}, "continent": {"code": continent}}

    networks = {
        "198.51.100.0/25": at(52.52, 13.405, "EU"),
        "198.51.100.128/25": at(40.7, -74.0, "NA"),
        "203.0.113.0/24": at(-33.8688, 151.2093, "OC"),
        "2001:db8:1::/48": at(52.52, 13.405, "EU"),
    }
    return databases.write(tmp_path / "world.mmdb", networks)


def geographic(path: Path, strategy: str = "geoip", **words: str) -> str:
    places = {"eu": "location 50.1 8.6", "us": "location 39 -77", "far": "location -33 151"}
    rest = {"before": "", "fields": "", "more": ""}
    return GEOGRAPHIC.format(path=path, strategy=strategy, **{**places, **rest, **words})


async def asked(dns: testing.Dns, client: str, subnet: bytes = b"") -> set[str]:
    edns = Edns(options=((codes.OPTION_SUBNET, subnet),)) if subnet else None
    answer = await dns.ask("app.example.org", "A", client=client, edns=edns)
    return {line.rpartition(" ")[2] for line in answer.answer}


async def test_each_client_gets_the_nearest_cluster(world: Path) -> None:
    async with testing.serving(geographic(world)) as dns:
        for _ in range(3):  # the gate must not give one client's answer to another
            assert await asked(dns, "198.51.100.1") == {"192.0.2.1"}
            assert await asked(dns, "198.51.100.200") == {"192.0.2.2"}
            assert await asked(dns, "203.0.113.9") == {"192.0.2.3"}
            assert await asked(dns, "2001:db8:1::1") == {"192.0.2.1"}


async def test_a_client_that_is_nowhere_gets_all_clusters(world: Path) -> None:
    async with testing.serving(geographic(world)) as dns:
        assert await asked(dns, "192.0.2.77") == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}


async def test_a_client_subnet_counts_only_from_those_believed(world: Path) -> None:
    sydney = b"\0\1\x18\0\xcb\0\x71"
    text = geographic(world, more="edns-subnet 198.51.100.0/25")
    async with testing.serving(text) as dns:
        assert await asked(dns, "198.51.100.1", sydney) == {"192.0.2.3"}
        assert await asked(dns, "198.51.100.200", sydney) == {"192.0.2.2"}
        assert await asked(dns, "198.51.100.1") == {"192.0.2.1"}


async def test_the_scope_of_the_database_goes_back_with_a_client_subnet(world: Path) -> None:
    edns = Edns(options=((codes.OPTION_SUBNET, b"\0\1\x18\0\xc6\x33\x64"),))
    async with testing.serving(geographic(world, more="edns-subnet")) as dns:
        answer = await dns.ask("app.example.org", "A", edns=edns)
    assert dict(answer.options)[codes.OPTION_SUBNET][:4] == b"\0\1\x18\x19"


async def test_a_region_goes_before_distance(world: Path) -> None:
    text = geographic(
        world, fields="continent.code", us="location 39 -77 region EU,AF", eu="location 50.1 8.6 region NA"
    )
    async with testing.serving(text) as dns:
        assert await asked(dns, "198.51.100.1") == {"192.0.2.2"}
        assert await asked(dns, "198.51.100.200") == {"192.0.2.1"}
        assert await asked(dns, "203.0.113.9") == {"192.0.2.3"}


async def test_a_cluster_is_its_own_region(world: Path) -> None:
    async with testing.serving(geographic(world, fields="continent.code", us="", eu="", far="")) as dns:
        assert await asked(dns, "198.51.100.1") == {"192.0.2.1"}
        assert await asked(dns, "203.0.113.9") == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}


async def test_combined_draws_by_weight_among_the_near(world: Path) -> None:
    text = geographic(world, "combined", us="location 50.2 8.7 weight 3", before="cache")
    async with testing.serving(text) as dns:
        drawn: Counter[str] = Counter()
        for _ in range(400):
            answer = await asked(dns, "198.51.100.1")
            assert len(answer) == 1
            drawn.update(answer)
        assert await asked(dns, "203.0.113.9") == {"192.0.2.3"}
    assert drawn.keys() == {"192.0.2.1", "192.0.2.2"}
    assert 200 < drawn["192.0.2.2"] < 380


async def test_a_new_database_ends_the_answers_of_the_old_one(world: Path) -> None:
    async with testing.serving(geographic(world)) as dns:
        assert await asked(dns, "198.51.100.1") == {"192.0.2.1"}
        moved: dict[str, dict[str, object]] = {"198.51.100.0/24": {"location": {"latitude": -33.0, "longitude": 150.0}}}
        databases.write(world, moved)
        atlas = next(iter(dns.plugins[0].services.values())).atlas  # type: ignore[attr-defined]
        assert await atlas.database.refresh()
        assert await asked(dns, "198.51.100.1") == {"192.0.2.3"}
