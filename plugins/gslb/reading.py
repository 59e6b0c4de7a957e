"""Reads one ``gslb`` directive."""

from __future__ import annotations

import dataclasses
import importlib.util
import re

from pydnsk8s import log, names, subnet
from pydnsk8s.corefile import Directive, Option
from pydnsk8s.geo import Database, UnreadableError
from pydnsk8s.plugin import ServerBlock
from pydnsk8s.upstream import Address

from . import words
from .checks import Dns, Http, Tcp, context
from .choice import Atlas
from .cluster import Cluster
from .origins import MOST, Named, Peer, local_name
from .service import Service

STRATEGIES = ("round_robin", "failover", "weighted", "geoip", "combined")
_GEOGRAPHIC = ("geoip", "combined")
_MOST_CLUSTERS = 64
_LONGEST = 255 - len("hostmaster") - 1  # octets of a name (RFC 1035 section 2.3.4)
_USAGE = {
    "strategy": "strategy round_robin|failover|weighted|geoip|combined",
    "ttl": "ttl SECONDS",
    "cluster": "cluster TAG ADDRESS... or cluster TAG name HOST or cluster TAG peer SERVER..., and properties",
    "resolver": "resolver IP[:PORT]...",
    "local": "local TAG",
    "check": "check tcp PORT or check http|https PATH or check dns NAME TYPE",
    "interval": "interval DURATION [jitter PERCENT]",
    "timeout": "timeout DURATION",
    "rise": "rise NUMBER",
    "fall": "fall NUMBER",
    "retain": "retain DURATION",
    "fallback": "fallback all|none",
    "geodb": "geodb FILE [FIELD...]",
    "near": "near KILOMETRES",
    "edns-subnet": "edns-subnet [PREFIX...]",
    "state": "state FILE",
    "nameserver": "nameserver NAME [ADDRESS...]",
}
_PROPERTIES = "weight NUMBER, primary, location LATITUDE LONGITUDE, region VALUE[,VALUE...]"
_WEB_PORTS = {"http": 80, "https": 443}
_LOG = log.plugin("gslb")


class Reading:
    """One directive while its options are read."""

    def __init__(self, directive: Directive, block: ServerBlock) -> None:
        match directive.args:
            case [name]:
                self.service = Service(directive.domain(name))
            case _:
                raise directive.arguments("gslb NAME")
        self.directive = directive
        self.block = block
        self.servers: dict[bytes, list[bytes]] = {}
        """The name servers that make the name a zone of its own, with their addresses."""
        self._resolvers: list[Address] = []
        self._near: float | None = None
        self._believed: subnet.Networks | None = None
        for option in directive.options:
            self._read(option)
        self._finish()

    def _read(self, option: Option) -> None:
        service = self.service
        match option.words:
            case ["strategy", strategy]:
                service.strategy = option.switch(strategy, *STRATEGIES)
            case ["ttl", seconds]:
                service.ttl = option.number(seconds, 0, 0x7FFFFFFF)
            case ["cluster", tag, *facts] if facts:
                self._read_cluster(option, tag, facts)
            case ["resolver", _, *_]:
                self._resolvers += [words.server(option, text) for text in option.args]
            case ["local", tag]:
                service.own = self._find(option, tag)
            case ["check", "tcp", port]:
                service.checks += (Tcp(option.number(port, 1, 65535)),)
            case ["check", ("http" | "https") as kind, path, *conditions]:
                service.checks += (self._read_http(option, kind, path, conditions),)
            case ["check", "dns", name, type]:
                service.checks += (Dns(option.domain(name), words.type(option, type)),)
            case ["check", "dns", name, type, "port", port]:
                service.checks += (Dns(option.domain(name), words.type(option, type), option.number(port, 1, 65535)),)
            case ["geodb", file, *fields]:
                service.atlas = self._open(option, file, fields)
            case ["near", kilometres]:
                self._near = option.decimal(kilometres, 0, 20_100)
            case ["edns-subnet", *prefixes]:
                networks = [words.network(option, text) for text in prefixes]
                self._believed = subnet.Networks(networks) if networks else subnet.EVERYBODY
            case ["fallback", resort]:
                service.last_resort = option.switch(resort, "all", "none") == "all"
            case ["state", file]:
                service.file = self.block.path(file)
            case ["nameserver", name, *addresses]:
                self.servers.setdefault(option.domain(name), []).extend(map(option.address, addresses))
            case _:
                self._read_terms(option)

    def _read_terms(self, option: Option) -> None:
        terms = self.service.terms
        match option.words:
            case ["interval", duration]:
                terms = dataclasses.replace(terms, interval=option.duration(duration, low=0.1, high=86400))
            case ["interval", duration, "jitter", percent]:
                jitter = option.number(percent.removesuffix("%"), 0, 90) / 100
                interval = option.duration(duration, low=0.1, high=86400)
                terms = dataclasses.replace(terms, interval=interval, jitter=jitter)
            case ["timeout", duration]:
                terms = dataclasses.replace(terms, timeout=option.duration(duration, low=0.01, high=60))
            case ["rise", number]:
                terms = dataclasses.replace(terms, rise=option.number(number, 1, 100))
            case ["fall", number]:
                terms = dataclasses.replace(terms, fall=option.number(number, 1, 100))
            case ["retain", duration]:
                terms = dataclasses.replace(terms, retain=option.duration(duration, low=0))
            case _:
                raise option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)
        self.service.terms = terms

    def _read_cluster(self, option: Option, tag: str, facts: list[str]) -> None:
        clusters = self.service.clusters
        if any(cluster.tag == tag for cluster in clusters):
            raise option.error(f"cluster: there is a cluster {tag!r} already", tag)
        if len(clusters) == _MOST_CLUSTERS:
            raise option.error(f"cluster: a name has at most {_MOST_CLUSTERS} clusters")
        cluster = Cluster(tag, regions=frozenset((tag.casefold(),)))
        match facts:
            case ["name", host, *properties]:
                cluster.origin = Named(words.host(option, host))
            case ["peer", *properties]:
                servers, properties = words.leading_addresses(properties)
                if not servers:
                    raise option.error("cluster: expected the IP address of a DNS server behind peer", "peer")
                name = self.service.name
                if properties[:1] == ["host"] and len(properties) > 1:
                    name, properties = option.domain(properties[1]), properties[2:]
                cluster.origin = Peer(tuple(words.server(option, text) for text in servers), words.told(option, name))
            case _:
                written, properties = words.leading_addresses(facts)
                cluster.addresses = tuple(dict.fromkeys(map(option.address, written or facts[:1])))
                if len(cluster.addresses) > MOST:
                    raise option.error(f"cluster: at most {MOST} addresses, found {len(cluster.addresses)}")
        _describe(cluster, option, properties)
        clusters.append(cluster)

    def _read_http(self, option: Option, kind: str, path: str, conditions: list[str]) -> Http:
        if not re.fullmatch(r"/[!-~]*", path):
            raise option.error(f"check: expected a path such as /healthz, found {path!r}", path)
        check = Http(kind, path, _WEB_PORTS[kind], names.text(self.service.name).rstrip("."))
        while conditions:
            match conditions:
                case ["port", port, *conditions]:
                    check = dataclasses.replace(check, port=option.number(port, 1, 65535))
                case ["host", host, *conditions]:
                    check = dataclasses.replace(check, host=words.host(option, host))
                case ["status", span, *conditions]:
                    least, most = words.span(option, span)
                    check = dataclasses.replace(check, least=least, most=most)
                case ["body", pattern, *conditions]:
                    check = dataclasses.replace(check, body=words.pattern(option, pattern))
                case ["insecure", *conditions] if kind == "https":
                    check = dataclasses.replace(check, proven=False)
                case ["ca", file, *conditions] if kind == "https":
                    check = dataclasses.replace(check, authorities=self._read_authorities(option, file))
                case [word, *_]:
                    valid = "port PORT, host NAME, status LOW[-HIGH], body REGEX"
                    valid += ", insecure, ca FILE" * (kind == "https")
                    raise option.error(f"check: expected {valid}; found {word!r}", word)
        words.host(option, check.host)
        return check

    def _read_authorities(self, option: Option, file: str) -> str:
        try:
            text = self.block.path(file).read_text("ascii")
            context(proven=True, authorities=text)
        except OSError as error:  # an ssl.SSLError is one, too
            raise option.error(f"check: cannot use {file}: {error.strerror or error}", file) from None
        except ValueError:
            raise option.error(f"check: {file} does not hold certificates in PEM form", file) from None
        return text

    def _open(self, option: Option, file: str, fields: list[str]) -> Atlas:
        if importlib.util.find_spec("maxminddb") is None:
            raise option.error("geodb needs the library maxminddb", hint="pip install 'pydnsk8s[geoip]'")
        try:
            return Atlas(Database(self.block.path(file), _LOG), fields)
        except UnreadableError as error:
            raise option.error(f"geodb: {error}", file) from None

    def _find(self, option: Option, tag: str) -> Cluster:
        for cluster in self.service.clusters:
            if cluster.tag == tag:
                if isinstance(cluster.origin, Peer):
                    raise option.error(f"local: {tag} is a peer, which tells its addresses itself", tag)
                return cluster
        raise option.error(f"local: there is no cluster {tag!r} above", tag)

    def _finish(self) -> None:
        """Look at what the options say together."""
        service, directive = self.service, self.directive
        if not service.clusters and not self.servers:
            raise directive.error("gslb: expected at least one cluster, or a nameserver for a zone without any")
        if service.terms.timeout > service.terms.interval:
            raise directive.error("gslb: the timeout of a check must not be longer than the interval")
        if service.clusters and not any(cluster.weight for cluster in service.clusters):
            raise directive.error("gslb: every cluster is drained, so none could answer", hint="weight 0 drains")
        for cluster in service.clusters:
            if isinstance(cluster.origin, Named):
                cluster.origin = dataclasses.replace(cluster.origin, resolvers=tuple(self._resolvers))
        self._finish_strategy()
        self._finish_names()

    def _finish_strategy(self) -> None:
        service, directive = self.service, self.directive
        if sum(cluster.primary for cluster in service.clusters) > 1:
            raise directive.error("gslb: only one cluster can be the primary")
        if service.strategy == "failover":
            service.clusters.sort(key=lambda cluster: not cluster.primary)
        if service.strategy not in _GEOGRAPHIC:
            if service.atlas is not None:
                self._warn(f"geodb has no effect with the strategy {service.strategy}")
                service.atlas = None
            for name, given in (("near", self._near), ("edns-subnet", self._believed)):
                if given is not None:
                    self._warn(f"{name} has no effect with the strategy {service.strategy}")
            return
        if service.atlas is None:
            raise directive.error(f"gslb: the strategy {service.strategy} needs a geodb")
        lost = [cluster.tag for cluster in service.clusters if cluster.location is None]
        if lost and not service.atlas.fields:
            raise directive.error(f"gslb: where is {', '.join(lost)}? Give a location, or fields to geodb")
        service.atlas.believed = self._believed
        if self._near is not None:
            service.atlas.near = self._near

    def _finish_names(self) -> None:
        service, directive = self.service, self.directive
        served = [service.name]
        if service.own is not None:
            served.append(local_name(words.told(directive, service.name)))
        for name in served:
            if names.closest(name, self.block.zones) is None:
                raise directive.error(f"gslb: {names.text(name)} is in none of the zones served here")
            if len(name) > _LONGEST:
                raise directive.error(f"gslb: {names.text(name)} is too long for a zone's mailbox below it")
        for server, addresses in self.servers.items():
            if names.is_under(server, service.name) and not addresses:
                text = names.text(server)
                raise directive.error(f"gslb: the name server {text} is inside of the zone and needs an address")

    def _warn(self, message: str) -> None:
        self.block.warnings.append(self.directive.tokens[0].problem(f"gslb: {message}", severity="warning"))


def _describe(cluster: Cluster, option: Option, facts: list[str]) -> None:
    """Take in the properties behind where the cluster is."""
    while facts:
        match facts:
            case ["weight", number, *facts]:
                cluster.weight = option.number(number, 0, 65535)
            case ["primary", *facts]:
                cluster.primary = True
            case ["location", latitude, longitude, *facts]:
                cluster.location = option.decimal(latitude, -90, 90), option.decimal(longitude, -180, 180)
            case ["region", values, *facts]:
                cluster.regions = frozenset(values.casefold().split(","))
                if "" in cluster.regions:
                    raise option.error(f"cluster: region: expected VALUE[,VALUE...], found {values!r}", values)
            case [word, *_]:
                raise option.error(f"cluster: expected {_PROPERTIES}; found {word!r}", word)
