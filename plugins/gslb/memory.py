"""What is known of the targets, in a file, so that a new process need not find it out again."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from pydnsk8s import log

from .checks import address_text
from .cluster import Cluster
from .health import State

_MOST = 16 << 20  # octets; a service has a few hundred
_LOG = log.plugin("gslb")

_Written: TypeAlias = dict[str, dict[str, dict[str, str]]]
"""Service, tag, address, state."""


def save(path: Path, service: str, clusters: Iterable[Cluster]) -> None:
    """Write down what is known of a service; what the file says of others stays."""
    known = _read(path)
    known[service] = {
        cluster.tag: {address_text(address): str(state) for address, state in cluster.states()} for cluster in clusters
    }
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        fresh.replace(path)  # whoever reads it sees the whole old or the whole new one
    except OSError as error:
        _LOG.warning("cannot write %s: %s", path, error.strerror)


def load(path: Path, service: str) -> dict[str, dict[bytes, State]]:
    """What was known of a service: the states of the addresses of each cluster, by tag."""
    return {
        tag: {ipaddress.ip_address(text).packed: State(state) for text, state in states.items()}
        for tag, states in _read(path).get(service, {}).items()
    }


def _read(path: Path) -> _Written:
    try:
        with path.open("rb") as file:
            known = json.loads(file.read(_MOST))
        for states in (states for tags in known.values() for states in tags.values()):
            for address, state in states.items():
                ipaddress.ip_address(address)
                State(state)
    except FileNotFoundError:
        return {}
    except OSError as error:
        _LOG.warning("cannot read %s: %s", path, error.strerror)
        return {}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        _LOG.warning("%s does not hold states of targets and is not used: %s", path, error)
        return {}
    return dict(known)
