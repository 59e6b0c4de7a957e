"""Queries and replies as plugins see them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol, Self

from pydnsk8s import codes, names
from pydnsk8s.keep import NEVER, Keep

Types = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
Labels = dict[str, Callable[[], str]]
"""Metadata: a label such as ``kubernetes/namespace`` and what works its value out."""


class Record(NamedTuple):
    """One resource record; its data in wire form, names in it uncompressed."""

    name: bytes
    type: int
    ttl: int
    data: bytes
    klass: int = codes.IN


class Client(NamedTuple):
    """Who asks, by which transport, and at which of our addresses; addresses packed."""

    address: bytes
    port: int
    transport: str = "udp"
    local: bytes = b"\x7f\0\0\1"
    local_port: int = 53

    @property
    def family(self) -> int:
        """1 for IPv4, 2 for IPv6 (the IANA address family numbers)."""
        return 1 if len(self.address) == 4 else 2

    @property
    def text(self) -> str:
        """The client's address in text."""
        return socket.inet_ntop(socket.AF_INET if len(self.address) == 4 else socket.AF_INET6, self.address)


NOBODY = Client(b"\x7f\0\0\1", 0)


class Edns(NamedTuple):
    """The OPT pseudo-record of a query (RFC 6891 section 6.1)."""

    size: int = 1232
    do: bool = False
    version: int = 0
    options: tuple[tuple[int, bytes], ...] = ()


class Tally(Protocol):
    """A counter that is told how often a reply was served."""

    def add(self, servings: int) -> None:
        """Count so many servings."""


class Query:
    """One question and its circumstances; plugins derive others with :meth:`with_`, they never change one."""

    __slots__ = (
        "asker", "client", "depth", "edns", "flags", "id", "klass", "labels", "name", "packet", "plain",
        "question", "serial", "size", "type", "zone",
    )  # fmt: skip

    def __init__(
        self,
        name: bytes,
        type: int,
        klass: int = codes.IN,
        *,
        id: int = 0,
        flags: int = codes.RD,
        edns: Edns | None = None,
        client: Client = NOBODY,
        question: bytes | None = None,
        size: int = 0,
    ) -> None:
        self.name = name
        """The name asked for, in lower case."""
        self.type = type
        self.klass = klass
        self.id = id
        self.flags = flags
        """The second 16 bits of the header, opcode and RD, AD, CD among them."""
        self.edns = edns
        self.client = client
        self.question = question if question is not None else name
        """The name as the client spelled it; replies repeat it (draft-vixie-dnsext-dns0x20)."""
        self.size = size
        """Octets of the packet it came in; 0 for one asked in memory."""
        self.packet = b""
        """The packet it came in; empty for one asked in memory or changed since."""
        self.plain = True
        """Whether the packet held nothing but its question and an OPT without options, a client subnet apart.

        The gate keeps the replies to no others.
        """
        self.serial: int | None = None
        """That of an SOA record sent along: the version an IXFR client has (RFC 1995 section 3)."""
        self.zone = names.ROOT
        """The server block's zone that the name was found under."""
        self.labels: Labels = {}
        self.depth = 0
        """How many lookups led here; the server ends a chain that grows too long."""
        self.asker: Asker = _NOBODY
        """Who answers the lookups."""

    @property
    def opcode(self) -> int:
        return self.flags >> 11 & 15

    @property
    def do(self) -> bool:
        """Whether DNSSEC records are wanted (RFC 3225)."""
        return self.edns is not None and self.edns.do

    @property
    def rd(self) -> bool:
        return bool(self.flags & codes.RD)

    def with_(self, **changes: Any) -> Self:
        """A query like this one but for the given attributes; a new name is also the new spelling."""
        twin = object.__new__(type(self))
        # Written out: a loop over the attributes takes four times as long, and this is on the way of every miss.
        twin.name = self.name
        twin.type = self.type
        twin.klass = self.klass
        twin.id = self.id
        twin.flags = self.flags
        twin.edns = self.edns
        twin.client = self.client
        twin.question = changes.get("name", self.question)
        twin.size = self.size
        twin.packet = b"" if "name" in changes or "type" in changes or "edns" in changes else self.packet
        twin.plain = self.plain
        twin.serial = self.serial
        twin.zone = self.zone
        twin.labels = self.labels
        twin.depth = self.depth
        twin.asker = self.asker
        for attribute, value in changes.items():
            setattr(twin, attribute, value)
        return twin

    async def lookup(self, name: bytes, type: int) -> Reply:
        """Ask the same server another question, as a CNAME's target wants it: all its zones and plugins."""
        return await self.asker.ask(self.with_(name=name, type=type, depth=self.depth + 1))

    def lookup_at_once(self, name: bytes, type: int) -> Reply | None:
        """The same; None if that has to be waited for."""
        return self.asker.ask_at_once(self.with_(name=name, type=type, depth=self.depth + 1))

    async def follow(self, alias: Reply) -> Reply:
        """An alias, a reply of one CNAME record, and what the name it stands for has of the type asked for."""
        return _followed(alias, await self.lookup(alias.answer[0].data, self.type))

    def follow_at_once(self, alias: Reply) -> Reply | None:
        """The same; None if that has to be waited for."""
        reached = self.lookup_at_once(alias.answer[0].data, self.type)
        return reached and _followed(alias, reached)

    def __repr__(self) -> str:
        return f"<Query {names.text(self.name)} {codes.class_name(self.klass)} {codes.type_name(self.type)}>"


class Asker(Protocol):
    """A server, for questions that come up on the way to an answer."""

    async def ask(self, query: Query) -> Reply:
        """The reply; never raises."""

    def ask_at_once(self, query: Query) -> Reply | None:
        """The same; None if that has to be waited for."""


class _Nobody:
    """Whom a query asks that no server was asked."""

    async def ask(self, query: Query) -> Reply:
        return Reply(codes.REFUSED, authoritative=False, error=f"{query!r}: asked outside a server")

    def ask_at_once(self, query: Query) -> None:
        return None


_NOBODY: Final = _Nobody()


def _followed(alias: Reply, reached: Reply) -> Reply:
    """An alias, and what was found behind it."""
    # RFC 1034 section 4.3.2: what could not be found behind the alias does not take the alias away.
    chain = dict.fromkeys((*alias.answer, *(reached.answer if reached.rcode == codes.NOERROR else ())))
    return alias.with_(
        answer=tuple(chain),
        keep=alias.keep & reached.keep,
        truncated=reached.truncated,
        tallies=reached.tallies,
    )


class Reply:
    """An answer as a value: plugins make new ones with :meth:`with_`, they never change one."""

    __slots__ = (
        "additional", "answer", "authenticated", "authoritative", "authority", "error", "keep", "more",
        "options", "plugin", "rcode", "recursive", "tallies", "truncated",
    )  # fmt: skip

    def __init__(
        self,
        rcode: int = codes.NOERROR,
        answer: Sequence[Record] = (),
        authority: Sequence[Record] = (),
        additional: Sequence[Record] = (),
        *,
        keep: Keep = NEVER,
        authoritative: bool = True,
        recursive: bool = False,
        authenticated: bool = False,
        truncated: bool = False,
        options: tuple[tuple[int, bytes], ...] = (),
        plugin: str = "",
        error: str = "",
        tallies: tuple[Tally, ...] = (),
        more: Iterator[Reply] | None = None,
    ) -> None:
        self.rcode = rcode
        self.answer = tuple(answer)
        self.authority = tuple(authority)
        self.additional = tuple(additional)
        self.keep = keep
        """How long and for whom these bytes hold; NEVER unless the plugin says more."""
        self.authoritative = authoritative
        self.recursive = recursive
        """The RA bit: recursion is available here."""
        self.authenticated = authenticated
        """The AD bit, shown to clients that set DO or AD (RFC 6840 section 5.8)."""
        self.truncated = truncated
        self.options = options
        """EDNS options (code, data), sent only to clients that use EDNS."""
        self.plugin = plugin
        """The directive that answered."""
        self.error = error
        """What went wrong on the way, for ``errors`` to log; empty if nothing did."""
        self.tallies = tallies
        """Counters to raise each time this reply is served, from the gate too."""
        self.more = more
        """The messages that follow this one, as a zone transfer needs them; made while the client takes them, sent over
        streams only, never kept."""

    def with_(self, **changes: Any) -> Reply:
        """A reply like this one but for the given attributes."""
        twin = object.__new__(Reply)
        # Written out for speed, as in Query.with_.
        twin.rcode = self.rcode
        twin.answer = self.answer
        twin.authority = self.authority
        twin.additional = self.additional
        twin.keep = self.keep
        twin.authoritative = self.authoritative
        twin.recursive = self.recursive
        twin.authenticated = self.authenticated
        twin.truncated = self.truncated
        twin.options = self.options
        twin.plugin = self.plugin
        twin.error = self.error
        twin.tallies = self.tallies
        twin.more = self.more
        for attribute, value in changes.items():
            setattr(twin, attribute, value)
        return twin

    def under(self, keep: Keep) -> Reply:
        """The same reply, kept only as this allows too."""
        met = self.keep & keep
        return self if met is self.keep else self.with_(keep=met)

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of all three sections."""
        return self.answer + self.authority + self.additional

    @property
    def types(self) -> Types:
        """The types of the records in each section."""
        answer, authority, additional = (
            tuple([record.type for record in section]) for section in (self.answer, self.authority, self.additional)
        )
        return answer, authority, additional

    @property
    def ttls(self) -> list[int]:
        """The TTLs of all records."""
        return [record.ttl for record in self.records]

    @property
    def denied_for(self) -> int | None:
        """Seconds that a denial holds as the SOA in the authority says (RFC 2308 section 4); None without one."""
        soa = next((record for record in self.authority if record.type == codes.SOA), None)
        return None if soa is None else int.from_bytes(soa.data[-4:], "big")

    def reaches(self, name: bytes, type: int) -> bool:
        """Whether the answer leads from a name, along its aliases, to records of a type."""
        aliases = {record.name.lower(): record.data.lower() for record in self.answer if record.type == codes.CNAME}
        found = {record.name.lower() for record in self.answer if type in (record.type, codes.ANY)}
        owner: bytes | None = name
        for _ in range(len(aliases) + 1):
            if owner is None or owner in found:
                break
            owner = aliases.get(owner)
        return owner in found

    def __repr__(self) -> str:
        counts = f"{len(self.answer)}+{len(self.authority)}+{len(self.additional)}"
        return f"<Reply {codes.rcode_name(self.rcode)} {counts} {self.keep!r}>"


class Seen(NamedTuple):
    """One query that has been answered, for plugins that take note of every one."""

    query: Query
    reply: Reply
    size: int
    """Octets sent."""
    flags: int
    """The second 16 bits of the header sent."""
    seconds: float
    """From the packet's arrival to the reply's departure."""
