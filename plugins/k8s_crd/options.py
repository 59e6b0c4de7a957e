"""The options of ``k8s_crd``, read from its directive."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path

from pydnsk8s import names, subnet
from pydnsk8s.corefile import CorefileError, Directive, Option, Problem
from pydnsk8s.kube.selector import Selector
from pydnsk8s.plugin import NOWHERE, Fall, ServerBlock

Field = tuple[str, ...]
"""The keys that lead to a field of a database."""

_EVERYBODY = (subnet.network("0.0.0.0/0"), subnet.network("::/0"))
_GEO = ("geodatafilepath", "geodatafield", "geodatafields")


@dataclass(slots=True)
class Options:
    """What the directive asks for."""

    zones: tuple[bytes, ...]
    filters: tuple[str, ...] = ()
    """Label selectors; what any of them picks is served, and everything if there is none."""
    endpoint: str = ""
    manifests: tuple[Path, ...] = ()
    local: bool = False
    """Whether the cluster is that of the kubeconfig file, not the one this pod is in."""
    startup_timeout: float = 5.0
    apex: bytes = b"dns"
    """The label below which the zones' name server has its name."""
    outside: bytes = names.parse("external-dns.kube-system")
    """The entry of a DNSEndpoint whose targets are the addresses of that name server, as k8gb has it."""
    ttl: int = 60
    negative_ttl: int = 3600
    """Also the TTL of the SOA and NS records that are made here."""
    weighted: bool = False
    """Whether weights are heeded."""
    database: Path = Path("/geoip.mmdb")
    field: Field = ("datacenter",)
    fields: tuple[Field, ...] = ()
    """Take the place of the one field, in the order of their importance."""
    believed: tuple[subnet.Network, ...] | None = _EVERYBODY
    """From whom a client subnet is taken for the client's address; None for nobody."""
    fall: Fall = NOWHERE

    def server(self, zone: bytes) -> bytes:
        """The name of a zone's name server."""
        return names.join(b"ns1", self.apex, to=zone)

    def mailbox(self, zone: bytes) -> bytes:
        """The mailbox of who is responsible for a zone (RFC 1035 section 3.3.13)."""
        return names.join(b"hostmaster", self.apex, to=zone)


def read(directive: Directive, block: ServerBlock) -> Options:
    """Read the directive; CorefileError tells what it should not say."""
    options = Options(zones=directive.zones(directive.args) or block.zones)
    seen: dict[str, Option] = {}
    for option in directive.options:
        seen[option.name] = option
        if not (
            _read_source(option, options, block)
            or _read_answers(option, options, block)
            or _read_choice(option, options, block)
        ):
            raise option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)
    if options.manifests and (options.endpoint or options.local):
        raise seen["manifests"].error("manifests takes the place of a cluster: give only one of them")
    if options.endpoint and options.local:
        raise seen["endpoint"].error("endpoint and kubecontroller local exclude each other")
    if "geodatafields" in seen and "geodatafield" in seen:
        block.warnings.append(_warning(seen["geodatafield"], "has no effect beside geodatafields"))
    if any(name in seen for name in _GEO) and importlib.util.find_spec("maxminddb") is None:
        option = next(seen[name] for name in _GEO if name in seen)
        raise option.error(f"{option.name} needs the library maxminddb", hint="pip install 'pydnsk8s[geoip]'")
    if service := os.environ.get("EXTERNAL_SVC"):
        options.outside = _outside(directive, service)
    for zone in options.zones:
        _check_length(directive, options, zone)
    return options


def _read_source(option: Option, options: Options, block: ServerBlock) -> bool:
    match option.words:
        case ["filter", _, *_]:
            options.filters += (_selector(option),)
        case ["kubecontroller", where]:
            options.local = option.switch(where, "inCluster", "local") == "local"
        case ["endpoint", url]:
            options.endpoint = url
        case ["manifests", path, *paths]:
            options.manifests += tuple(block.path(each) for each in (path, *paths))
        case ["startup_timeout", duration]:
            options.startup_timeout = option.duration(duration, low=0)
        case _:
            return False
    return True


def _read_answers(option: Option, options: Options, block: ServerBlock) -> bool:
    match option.words:
        case ["apex", label]:
            options.apex = _label(option, label)
        case ["ttl", seconds]:
            options.ttl = _seconds(option, seconds, options.ttl, block)
        case ["negttl", seconds]:
            options.negative_ttl = _seconds(option, seconds, options.negative_ttl, block)
        case ["fallthrough", *zones]:
            options.fall = Fall(option.zones(zones) or (names.ROOT,))
        case ["annotation", _, *_]:
            block.warnings.append(_warning(option, "has no effect: objects are chosen by filter (as k8gb does)"))
        case _:
            return False
    return True


def _read_choice(option: Option, options: Options, block: ServerBlock) -> bool:
    match option.words:
        case ["loadbalance", method]:
            options.weighted = option.switch(method, "weight") == "weight"
        case ["geodatafilepath", path]:
            options.database = block.path(path)
        case ["geodatafield", field]:
            options.field = tuple(field.split("."))
        case ["geodatafields", field, *fields]:
            options.fields = tuple(tuple(each.split(".")) for each in (field, *fields))
        case ["edns-subnet", *prefixes]:
            options.believed = _believed(option, prefixes)
        case _:
            return False
    return True


_USAGE = {
    "filter": "filter SELECTOR",
    "kubecontroller": "kubecontroller inCluster|local",
    "endpoint": "endpoint URL",
    "manifests": "manifests PATH...",
    "startup_timeout": "startup_timeout DURATION",
    "apex": "apex LABEL",
    "ttl": "ttl SECONDS",
    "negttl": "negttl SECONDS",
    "fallthrough": "fallthrough [ZONES...]",
    "annotation": "annotation NAME",
    "loadbalance": "loadbalance weight",
    "geodatafilepath": "geodatafilepath FILE",
    "geodatafield": "geodatafield FIELD",
    "geodatafields": "geodatafields FIELDS...",
    "edns-subnet": "edns-subnet [none|PREFIX...]",
}


def _warning(option: Option, message: str) -> Problem:
    return option.tokens[0].problem(f"{option.name}: {message}", severity="warning")


def _selector(option: Option) -> str:
    """A label selector in Kubernetes' syntax, the rest of the line."""
    text = " ".join(option.args)
    try:
        Selector(text)
    except ValueError as error:
        raise option.error(f"filter: {error}", hint="as in: k8gb.io/dnstype=local") from None
    return text


def _seconds(option: Option, text: str, default: int, block: ServerBlock) -> int:
    try:
        return option.number(text, 0, 3600)
    except CorefileError as error:
        # As k8gb does: a server of its charts must not be kept from starting.
        hint = f"{default} is used instead"
        block.warnings += [replace(problem, severity="warning", hint=hint) for problem in error.problems]
        return default


def _label(option: Option, text: str) -> bytes:
    labels = names.labels(option.domain(text))
    if len(labels) != 1:
        raise option.error(f"apex: expected one label, found {text!r}", text)
    return labels[0]


def _believed(option: Option, prefixes: list[str]) -> tuple[subnet.Network, ...] | None:
    if prefixes == ["none"]:
        return None
    networks = []
    for text in prefixes:
        try:
            networks.append(subnet.network(text))
        except ValueError as error:
            raise option.error(f"{option.name}: {error}", text) from None
    return tuple(networks) or _EVERYBODY


def _outside(directive: Directive, service: str) -> bytes:
    try:
        return names.parse(service)
    except ValueError as error:
        raise directive.error(f"the environment variable EXTERNAL_SVC: {error}") from None


def _check_length(directive: Directive, options: Options, zone: bytes) -> None:
    try:
        options.mailbox(zone)
    except ValueError:
        raise directive.error(f"no name server can have a name in {names.text(zone)}: it would be too long") from None
