"""Databases in the MaxMind DB format, written for a test."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet

CAMBRIDGE: dict[str, object] = {
    "city": {"geoname_id": 2653941, "names": {"en": "Cambridge", "es": "Cambridge"}},
    "continent": {"code": "EU", "names": {"en": "Europe", "es": "Europa"}},
    "country": {"iso_code": "GB", "is_in_european_union": False, "names": {"en": "United Kingdom"}},
    "location": {"latitude": 52.2242, "longitude": 0.1315, "time_zone": "Europe/London"},
    "postal": {"code": "CB4"},
    "subdivisions": [{"iso_code": "ENG"}, {"iso_code": "CAM"}],
}


def write(path: Path, networks: Mapping[str, dict[str, object]], type: str = "GeoLite2-City", version: int = 6) -> Path:
    """Put a database in place of the file, if there is one, as the programs do that fetch new ones."""
    writer = MMDBWriter(version, type, ipv4_compatible=version == 6)
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    fresh = path.with_suffix(".new")
    writer.to_db_file(str(fresh))
    os.replace(fresh, path)
    return path


def countries(**networks: str) -> dict[str, dict[str, object]]:
    """Records of countries: the code first, and the network it is for."""
    return {network: {"country": {"iso_code": code}} for code, network in networks.items()}
