"""k8s_crd: clients are given the addresses that are where they are, and nobody those of another."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydnsk8s import names, subnet
from pydnsk8s.message import Client, Edns, Query, Reply
from pydnsk8s.plugin import StartError
from pydnsk8s.plugins.k8s_crd import K8sCrd
from pydnsk8s.subnet import Subnet
from tests import databases
from tests.plugins.blocks import elsewhere

from .endpoints import APP, ZONE, endpoint, entry, serving, serving_of

SITES: dict[str, dict[str, object]] = {
    "192.0.2.0/24": {"datacenter": "one", "country": {"iso_code": "GB"}, "continent": {"code": "EU"}},
    "198.51.100.0/25": {"datacenter": "two", "country": {"iso_code": "DE"}, "continent": {"code": "EU"}},
    "198.51.100.128/25": {"country": {"iso_code": "DE"}, "continent": {"code": "EU"}},
    "203.0.113.0/24": {"datacenter": 3, "country": {"iso_code": "US"}, "continent": {"code": "NA"}},
    "2001:db8:1::/48": {"datacenter": "one", "continent": {"code": "EU"}},
    "2001:db8:2::/48": {"datacenter": "two", "continent": {"code": "EU"}},
}
ONE, TWO, THREE = ("192.0.2.1", "192.0.2.2"), ("198.51.100.1",), ("203.0.113.1",)
V6 = ("2001:db8:1::1", "2001:db8:2::1")
GEO = endpoint(entry(APP, *ONE, *TWO, *THREE, *V6, strategy="geoip"))
BY_COUNTRY = "geodatafields country.iso_code continent.code"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return databases.write(tmp_path_factory.mktemp("geo") / "geo.mmdb", SITES, "Sites")


def asking(client: str, told: str = "", type: int = 1) -> Query:
    """A question from an address, with a client subnet such as ``192.0.2.0/24``."""
    edns = Edns(options=((8, option(told)),)) if told else None
    return Query(names.parse(APP), type, edns=edns, client=Client(packed(client), 4711))


def option(told: str) -> bytes:
    network, _, bits = told.partition("/")
    return Subnet(2 if ":" in network else 1, int(bits), packed(network)).data()


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def shown(reply: Reply) -> tuple[str, ...]:
    return tuple(
        socket.inet_ntop(socket.AF_INET if len(r.data) == 4 else socket.AF_INET6, r.data) for r in reply.answer
    )


async def started(database: Path, options: str = "") -> K8sCrd:
    """The plugin with its database at hand, its file followed by nobody."""
    found, _ = serving_of(GEO, options=f"geodatafilepath {database}\n{options}")
    await found.balance.places.look()
    return found


def alive(reply: Reply) -> bool:
    return reply.keep.alive


async def given_to(query: Query, database: Path, options: str = "") -> tuple[str, ...]:
    found = await started(database, options)
    try:
        return shown(await found.answer(query, elsewhere))
    finally:
        await found.balance.places.stop()


@pytest.mark.parametrize(
    ("client", "options", "addresses"),
    [
        ("192.0.2.99", "", ONE),
        ("198.51.100.99", "", TWO),
        ("203.0.113.99", "", THREE),
        ("198.51.100.200", "", ONE + TWO + THREE),
        ("10.0.0.1", "", ONE + TWO + THREE),
        ("2001:db8:1::99", "", ONE),
        ("198.51.100.200", BY_COUNTRY, TWO),
        ("2001:db8:2::99", BY_COUNTRY, ONE + TWO),
        ("203.0.113.99", "geodatafield continent.code", THREE),
        ("192.0.2.99", "geodatafield no.such.field", ONE + TWO + THREE),
        ("192.0.2.99", "geodatafield continent", ONE + TWO + THREE),
        ("192.0.2.99", "geodatafield continent.code.x", ONE + TWO + THREE),
    ],
)
async def test_a_client_is_given_what_is_in_its_place_by_the_first_field_that_fits(
    client: str, options: str, addresses: tuple[str, ...], database: Path
) -> None:
    assert await given_to(asking(client), database, options) == addresses


async def test_both_families_are_placed(database: Path) -> None:
    assert await given_to(asking("2001:db8:2::99", type=28), database) == V6[1:]
    assert await given_to(asking("192.0.2.99", type=28), database) == V6[:1]
    assert await given_to(asking("203.0.113.9", type=28), database) == V6


@pytest.mark.parametrize(
    ("options", "addresses"),
    [
        ("", TWO),
        ("edns-subnet", TWO),
        ("edns-subnet none", ONE),
        ("edns-subnet 192.0.2.0/28 2001:db8::/32", TWO),
        ("edns-subnet 198.51.100.0/24", ONE),
    ],
)
async def test_the_client_is_who_the_subnet_names_if_the_sender_is_believed(
    options: str, addresses: tuple[str, ...], database: Path
) -> None:
    assert await given_to(asking("192.0.2.9", "198.51.100.0/25"), database, options) == addresses
    assert await given_to(asking("192.0.2.9", "0.0.0.0/0"), database, options) == ONE, "who tells nothing is the sender"


async def test_the_subnet_comes_back_with_the_scope_that_decided(database: Path) -> None:
    async with serving(GEO, options=f"geodatafilepath {database}") as dns:
        for told, scope, addresses in (
            ("192.0.2.7/32", 24, ONE),
            ("198.51.100.3/32", 25, TWO),
            ("198.51.100.0/24", 25, TWO),
            ("2001:db8:1::/56", 48, ONE),
        ):
            edns = Edns(options=((8, option(told)),))
            for replayed in (False, True):
                answer = await dns.ask(APP, edns=edns)
                assert {line.rpartition(" ")[2] for line in answer.answer} == set(addresses)
                assert (subnet.read(answer.options[0][1]).scope, answer.replayed) == (scope, replayed)


@pytest.mark.parametrize(
    ("family", "version", "told"), [(4, 4, "2001:db8:1::/56"), (6, 6, "192.0.2.0/24"), (4, 6, "2001:db8:1::/56")]
)
async def test_who_a_database_of_the_other_family_cannot_place_has_an_answer_that_is_not_for_everybody(
    family: int, version: int, told: str, tmp_path: Path
) -> None:
    sites = {network: place for network, place in SITES.items() if (":" in network) is (family == 6)}
    file = databases.write(tmp_path / "geo.mmdb", sites, "Sites", version)
    async with serving(GEO, options=f"geodatafilepath {file}") as dns:
        answer = await dns.ask(APP, edns=Edns(options=((8, option(told)),)))
        assert len(answer.answer) == len(ONE + TWO + THREE)
        assert subnet.read(answer.options[0][1]).scope > 0, "a resolver would give it to those of all networks"


async def test_what_does_not_depend_on_the_client_has_no_scope(database: Path) -> None:
    plain = endpoint(entry(APP, *ONE, *TWO))
    async with serving(plain, options=f"geodatafilepath {database}") as dns:
        answer = await dns.ask(APP, edns=Edns(options=((8, option("192.0.2.7/32")),)))
        assert subnet.read(answer.options[0][1]).scope == 0


async def test_the_gate_gives_nobody_the_answer_of_another_place(database: Path) -> None:
    clients = ["192.0.2.9", "198.51.100.9", "10.0.0.9", "198.51.100.209", "203.0.113.9", "192.0.2.10", "10.0.0.10"]
    async with serving(GEO, options=f"geodatafilepath {database}", more="cache 3600") as dns:
        for replayed in (False, True):
            for client in clients:
                answer = await dns.ask(APP, client=client)
                shown = {line.rpartition(" ")[2] for line in answer.answer}
                assert shown == set(await given_to(asking(client), database))
                assert answer.replayed or not replayed


octets = st.sampled_from(["192.0.2", "198.51.100", "203.0.113", "10.0.0"])
clients = st.builds("{}.{}".format, octets, st.integers(0, 255)) | st.sampled_from(["2001:db8:1::9", "2001:db8:9::9"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clients, clients, st.sampled_from(["", BY_COUNTRY]), st.booleans())
async def test_a_kept_answer_is_right_for_everybody_it_is_kept_for(
    database: Path, one: str, other: str, options: str, named: bool
) -> None:
    def question(client: str) -> Query:
        told = f"{client}/{len(packed(client)) * 8}" if named else ""
        return asking("192.0.2.77" if named else client, told)

    found = await started(database, options)
    try:
        reply = await found.answer(question(one), elsewhere)
        keep, width = reply.keep, len(packed(one))
        bits = keep.scope if named else keep.prefix4 if width == 4 else keep.prefix6
        same = width == len(packed(other)) and subnet.leading(packed(one), bits) == subnet.leading(packed(other), bits)
        if same:
            assert shown(await found.answer(question(other), elsewhere)) == shown(reply)
    finally:
        await found.balance.places.stop()


async def test_places_come_before_weights_and_draining_before_places(database: Path) -> None:
    labels = {"weight-one-0-9": ONE[0], "weight-a-0-1": ONE[1], "weight-two-0-0": TWO[0], "weight-three-0-5": THREE[0]}
    held = endpoint(entry(APP, *labels.values(), strategy="geoip", weights=labels))
    found, _ = serving_of(held, options=f"geodatafilepath {database}\nloadbalance weight")
    await found.balance.places.look()
    near = [shown(await found.answer(asking("192.0.2.9"), elsewhere)) for _ in range(100)]
    assert {frozenset(each) for each in near} == {frozenset(ONE)}
    assert len(set(near)) == 2
    assert set(shown(await found.answer(asking("198.51.100.9"), elsewhere))) == {*ONE, *THREE}, "two is drained"
    reply = await found.answer(asking("10.0.0.1", "192.0.2.0/28"), elsewhere)
    assert (reply.keep.alive, reply.keep.scope) == (False, 24)
    await found.balance.places.stop()


async def test_a_database_that_changes_ends_what_was_chosen_by_it(tmp_path: Path) -> None:
    file = databases.write(tmp_path / "geo.mmdb", SITES, "Sites")
    found = await started(file)
    before = await found.answer(asking("192.0.2.9"), elsewhere)
    database = found.balance.places._database
    assert database is not None
    file.write_bytes(b"no database")
    assert not await database.refresh()
    assert alive(before)
    assert shown(await found.answer(asking("192.0.2.9"), elsewhere)) == ONE
    databases.write(file, {"192.0.2.9/32": {"datacenter": "two"}, "198.51.100.1/32": {"datacenter": "two"}}, "Sites")
    assert await database.refresh()
    assert not alive(before)
    assert shown(await found.answer(asking("192.0.2.9"), elsewhere)) == TWO
    await found.balance.places.stop()


async def test_without_a_database_everybody_is_given_everything_until_there_is_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "geo.mmdb"
    found = await started(file)
    with caplog.at_level(logging.WARNING, "pydnsk8s"):
        for _ in range(2):
            before = await found.answer(asking("192.0.2.9"), elsewhere)
    assert caplog.text.count(f"there is no {file}") == 1
    assert (shown(before), before.keep.alive, before.keep.prefix4) == (ONE + TWO + THREE, True, 0)
    file.write_bytes(b"no database")
    await found.balance.places.look()
    assert alive(before)
    databases.write(file, SITES, "Sites")
    await found.balance.places.look()
    assert not alive(before)
    assert shown(await found.answer(asking("192.0.2.9"), elsewhere)) == ONE
    await found.balance.places.stop()


@pytest.mark.parametrize("content", [b"", b"no database", None])
async def test_a_database_that_cannot_be_used_is_an_error_at_the_start(
    content: bytes | None, tmp_path: Path, database: Path
) -> None:
    broken = tmp_path / "broken.mmdb"
    whole = database.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(StartError, match=r"plugin/k8s_crd: .*broken.mmdb"):
        async with serving(GEO, options=f"geodatafilepath {broken}"):
            pass


async def test_a_name_beside_it_needs_no_database() -> None:
    async with serving(endpoint(entry(f"x.{ZONE}", "192.0.2.1", "192.0.2.2")), options="geodatafilepath none") as dns:
        assert len((await dns.ask(f"x.{ZONE}")).answer) == 2
