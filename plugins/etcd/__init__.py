"""etcd - answers from skydns values in etcd, as ExternalDNS writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydnsk8s import codes, names
from pydnsk8s.corefile import Directive
from pydnsk8s.etcd.access import EtcdError
from pydnsk8s.etcd.tree import TooManyError, Tree
from pydnsk8s.keep import Keep
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugin import HAND_ON, WAIT, Plugin, Rest, ServerBlock, StartError, Turn
from pydnsk8s.plugins.etcd import records, strict, subtree
from pydnsk8s.plugins.etcd.options import Options, read
from pydnsk8s.plugins.etcd.reading import Outside, Reading
from pydnsk8s.plugins.etcd.surveys import survey
from pydnsk8s.survey import Survey

if TYPE_CHECKING:
    from pydnsk8s.etcd.mirror import Mirror

_START = 5.0  # seconds that the first list may hold up the start


class Etcd(Plugin):
    """Answers from a tree that a mirror keeps like etcd; every reply is kept until what it was read from changes."""

    name = "etcd"
    once = True

    def __init__(self, options: Options) -> None:
        self.options = options
        self.tree = Tree(options.zones, options.prefix, owned=options.strict)
        self._mirror: Mirror | None = None

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        return cls(read(directive, block))

    def inherit(self, old: Self) -> bool:
        """Go on with the tree and the watch there are."""
        # The words are the same, but the files they name may be others: `root` has a say in that.
        if old._mirror is None or old.options != self.options:
            return False
        self.tree, self._mirror = old.tree, old._mirror
        return True

    async def start(self) -> None:
        if self._mirror is not None:
            return
        try:
            # Imported where it is used: gRPC takes 40 ms and 16 MB.
            from pydnsk8s.etcd.mirror import Mirror

            self._check_files()
        except EtcdError as error:
            raise StartError(f"plugin/etcd: {error}") from error
        except ImportError as error:
            raise StartError(f"plugin/etcd: {error}; pip install 'pydnsk8s[etcd]'") from error
        self._mirror = Mirror(self.options.access, self.tree)
        await self._mirror.start(_START)

    async def stop(self) -> None:
        if self._mirror is not None:
            await self._mirror.stop()

    def ready(self) -> bool:
        return self.tree.synced

    def at_once(self, query: Query) -> Turn:
        outside: Outside = {}
        while (turn := self._find(query, outside)) is WAIT:
            for asked, reply in outside.items():
                outside[asked] = known = reply or query.lookup_at_once(*asked)
                if known is None:
                    return WAIT
        return turn

    def passes(self, zone: bytes) -> Keep | None:
        return HAND_ON if names.are_apart(zone, self.options.zones) else None

    def survey(self, query: Query) -> Survey | None:
        """What etcd has beside the name asked for."""
        return survey(self.tree, self.options, query)

    async def answer(self, query: Query, rest: Rest) -> Reply:
        outside: Outside = {}
        while (turn := self._find(query, outside)) is WAIT:
            for asked, reply in outside.items():
                outside[asked] = reply or await query.lookup(*asked)
        return turn if isinstance(turn, Reply) else (await rest(query)).under(turn)

    def _find(self, query: Query, outside: Outside) -> Turn:
        """The turn, as far as it is known what is outside; WAIT once there is more to ask there."""
        zone = names.closest(query.name, self.options.zones)
        if zone is None or query.klass != codes.IN:
            return HAND_ON
        if query.type in (codes.AXFR, codes.IXFR):
            # Whoever may have the whole zone is for `transfer` to say.
            return Reply(codes.REFUSED, authoritative=False, plugin=self.name)
        if not self.tree.synced:
            # Neither a false NXDOMAIN nor a name of ours sent to somebody else's server.
            soa, keep = records.soa(zone, self.tree.changed_at), Keep.while_(self.tree.unknown)
            return Reply(codes.SERVFAIL, authority=(soa,), keep=keep, plugin=self.name, error="etcd is not known yet")
        reading = Reading(self.tree, self.options, query, zone, outside)
        if query.type == codes.SOA and query.name == zone:
            soa = records.soa(zone, reading.serial())
            return Reply(answer=(soa,), keep=reading.keep, plugin=self.name)
        try:
            found = (strict if self.options.strict else subtree).answer(reading)
        except TooManyError as error:
            return Reply(codes.SERVFAIL, authoritative=False, keep=reading.keep, plugin=self.name, error=str(error))
        if reading.waits:
            return WAIT
        if found is None and self.options.fall.through(query.name):
            return reading.keep
        if found is None or not found.records:
            return self._deny(reading, codes.NXDOMAIN if found is None and query.name != zone else codes.NOERROR)
        return Reply(
            found.rcode,
            found.records,
            found.authority,
            found.additional,
            keep=reading.keep,
            plugin=self.name,
            truncated=reading.truncated,
            tallies=reading.tallies,
        )

    def _deny(self, reading: Reading, rcode: int) -> Reply:
        # RFC 2308 section 2: with the SOA, whose serial tells nobody here anything and may lag.
        soa = records.soa(reading.zone, self.tree.changed_at)
        return Reply(rcode, authority=(soa,), keep=reading.keep, plugin=self.name, tallies=reading.tallies)

    def _check_files(self) -> None:
        if any(map(self.options.access.encrypted, self.options.access.endpoints)):
            self.options.access.certificates()
