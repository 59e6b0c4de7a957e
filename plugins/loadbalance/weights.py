"""How likely each address of a name is to come first, as a weight file says."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from pathlib import Path

from pydnsk8s import names
from pydnsk8s.keep import Keep, Stamp
from pydnsk8s.message import Record

_LARGEST = 16 << 20  # octets of a weight file


class WeightError(ValueError):
    """What is wrong in a weight file, with its name and line."""


class Weights:
    """One reading of a weight file, and the keep of what it lets pass."""

    def __init__(self, names: dict[bytes, dict[bytes, int]]) -> None:
        self.names = names
        """The weights of each name's addresses, packed."""
        self.stamp = Stamp()
        self.keep = Keep.while_(self.stamp)

    def pick(self, addresses: Sequence[Record]) -> int:
        """The index of the address to come first; those that the file does not list weigh 1."""
        weights = [self.names.get(record.name.lower(), {}).get(record.data, 1) for record in addresses]
        return random.choices(range(len(addresses)), weights)[0]

    def knows(self, addresses: Sequence[Record]) -> bool:
        """Whether the file says anything about these names."""
        return any(record.name.lower() in self.names for record in addresses)


def load(path: Path) -> Weights:
    """Read a weight file; OSError if that fails, WeightError if it is not one."""
    with path.open("rb") as file:
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise WeightError(f"{path}: larger than {_LARGEST >> 20} MiB")
    return parse(text.decode("utf-8-sig", "replace"), str(path))


def parse(text: str, file: str) -> Weights:
    """The weights of a file's text: a line with a name, then one line for each of its addresses."""
    found: dict[bytes, dict[bytes, int]] = {}
    addresses: dict[bytes, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        try:
            match line.partition("#")[0].split():
                case []:
                    continue
                case [name] if not _is_address(name):
                    addresses = found.setdefault(names.parse(name), {})
                case [address, weight] if addresses is not None:
                    addresses[ipaddress.ip_address(address).packed] = _weight(weight)
                case [_, _]:
                    raise ValueError("an address before any name")
                case words:
                    raise ValueError(f"expected a name, or an address and its weight, found {' '.join(words)!r}")
        except ValueError as error:
            raise WeightError(f"{file}:{number}: {error}") from None
    return Weights(found)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _weight(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 255):
        raise ValueError(f"expected a weight from 1 to 255, found {text!r}")
    return int(text)
