"""The names and addresses of one reading of a hosts file."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from itertools import islice

from pydnsk8s import names, rdata
from pydnsk8s.keep import Keep, Stamp

_ASTERISK = b"\1*"
_MOST_OWNERS = 1000  # names of one address; a block list has a hundred thousand of 0.0.0.0, which fit in no message


class Table:
    """One reading, never changed once it is in use, and the keep that its replies go out under."""

    def __init__(self) -> None:
        self.stamp = Stamp()
        self.keep = Keep.while_(self.stamp)
        self.entries = 0
        """Addresses of names and names of addresses, counted together (as CoreDNS does)."""
        self._addresses: dict[bytes, tuple[bytes, ...]] = {}
        self._owners: dict[bytes, list[bytes]] = {}
        self._above: set[bytes] = set()
        """The names above those with addresses: of a block list there are too many to look through."""

    def add(self, address: bytes, name: bytes, *, reverse: bool) -> None:
        """Enter one pair of packed address and name; with ``reverse``, for PTR as well."""
        known = self._addresses.get(name, ())
        if address in known:
            return  # RFC 2181 section 5: a record set holds no record twice
        self._addresses[name] = (*known, address)
        for above in islice(names.suffixes(name), 1, None):
            if above in self._above:
                break  # those above that are, too
            self._above.add(above)
        self.entries += 1
        if reverse and not name.startswith(_ASTERISK):
            owners = self._owners.setdefault(address, [])
            if len(owners) < _MOST_OWNERS:
                owners.append(name)
            self.entries += 1

    def reaches(self, zone: bytes) -> bool:
        """Whether some name in a zone has addresses, itself among them; that may have those of ``*`` above it."""
        return zone in self._above or bool(self.addresses(zone))

    def addresses(self, name: bytes) -> tuple[bytes, ...]:
        """The packed addresses of a name, both families, in the order of the file; none if it is unknown.

        Names that are not in the table themselves have those of ``*`` in place of their first label.
        """
        exact = self._addresses.get(name)
        if exact is not None or name == names.ROOT:
            return exact or ()
        return self._addresses.get(_ASTERISK + names.parent(name), ())

    def owners(self, reverse_name: bytes) -> tuple[bytes, ...]:
        """The names of the address that a reverse name stands for."""
        address = names.address(reverse_name)
        return () if address is None else tuple(self._owners.get(address, ()))


def packed(text: str) -> bytes:
    """The packed address that a hosts file means; ValueError if it is none.

    An IPv6 zone is left off, and an IPv4 address mapped into IPv6 is the IPv4 address.
    """
    return rdata.unmapped(ipaddress.ip_address(text.partition("%")[0]).packed)


def lines(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """Number, address and names of each line that says anything."""
    for number, line in enumerate(text.split("\n"), 1):
        match line.partition("#")[0].split():
            case [address, *hosts]:
                yield number, address, hosts
