"""What a name in a cluster's zone asks for, by the grammar of the Kubernetes DNS specification."""

from __future__ import annotations

import socket
from enum import Enum, auto
from typing import NamedTuple


class Part(Enum):
    """The kinds of names there are."""

    APEX = auto()
    """The zone itself."""
    BRANCH = auto()
    """A name that only has others below it: ``svc``, ``pod`` and ``dns``."""
    VERSION = auto()
    """``dns-version``, the specification's version."""
    SERVER = auto()
    """``ns.dns``, the name servers' addresses."""
    NAMESPACE = auto()
    """A namespace below ``svc``."""
    POD_NAMESPACE = auto()
    """A namespace below ``pod``."""
    POD = auto()
    """A pod by its address in dashes."""
    SERVICE = auto()
    """A service, or something of a service."""
    NOTHING = auto()
    """No name of the grammar."""


class Asked(NamedTuple):
    """A name taken apart; what it does not mention is empty."""

    part: Part
    namespace: str = ""
    service: str = ""
    endpoint: str = ""
    cluster: str = ""
    port: str = ""
    """A port's name; ANY for a bare underscore."""
    protocol: str = ""
    topology: str = ""
    """The topology zone of a ``_zone`` name."""
    pinned: bool = False
    """Whether only that topology zone will do."""
    pod: str = ""


NOTHING = Asked(Part.NOTHING)
_ZONAL = ("pin", "prefer")


def words_of(name: bytes, zone: bytes) -> tuple[str, ...]:
    """The labels of a name left of its zone."""
    # Labels of other octets than ASCII name nothing in Kubernetes, but must not collide with what does.
    text = name[: len(name) - len(zone)].decode("latin-1")
    words, at = [], 0
    while at < len(text):
        end = at + 1 + ord(text[at])
        words.append(text[at + 1 : end])
        at = end
    return tuple(words)


def word(name: bytes, at: int) -> str:
    """The label that starts there."""
    return name[at + 1 : at + 1 + name[at]].decode("latin-1")


def take_apart(words: tuple[str, ...], *, multicluster: bool = False, zonal: bool = False) -> Asked:
    """Read the labels left of the zone, in lower case."""
    if len(words) >= 3 and words[-1] == "svc":
        # Most questions by far; the rest of the grammar is shorter.
        if len(words) == 3:
            return Asked(Part.SERVICE, words[1], words[0])
        return _of_service(words, multicluster=multicluster, zonal=zonal)
    match words:
        case ():
            return Asked(Part.APEX)
        case ("svc",) | ("pod",) | ("dns",):
            return Asked(Part.BRANCH)
        case ("dns-version",):
            return Asked(Part.VERSION)
        case ("ns", "dns"):
            return Asked(Part.SERVER)
        case (namespace, "svc"):
            return Asked(Part.NAMESPACE, namespace)
        case (namespace, "pod"):
            return Asked(Part.POD_NAMESPACE, namespace)
        case (pod, namespace, "pod"):
            return Asked(Part.POD, namespace, pod=pod)
    return NOTHING


def _of_service(words: tuple[str, ...], *, multicluster: bool, zonal: bool) -> Asked:
    *left, service, namespace, _ = words
    match left:
        case [endpoint]:
            return Asked(Part.SERVICE, namespace, service, endpoint)
        case [how, "_zone"] if zonal and how in _ZONAL:
            return Asked(Part.SERVICE, namespace, service, "_zone")  # both names only have others below them
        case [endpoint, cluster] if multicluster and not (endpoint.startswith("_") or cluster.startswith("_")):
            return Asked(Part.SERVICE, namespace, service, endpoint, cluster)
        case [port, protocol]:
            return Asked(Part.SERVICE, namespace, service, port=bare(port), protocol=bare(protocol))
        case [*topology, how, "_zone"] if zonal and how in _ZONAL:
            return Asked(Part.SERVICE, namespace, service, topology=".".join(topology), pinned=how == "pin")
    return NOTHING


ANY = "*" * 64
"""What a bare underscore stands for; no label is so long, so nobody can ask for it otherwise."""


def bare(label: str) -> str:
    """A port's or protocol's name; the underscore is optional and alone takes any (as CoreDNS does)."""
    return label.removeprefix("_") or ANY


def pod_address(label: str) -> bytes | None:
    """The packed address that a pod's label spells in dashes: exactly three single ones for IPv4, else IPv6."""
    try:
        if label.count("-") == 3 and "--" not in label:
            return socket.inet_pton(socket.AF_INET, label.replace("-", "."))
        return socket.inet_pton(socket.AF_INET6, label.replace("-", ":"))
    except (OSError, ValueError):
        return None
