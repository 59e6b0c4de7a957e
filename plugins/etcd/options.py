"""What the directive asks for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pydnsk8s import names
from pydnsk8s.corefile import CorefileError, Directive, Option, Problem
from pydnsk8s.etcd.access import Access, address
from pydnsk8s.plugin import NOWHERE, Fall, ServerBlock

_LONGEST_TTL = 0x7FFFFFFF  # RFC 2181 section 8
_USAGE = {
    "fallthrough": "fallthrough [ZONES...]",
    "path": "path PATH",
    "endpoint": "endpoint URL...",
    "credentials": "credentials USER PASSWORD",
    "tls": "tls [CERT KEY] [CA]",
    "min-lease-ttl": "min-lease-ttl DURATION",
    "max-lease-ttl": "max-lease-ttl DURATION",
    "mode": "mode subtree|strict",
    "stubzones": "stubzones",
    "upstream": "upstream [ADDRESS...]",
    "debug": "debug",
}


@dataclass(slots=True)
class Options:
    """The words of the directive, understood."""

    zones: tuple[bytes, ...] = ()
    access: Access = field(default_factory=Access)
    prefix: bytes = b"/skydns/"
    fall: Fall = NOWHERE
    least_lease: float = 30.0
    """Seconds; a lease that has less left counts as this much."""
    longest_lease: float = 86_400.0
    strict: bool = False
    """Whether a name has only the values meant for it, and not those of the names below."""


def read(directive: Directive, block: ServerBlock) -> Options:
    """Read the directive; CorefileError tells what it should not say."""
    options = Options(zones=directive.zones(directive.args) or block.zones)
    for option in directive.options:
        if not (_read_way(option, options, block) or _read_answers(option, options)):
            _read_compatible(option, block)
    if options.least_lease > options.longest_lease:
        raise directive.error("etcd: min-lease-ttl is longer than max-lease-ttl")
    tls = next((option for option in directive.options if option.name == "tls"), None)
    if tls is not None and not any(map(options.access.encrypted, options.access.endpoints)):
        block.warnings.append(_warning(tls, "has no effect: every endpoint says http://"))
    return options


def _read_way(option: Option, options: Options, block: ServerBlock) -> bool:
    """How etcd is reached."""
    match option.words:
        case ["endpoint", url, *urls]:
            options.access = replace(options.access, endpoints=tuple(_endpoint(option, each) for each in (url, *urls)))
        case ["credentials", user, password]:
            options.access = replace(options.access, user=user, password=password)
        case ["tls"]:
            options.access = replace(options.access, tls=True)
        case ["tls", ca]:
            options.access = replace(options.access, tls=True, ca=block.path(ca))
        case ["tls", cert, key]:
            options.access = replace(options.access, tls=True, cert=block.path(cert), key=block.path(key))
        case ["tls", cert, key, ca]:
            certificates = replace(options.access, tls=True, cert=block.path(cert), key=block.path(key))
            options.access = replace(certificates, ca=block.path(ca))
        case ["credentials", *_]:
            raise _unquoted(option.arguments(_USAGE["credentials"]))
        case ["path", path]:
            # With and without the slashes, as CoreDNS takes it.
            inner = path.strip("/").encode()
            options.prefix = b"/" + inner + b"/" if inner else b"/"
        case _:
            return False
    return True


def _read_answers(option: Option, options: Options) -> bool:
    """What is served, and for how long."""
    match option.words:
        case ["fallthrough", *zones]:
            options.fall = Fall(option.zones(zones) or (names.ROOT,))
        case ["min-lease-ttl", duration]:
            options.least_lease = option.duration(duration, low=0, high=_LONGEST_TTL, plain=True)
        case ["max-lease-ttl", duration]:
            options.longest_lease = option.duration(duration, low=0, high=_LONGEST_TTL, plain=True)
        case ["mode", mode]:
            options.strict = option.switch(mode, "subtree", "strict") == "strict"
        case _:
            return False
    return True


def _read_compatible(option: Option, block: ServerBlock) -> None:
    """Options that only have to be understood, with a warning because they change nothing."""
    match option.words:
        case ["stubzones"]:
            why = "let forward serve the zones of other servers"
        case ["upstream", *_]:
            why = "names outside are asked of this server itself"
        case ["debug"]:
            why = "pydnsk8s explain shows how an answer comes about"
        case [name, *_] if name in _USAGE:
            raise option.arguments(_USAGE[name])
        case _:
            raise option.unknown(*_USAGE)
    block.warnings.append(_warning(option, f"has no effect: {why}"))


def _endpoint(option: Option, text: str) -> str:
    try:
        address(text)
    except ValueError as error:
        raise option.error(f"endpoint: {error}", text) from None
    return text


def _unquoted(error: CorefileError) -> CorefileError:
    """The error without the rest of the line, which may hold a password: errors end up in logs."""
    (problem,) = error.problems
    place = problem.place
    if place is None:
        return error
    return CorefileError(replace(problem, place=place._replace(text=place.text[: place.column - 1 + problem.width])))


def _warning(option: Option, message: str) -> Problem:
    return option.tokens[0].problem(f"{option.name}: {message}", severity="warning")
