"""Which fields of which kind of database become labels, and how their values read."""

from __future__ import annotations

import re
from decimal import Decimal

Path = tuple[str, ...]
"""The keys that lead to a field; in a list, a position, or all its elements if the key is no number."""

_PLACES: dict[str, Path] = {
    "city/name": ("city", "names", "en"),
    "country/code": ("country", "iso_code"),
    "country/name": ("country", "names", "en"),
    "country/is_in_european_union": ("country", "is_in_european_union"),
    "continent/code": ("continent", "code"),
    "continent/name": ("continent", "names", "en"),
    "latitude": ("location", "latitude"),
    "longitude": ("location", "longitude"),
    "timezone": ("location", "time_zone"),
    "postalcode": ("postal", "code"),
    "subdivisions/code": ("subdivisions", "iso_code"),
}
_OPERATORS: dict[str, Path] = {
    "asn/number": ("autonomous_system_number",),
    "asn/org": ("autonomous_system_organization",),
}


def known(type: str) -> dict[str, Path]:
    """The labels of a database that calls itself so, such as ``GeoLite2-City`` or ``DBIP-ASN-Lite``."""
    places = _PLACES if re.search("City|Country|Enterprise|Location", type) else {}
    return {**places, **(_OPERATORS if re.search("ASN|ISP", type) else {})}


def pick(record: object, path: Path) -> str:
    """The value a path leads to, in text; empty if there is none."""
    for position, key in enumerate(path):
        match record:
            case dict():
                record = record.get(key)
            case list() if key.isdecimal():
                record = record[int(key)] if int(key) < len(record) else None
            case list():
                return _joined(record, path[position:])
            case _:
                return ""
    return _joined(record, ()) if isinstance(record, list) else _text(record)


def _joined(values: list[object], path: Path) -> str:
    return ",".join(filter(None, (pick(value, path) for value in values)))


def _text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            # Neither an exponent nor a point behind a whole number, as Go writes them.
            return f"{Decimal(repr(value)).normalize():f}"
        case str() | int():
            return str(value)
        case _:
            return ""
