"""Which of the healthy clusters answer: by distance and region, and by weight."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from pydnsk8s import subnet
from pydnsk8s.geo import Database
from pydnsk8s.keep import Keep
from pydnsk8s.message import Query

from .cluster import Cluster

_EARTH = 6371.0  # kilometres, its mean radius

Point: TypeAlias = tuple[float, float]
"""Latitude and longitude in degrees."""


class Offer(NamedTuple):
    """A cluster that can answer, and the addresses it would answer with."""

    cluster: Cluster
    addresses: tuple[bytes, ...]


def distance(one: Point, other: Point) -> float:
    """Kilometres between two places, along the surface."""
    latitude, longitude, there, round_there = map(math.radians, (*one, *other))
    rise = math.sin((there - latitude) / 2) ** 2
    run = math.cos(latitude) * math.cos(there) * math.sin((round_there - longitude) / 2) ** 2
    return 2 * _EARTH * math.asin(min(1.0, math.sqrt(rise + run)))


def nearest(offers: Sequence[Offer], place: Point, near: float) -> Sequence[Offer]:
    """The nearest one, and all that are at most so many kilometres farther; all if none says where it is."""
    placed = [(distance(place, offer.cluster.location), offer) for offer in offers if offer.cluster.location]
    if not placed:
        return offers
    least = min(far for far, _ in placed)
    return [offer for far, offer in placed if far <= least + near]


def draw(offers: Sequence[Offer]) -> Offer:
    """One of them, each as often as its weight says."""
    return random.choices(offers, [offer.cluster.weight for offer in offers])[0]


class Atlas:
    """A database of places, and what of it decides."""

    def __init__(self, database: Database, fields: Sequence[str] = ()) -> None:
        self.database = database
        self.fields = tuple(tuple(field.split(".")) for field in fields)
        """Paths to values that are compared with the clusters' regions, the first that finds one counts."""
        self.near = 100.0
        """Kilometres that make no difference."""
        self.believed: subnet.Networks | None = None
        """From whom a client subnet is taken for the client's address; None for nobody."""

    def around(self, offers: Sequence[Offer], query: Query) -> tuple[Sequence[Offer], Keep]:
        """Those for this client, and for whom else they are the same."""
        asker = subnet.asker(query, self.believed)
        record, bits = self.database.find(asker)
        keep = asker.keep(bits) & Keep.while_(self.database.stamp)
        for path in self.fields:
            region = str(_field(record, path)).casefold()
            if found := [offer for offer in offers if region in offer.cluster.regions]:
                offers = found
                break
        place = _place(record)
        return (offers if place is None else nearest(offers, place, self.near)), keep


def _field(record: object, path: tuple[str, ...]) -> object:
    for key in path:
        record = record.get(key) if isinstance(record, dict) else None
    return record if isinstance(record, str | int) else ""


def _place(record: object) -> Point | None:
    match record:
        case {"location": {"latitude": int() | float() as latitude, "longitude": int() | float() as longitude}}:
            return float(latitude), float(longitude)
    return None
