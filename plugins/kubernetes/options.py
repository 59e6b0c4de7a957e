"""The options of ``kubernetes``, read from its directive."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydnsk8s import names
from pydnsk8s.corefile import Directive, Option, Problem
from pydnsk8s.kube.objects import EndpointSlice, Kind, Namespace, Pod, Service, ServiceImport
from pydnsk8s.plugin import NOWHERE, Fall, ServerBlock

_KEY = r"[\w./-]+"
_REQUIREMENT = re.compile(
    rf"!?\s*{_KEY}|{_KEY}\s*(=|==|!=)\s*[\w.-]*|{_KEY}\s*[<>]\s*-?\d+"
    rf"|{_KEY}\s+(in|notin)\s*\(\s*[\w.-]*(\s*,\s*[\w.-]*)*\s*\)"
)
_COMMA = re.compile(r",(?![^(]*\))")  # one that does not stand in a list of values


@dataclass(slots=True)
class Options:
    """What the directive asks for."""

    zones: tuple[bytes, ...] = ()
    endpoint: str = ""
    certificates: tuple[Path | None, Path | None, Path | None] = (None, None, None)
    """Client certificate, its key, and the authority's certificate."""
    kubeconfig: Path | None = None
    context: str | None = None
    manifests: tuple[Path, ...] = ()
    namespaces: frozenset[str] = frozenset()
    """The namespaces that are served; none means all."""
    namespace_labels: str = ""
    labels: str = ""
    pods: str = "disabled"
    pod_names: bool = False
    ttl: int = 5
    """Seconds; the default is CoreDNS's."""
    endpoints: bool = True
    fall: Fall = NOWHERE
    ignore_empty: bool = False
    multicluster: frozenset[bytes] = field(default_factory=frozenset)
    """The zones that serve the cluster set."""
    zonal: bool = False
    startup_timeout: float = 5.0

    @property
    def primary(self) -> bytes:
        """The zone of the names that addresses point back to: the first that has names of this cluster."""
        forward = [zone for zone in self.zones if not names.is_reverse(zone)]
        return next((zone for zone in forward if zone not in self.multicluster), forward[0])

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of objects that the answers come from."""
        wanted: dict[Kind, bool] = {
            EndpointSlice: self.endpoints,
            Pod: self.pods == "verified",
            ServiceImport: bool(self.multicluster),
        }
        return (Namespace, Service, *(kind for kind, needed in wanted.items() if needed))


def read(directive: Directive, block: ServerBlock) -> Options:
    """Read the directive; CorefileError tells what it should not say."""
    options = Options(zones=directive.zones(directive.args) or block.zones)
    if all(names.is_reverse(zone) for zone in options.zones):
        raise directive.error(
            "a zone that holds names is needed, not only reverse zones", hint="kubernetes cluster.local"
        )
    seen: dict[str, Option] = {}
    for option in directive.options:
        if not (
            _read_source(option, options, block)
            or _read_selection(option, options)
            or _read_answers(option, options, block)
        ):
            _read_compatible(option, block)
        seen[option.name] = option
    _check(options, seen)
    block.warnings += _pointless(options, seen)
    return options


def _read_source(option: Option, options: Options, block: ServerBlock) -> bool:
    match option.words:
        case ["endpoint", url, *others]:
            options.endpoint = url
            if others:
                block.warnings.append(_warning(option, 2, "is not used, only the first URL is (as CoreDNS does)"))
        case ["tls", cert, key, ca]:
            options.certificates = (block.path(cert), block.path(key), block.path(ca))
        case ["kubeconfig", file]:
            options.kubeconfig = block.path(file)
        case ["kubeconfig", file, context]:
            options.kubeconfig, options.context = block.path(file), context
        case ["manifests", path, *paths]:
            options.manifests += tuple(block.path(each) for each in (path, *paths))
        case ["startup_timeout", duration]:
            options.startup_timeout = option.duration(duration, low=0)
        case _:
            return False
    return True


def _read_selection(option: Option, options: Options) -> bool:
    match option.words:
        case ["namespaces", namespace, *namespaces]:
            options.namespaces |= {each.lower() for each in (namespace, *namespaces)}
        case ["namespace_labels", _, *_]:
            options.namespace_labels = _selector(option)
        case ["labels", _, *_]:
            options.labels = _selector(option)
        case ["multicluster", *zones]:
            options.multicluster |= set(option.zones(zones))
        case ["noendpoints"]:
            options.endpoints = False
        case ["pods", mode]:
            options.pods = option.switch(mode, "disabled", "insecure", "verified")
        case _:
            return False
    return True


def _read_answers(option: Option, options: Options, block: ServerBlock) -> bool:
    match option.words:
        case ["endpoint_pod_names"]:
            options.pod_names = True
        case ["ttl", seconds]:
            options.ttl = option.number(seconds, 0, 3600)
        case ["fallthrough", *zones]:
            options.fall = Fall(option.zones(zones) or (names.ROOT,))
        case ["ignore", "empty_service", *more]:
            options.ignore_empty = True
            if more:  # CoreDNS reads no further
                block.warnings.append(_warning(option, 2, "is not read: ignore takes only empty_service"))
        case ["zonal"]:
            options.zonal = True
        case _:
            return False
    return True


def _read_compatible(option: Option, block: ServerBlock) -> None:
    """Options that only have to be understood, with a warning because they change nothing."""
    why = "lists and watches are few and not limited"
    match option.words:
        case ["apiserver_qps", rate]:
            option.decimal(rate, 0, 1e6)
        case ["apiserver_burst", number]:
            option.number(number, 0, 1_000_000)
        case ["apiserver_max_inflight", number]:
            option.number(number, 0, 1_000_000)
        case ["upstream", *_]:
            why = "names outside are asked of this server itself"
        case [name, *_] if name in _USAGE:
            raise option.arguments(_USAGE[name])
        case _:
            raise option.unknown(*_USAGE)
    block.warnings.append(_warning(option, 0, f"has no effect: {why}"))


_USAGE = {
    "endpoint": "endpoint URL",
    "tls": "tls CERT KEY CACERT",
    "kubeconfig": "kubeconfig FILE [CONTEXT]",
    "manifests": "manifests PATH...",
    "startup_timeout": "startup_timeout DURATION",
    "namespaces": "namespaces NAMESPACE...",
    "namespace_labels": "namespace_labels EXPRESSION",
    "labels": "labels EXPRESSION",
    "multicluster": "multicluster [ZONES...]",
    "noendpoints": "noendpoints",
    "pods": "pods disabled|insecure|verified",
    "endpoint_pod_names": "endpoint_pod_names",
    "ttl": "ttl SECONDS",
    "fallthrough": "fallthrough [ZONES...]",
    "ignore": "ignore empty_service",
    "zonal": "zonal",
    "apiserver_qps": "apiserver_qps RATE",
    "apiserver_burst": "apiserver_burst NUMBER",
    "apiserver_max_inflight": "apiserver_max_inflight NUMBER",
}


def _warning(option: Option, word: int, message: str) -> Problem:
    token = option.tokens[word]
    return token.problem(f"{token.text}: {message}", severity="warning")


def _selector(option: Option) -> str:
    """A label selector in Kubernetes' syntax, the rest of the line."""
    text = " ".join(option.args)
    for requirement in _COMMA.split(text):
        if not _REQUIREMENT.fullmatch(requirement.strip()):
            raise option.error(
                f"{option.name}: not a label selector: {requirement.strip()!r}", hint="as in: tier=web,env in (a, b)"
            )
    return text


def _check(options: Options, seen: dict[str, Option]) -> None:
    if options.namespaces and options.namespace_labels:
        raise seen["namespace_labels"].error("namespaces and namespace_labels exclude each other")
    if options.zonal and not options.endpoints:
        raise seen["noendpoints"].error("zonal needs the endpoints that noendpoints leaves out")
    missing = options.multicluster - set(options.zones)
    if missing:
        names_ = ", ".join(names.text(zone) for zone in sorted(missing))
        raise seen["multicluster"].error(f"multicluster: not among the zones of this directive: {names_}")
    if options.manifests and (options.endpoint or options.kubeconfig):
        raise seen["manifests"].error("manifests takes the place of endpoint and kubeconfig: give only one of them")
    for name in ("labels", "namespace_labels"):
        if options.manifests and name in seen:
            raise seen[name].error(f"{name}: it is the API server that selects; manifests are served whole")


def _pointless(options: Options, seen: dict[str, Option]) -> Iterator[Problem]:
    """Warnings of options that come to nothing beside the others, or without them."""
    if options.endpoint and options.kubeconfig:
        yield _warning(seen["endpoint"], 0, "has no effect: kubeconfig says where the API server is")
    if "tls" in seen and (options.kubeconfig or not options.endpoint):
        yield _warning(seen["tls"], 0, "has no effect: it belongs to endpoint")
    if options.ignore_empty and not options.endpoints:
        yield _warning(seen["ignore"], 0, "without endpoints every service is empty, and has no name")
