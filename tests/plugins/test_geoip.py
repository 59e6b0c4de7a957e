"""geoip: what labels say of a client, whose word is taken for where it is, and for whom that is remembered."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from pydnsk8s import codes, testing
from pydnsk8s.keep import Keep
from pydnsk8s.message import Client, Edns, Query
from pydnsk8s.plugins.geoip import GeoIP, Label
from tests import databases
from tests.test_subnet import option

from .blocks import errors, plugin, query

OPERATOR = {"autonomous_system_number": 64500, "autonomous_system_organization": "Example Networks"}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with databases of several kinds."""
    databases.write(tmp_path / "city.mmdb", {"192.0.2.0/25": databases.CAMBRIDGE}, "DBIP-City-Lite")
    databases.write(tmp_path / "asn.mmdb", {"192.0.2.0/24": OPERATOR, "2001:db8::/32": OPERATOR}, "GeoLite2-ASN")
    databases.write(
        tmp_path / "country.mmdb", databases.countries(FR="192.0.2.0/24", DE="198.51.100.0/24"), "GeoLite2-Country"
    )
    own = {"datacenter": "ams", "site": {"rack": 7, "tags": ["a", {"x": "b"}]}, "weight": 0.5}
    databases.write(tmp_path / "own.mmdb", {"192.0.2.0/26": own}, "Example-Sites")
    return tmp_path


def asking(client: str = "192.0.2.1", *options: tuple[int, bytes]) -> Query:
    address = socket.inet_pton(socket.AF_INET6 if ":" in client else socket.AF_INET, client)
    return query("example.org", client=Client(address, 1)).with_(edns=Edns(options=options) if options else None)


def values(geoip: GeoIP, asked: Query) -> dict[str, str]:
    return {label.removeprefix("geoip/"): value() for label, value in geoip.labels(asked).items()}


def keep(geoip: GeoIP, asked: Query, name: str) -> Keep:
    label = geoip.labels(asked)[f"geoip/{name}"]
    assert isinstance(label, Label)
    return label.keep


def test_a_city_database_tells_all_this(files: Path) -> None:
    geoip = plugin(GeoIP, f"geoip {files}/city.mmdb")
    assert values(geoip, asking()) == {
        "city/name": "Cambridge",
        "country/code": "GB",
        "country/name": "United Kingdom",
        "country/is_in_european_union": "false",
        "continent/code": "EU",
        "continent/name": "Europe",
        "latitude": "52.2242",
        "longitude": "0.1315",
        "timezone": "Europe/London",
        "postalcode": "CB4",
        "subdivisions/code": "ENG,CAM",
    }


def test_of_an_address_nobody_knows_the_labels_are_empty(files: Path) -> None:
    geoip = plugin(GeoIP, f"geoip {files}/city.mmdb\ngeoip {files}/asn.mmdb")
    unknown = values(geoip, asking("203.0.113.1"))
    assert {name: value for name, value in unknown.items() if value} == {
        "country/is_in_european_union": "false",
        "asn/number": "0",
    }
    assert unknown["latitude"] == ""


def test_several_databases_complete_each_other_and_the_first_that_knows_wins(files: Path) -> None:
    text = f"geoip {files}/city.mmdb\ngeoip {files}/asn.mmdb\ngeoip {files}/country.mmdb"
    geoip = plugin(GeoIP, text)
    here, there = values(geoip, asking("192.0.2.1")), values(geoip, asking("192.0.2.200"))
    assert (here["country/code"], here["asn/number"], here["asn/org"]) == ("GB", "64500", "Example Networks")
    assert (there["country/code"], there["city/name"], there["asn/number"]) == ("FR", "", "64500")
    assert values(geoip, asking("2001:db8::1"))["asn/org"] == "Example Networks"


def test_fields_of_ones_own_become_labels(files: Path) -> None:
    geoip = plugin(
        GeoIP,
        f"geoip {files}/own.mmdb {{\nlabel datacenter datacenter\nlabel site/rack site.rack\nlabel tag site.tags.0\n"
        "label tags site.tags.x\nlabel all site.tags\nlabel weight weight\nlabel none site.rack.deeper\n}",
    )
    assert values(geoip, asking()) == {
        "datacenter": "ams", "site/rack": "7", "tag": "a", "tags": "b", "all": "a", "weight": "0.5", "none": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("number", "text"), [(0.0, "0"), (52.0, "52"), (-0.5, "-0.5"), (0.00001, "0.00001"), (120.25, "120.25")]
)
def test_coordinates_have_no_exponent(tmp_path: Path, number: float, text: str) -> None:
    path = databases.write(tmp_path / "a.mmdb", {"192.0.2.0/24": {"location": {"latitude": number}}})
    assert values(plugin(GeoIP, f"geoip {path}"), asking())["latitude"] == text


SUBNET = option("192.0.2.0/24")


def test_a_client_subnet_counts_only_where_that_is_written_and_only_from_whom(files: Path) -> None:
    for more, client, country in (
        ("", "198.51.100.1", ""),
        ("edns-subnet", "198.51.100.1", "GB"),
        ("edns-subnet 198.51.100.0/24", "198.51.100.1", "GB"),
        ("edns-subnet 198.51.100.0/24 2001:db8::/32", "2001:db8::1", "GB"),
        ("edns-subnet 198.51.100.0/24", "198.51.101.1", ""),
        ("edns-subnet 2001:db8::/32", "198.51.100.1", ""),
    ):
        geoip = plugin(GeoIP, f"geoip {files}/city.mmdb {{\n{more}\n}}")
        assert values(geoip, asking(client, SUBNET))["country/code"] == country
        assert values(geoip, asking(client))["country/code"] == ""


def test_each_label_says_for_whom_it_holds(files: Path) -> None:
    geoip = plugin(GeoIP, f"geoip {files}/city.mmdb {{\nedns-subnet 198.51.100.0/24\n}}\ngeoip {files}/asn.mmdb")
    city, asn = (Keep.while_(source.database.stamp) for source in geoip.sources)
    assert keep(geoip, asking(), "country/code") == city & Keep(prefix4=25, prefix6=128)
    assert keep(geoip, asking(), "asn/number") == asn & Keep(prefix4=24, prefix6=128)
    told = asking("198.51.100.1", SUBNET)
    assert keep(geoip, told, "country/code") == city & Keep(scope=25, prefix4=24, prefix6=128)
    assert keep(geoip, asking("2001:db8::1"), "asn/number") == asn & Keep(prefix4=32, prefix6=32)


COREFILE = """
example.org {{
    metadata
    geoip {files}/country.mmdb {{
        edns-subnet
    }}
    view france {{
        expr metadata('geoip/country/code') == 'FR'
    }}
    hosts {{
        192.0.2.80 www.example.org
    }}
}}
example.org {{
    hosts {{
        192.0.2.81 www.example.org
    }}
}}
"""
FRANCE, ELSEWHERE = ["www.example.org. 3600 A 192.0.2.80"], ["www.example.org. 3600 A 192.0.2.81"]


async def test_the_nearest_block_answers_and_the_scope_says_how_near(files: Path) -> None:
    async with testing.serving(COREFILE.format(files=files)) as dns:
        for told, scope, answer in (
            ("192.0.2.0/24", 24, FRANCE),
            ("192.0.2.128/25", 24, FRANCE),
            ("192.0.0.0/16", 23, ELSEWHERE),
            ("198.51.100.0/24", 24, ELSEWHERE),
        ):
            edns = Edns(options=(option(told),))
            for replayed in (False, True):
                got = await dns.ask("www.example.org", edns=edns)
                assert (got.answer, got.replayed) == (answer, replayed)
                ((code, data),) = got.options
                assert (code, data[3]) == (codes.OPTION_SUBNET, scope)


async def test_clients_behind_resolvers_that_tell_nothing_are_known_by_the_resolver(files: Path) -> None:
    async with testing.serving(COREFILE.format(files=files)) as dns:
        assert (await dns.ask("www.example.org", client="192.0.2.1")).answer == FRANCE
        near = await dns.ask("www.example.org", client="192.0.2.254")
        assert (near.answer, near.replayed) == (FRANCE, True)
        assert (await dns.ask("www.example.org", client="198.51.100.1")).answer == ELSEWHERE
        hidden = await dns.ask("www.example.org", client="192.0.2.1", edns=Edns(options=(option("0.0.0.0/0"),)))
        assert (hidden.answer, hidden.options) == (FRANCE, (option("0.0.0.0/0"),))


async def test_a_new_database_moves_the_border_at_once(files: Path) -> None:
    async with testing.serving(COREFILE.format(files=files)) as dns:
        geoip = next(each for each in dns.plugins if isinstance(each, GeoIP))
        for _ in range(2):
            assert (await dns.ask("www.example.org", client="192.0.2.1")).answer == FRANCE
        databases.write(files / "country.mmdb", databases.countries(FR="198.51.100.0/25"), "GeoLite2-Country")
        assert await geoip.sources[0].database.refresh()
        assert (await dns.ask("www.example.org", client="192.0.2.1")).answer == ELSEWHERE
        assert (await dns.ask("www.example.org", client="198.51.100.1")).answer == FRANCE


async def test_the_log_can_name_the_country(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = f"example.org {{\nmetadata\ngeoip {files}/country.mmdb\nlog . {{/geoip/country/code}}\nwhoami\n}}"
    async with testing.serving(text) as dns:
        await dns.ask("example.org", client="192.0.2.1")
        await dns.ask("example.org", client="198.51.100.1")
        await asyncio.sleep(0)
    assert capsys.readouterr().out.splitlines() == ["[INFO] FR", "[INFO] DE"]


@pytest.mark.parametrize(
    ("directives", "wrong"),
    [
        ("geoip", "expected: geoip DBFILE"),
        ("geoip 1 2 3", "expected: geoip DBFILE"),
        ("geoip {\n}", "expected: geoip DBFILE"),
        ("geoip /nowhere.mmdb", "geoip: cannot read /nowhere.mmdb: no such file or directory"),
        ("geoip city.mmdb\ngeoip city.mmdb", "city.mmdb is in use in this block already"),
        ("geoip own.mmdb", "is a 'Example-Sites' database, whose fields have no names here"),
        ("geoip half.mmdb", "half.mmdb is not a MaxMind DB file, or not a whole one"),
        ("geoip city.mmdb {\nlanguages en\n}", "unknown option 'languages'"),
        ("geoip city.mmdb {\ncity\n}", "unknown option 'city'"),
        ("geoip city.mmdb {\nlabel a/b\n}", "expected: label NAME PATH"),
        ("geoip city.mmdb {\nlabel /a b\n}", "label: expected a name such as"),
        ("geoip city.mmdb {\nedns-subnet example.org\n}", "edns-subnet: expected an IP address or a prefix"),
        ("geoip city.mmdb {\nreload -1s\n}", "reload: expected at least 0s"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(files: Path, directives: str, wrong: str) -> None:
    (files / "half.mmdb").write_bytes((files / "city.mmdb").read_bytes()[:700])
    assert wrong in errors(f"root {files}\n{directives}")


async def test_a_file_shortened_in_place_harms_nobody(files: Path) -> None:
    async with testing.serving(COREFILE.format(files=files)) as dns:
        geoip = next(each for each in dns.plugins if isinstance(each, GeoIP))
        os.truncate(files / "country.mmdb", 100)
        assert not await geoip.sources[0].database.refresh()
        assert (await dns.ask("www.example.org", client="192.0.2.1")).answer == FRANCE
