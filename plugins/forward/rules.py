"""What a ``forward`` directive says, read and checked."""

from __future__ import annotations

import importlib.util
import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydnsk8s import codes, names
from pydnsk8s.corefile import CorefileError, Directive, Option
from pydnsk8s.plugin import ServerBlock
from pydnsk8s.upstream import Address, Certificates, Host, Terms, nameservers, parse

MOST = 15
"""Upstreams of one directive."""
_MANY = 2**31 - 1
_TLS_OPTIONS = frozenset(("tls", "tls_servername"))
_USAGE = {
    "except": "except NAME...",
    "force_tcp": "force_tcp",
    "prefer_udp": "prefer_udp",
    "expire": "expire DURATION",
    "max_age": "max_age DURATION",
    "max_idle_conns": "max_idle_conns NUMBER",
    "read_timeout": "read_timeout DURATION",
    "max_fails": "max_fails NUMBER",
    "max_connect_attempts": "max_connect_attempts NUMBER",
    "doh_method": "doh_method POST|GET",
    "tls": "tls [CERT KEY] [CA]",
    "tls_servername": "tls_servername NAME",
    "policy": "policy random|round_robin|sequential",
    "health_check": "health_check DURATION [no_rec] [domain NAME]",
    "max_concurrent": "max_concurrent NUMBER",
    "ecs": "ecs pass|strip",
    "next": "next RCODE...",
    "next_on_nodata": "next_on_nodata",
    "failover": "failover RCODE...",
    "failfast_all_unhealthy_upstreams": "failfast_all_unhealthy_upstreams",
    "source_address": "source_address IP",
    "resolver": "resolver IP[:PORT]...",
}


@dataclass(slots=True)
class Rules:
    """Which queries are forwarded, where to, on which terms, and what happens to the replies."""

    zone: bytes
    targets: tuple[Address | Host, ...]
    terms: Terms = field(default_factory=Terms)
    excepted: tuple[bytes, ...] = ()
    prefer_udp: bool = False
    strips: bool = False
    """Whether client subnets (RFC 7871) stay here."""
    policy: str = "random"
    attempts: int | None = None
    """How often a query is sent at most; 0 for any number, None for twice to each upstream."""
    concurrent: int = 0
    """Queries waiting at a time; 0 for any number."""
    next_rcodes: frozenset[int] = frozenset()
    next_on_nodata: bool = False
    failover: frozenset[int] = frozenset()
    fail_fast: bool = False
    resolvers: tuple[Address, ...] = ()
    servername: str = ""
    files: tuple[str, ...] = ()
    """Those named by ``tls``."""


def read(directive: Directive, block: ServerBlock) -> Rules:
    """Read one directive; what is odd but harmless is added to the block's warnings."""
    match directive.args:
        case [zone, first, *more]:
            rules = Rules(_zone(directive, zone, block), _targets(directive, (first, *more), block))
        case _:
            raise directive.arguments("forward FROM TO...")
    for option in directive.options:
        if not (_read_sending(option, rules, block) or _read_choosing(option, rules)):
            if option.name in _USAGE:
                raise option.arguments(_USAGE[option.name])
            raise option.unknown(*_USAGE)
    for option in directive.options:
        if option.name == "max_age" and 0 < rules.terms.max_age < rules.terms.expire:
            raise option.error(f"max_age: expected at least expire, {rules.terms.expire:g}s", option.args[0])
    _secure(directive, rules, block)
    return rules


def _read_sending(option: Option, rules: Rules, block: ServerBlock) -> bool:
    """Read an option that says how an upstream is asked; False if it is none."""
    match option.words:
        case ["force_tcp"]:
            rules.terms = replace(rules.terms, stream=True)
        case ["prefer_udp"]:
            rules.prefer_udp = True
        case ["expire", duration]:
            rules.terms = replace(rules.terms, expire=option.duration(duration, low=0))
        case ["max_age", duration]:
            rules.terms = replace(rules.terms, max_age=option.duration(duration, low=0))
        case ["max_idle_conns", number]:
            rules.terms = replace(rules.terms, max_idle=option.number(number, 0, _MANY))
        case ["read_timeout", duration]:
            rules.terms = replace(rules.terms, read_timeout=option.duration(duration, low=0.001))
        case ["ecs", handling]:
            rules.strips = option.switch(handling, "pass", "strip") == "strip"
        case ["doh_method", method]:
            rules.terms = replace(rules.terms, post=option.switch(method, "POST", "GET", fold=True) == "POST")
        case ["tls", *files] if len(files) <= 3:
            rules.files = tuple(str(block.path(file)) for file in files)
        case ["tls_servername", name]:
            rules.servername = names.text(option.domain(name)).removesuffix(".")
        case ["source_address", address]:
            rules.terms = replace(rules.terms, source=_source(option.address(address)))
        case _:
            return False
    return True


def _read_choosing(option: Option, rules: Rules) -> bool:
    """Read an option that says which upstream is asked, when, and what its reply leads to; False if it is none."""
    match option.words:
        case ["except", first, *more]:
            rules.excepted += option.zones((first, *more))
        case ["max_fails", number]:
            rules.terms = replace(rules.terms, max_fails=option.number(number, 0, _MANY))
        case ["max_connect_attempts", number]:
            rules.attempts = option.number(number, 0, _MANY)
        case ["policy", name]:
            rules.policy = option.switch(name, "random", "round_robin", "sequential")
        case ["health_check", duration, *how]:
            rules.terms = _checks(option, duration, how, rules.terms)
        case ["max_concurrent", number]:
            rules.concurrent = option.number(number, 0, _MANY)
        case ["next", first, *more]:
            rules.next_rcodes |= {_rcode(option, text) for text in (first, *more)}
        case ["next_on_nodata"]:
            rules.next_on_nodata = True
        case ["failover", first, *more]:
            rules.failover |= {_failed(option, text) for text in (first, *more)}
        case ["failfast_all_unhealthy_upstreams"]:
            rules.fail_fast = True
        case ["resolver", first, *more]:
            rules.resolvers = tuple(_resolver(option, text) for text in (first, *more))
        case _:
            return False
    return True


def _zone(directive: Directive, text: str, block: ServerBlock) -> bytes:
    zones = directive.zones((text,))
    if len(zones) > 1:
        token = next(token for token in directive.tokens if token.text == text)
        hint = f"write a forward for each, or a prefix that ends on the border of one; used: {names.text(zones[0])}"
        message = f"{text} stands for {len(zones)} zones, only the first is forwarded"
        block.warnings.append(token.problem(message, hint, "warning"))
    return zones[0]


def _targets(directive: Directive, words: Iterable[str], block: ServerBlock) -> tuple[Address | Host, ...]:
    found: list[Address | Host] = []
    for word in words:
        try:
            found += _target(word, block)
        except OSError as error:
            raise directive.error(f"{block.path(word)}: {(error.strerror or str(error)).lower()}", word) from None
        except ValueError as error:
            raise directive.error(f"forward: {error}", word) from None
    if not found:
        raise directive.error("forward: no nameserver in the files given, so there is nowhere to forward to")
    if len(found) > MOST:
        raise directive.error(f"forward: expected at most {MOST} upstreams, found {len(found)}")
    return tuple(found)


def _target(word: str, block: ServerBlock) -> Iterable[Address | Host]:
    path = block.path(word)
    if "://" in word:
        return [parse(word)]
    if path.is_file():
        return nameservers(path)
    if "/" in word:
        raise ValueError(f"there is no file {path}")
    return [parse(word)]


def _source(packed: bytes) -> str:
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _checks(option: Option, duration: str, how: list[str], terms: Terms) -> Terms:
    terms = replace(terms, check_every=option.duration(duration, low=0.001))
    while how:
        match how:
            case ["no_rec", *how]:
                terms = replace(terms, check_recursion=False)
            case ["domain", name, *how]:
                terms = replace(terms, check_name=option.domain(name))
            case _:
                raise option.error(f"health_check: expected [no_rec] [domain NAME], found {how[0]!r}", how[0])
    return terms


def _rcode(option: Option, text: str) -> int:
    try:
        return codes.parse_rcode(text)
    except ValueError as error:
        raise option.error(f"{option.name}: {error}", text) from None


def _failed(option: Option, text: str) -> int:
    rcode = _rcode(option, text)
    if rcode == codes.NOERROR:
        raise option.error("failover: NOERROR is what every upstream should answer; it cannot be a failure", text)
    return rcode


def _resolver(option: Option, text: str) -> Address:
    try:
        address = parse(text)
    except ValueError as error:
        raise option.error(f"resolver: {error}", text) from None
    if not isinstance(address, Address) or address.scheme != "dns":
        raise option.error(f"resolver: expected IP[:PORT], found {text!r}", text)
    return address


def _secure(directive: Directive, rules: Rules, block: ServerBlock) -> None:
    """Settle which upstream must prove which name, and load certificates if any upstream is encrypted."""
    schemes = {target.scheme for target in rules.targets} - {"dns"}
    if rules.servername:
        _check_single_name(directive, rules)
        rules.targets = tuple(
            target if target.scheme == "dns" else target._replace(servername=rules.servername)
            for target in rules.targets
        )
    if schemes:
        rules.terms = replace(rules.terms, contexts=_certificates(directive, rules.files, schemes))
    for option in directive.options:
        if option.name in _TLS_OPTIONS and not schemes:
            hint = "write tls:// in front of the address to encrypt"
            message = f"{option.name} has no effect: no upstream begins with tls:// or https://"
            block.warnings.append(option.tokens[0].problem(message, hint, "warning"))


def _check_single_name(directive: Directive, rules: Rules) -> None:
    for target in rules.targets:
        if isinstance(target, Address) and target.servername:
            option = next(option for option in directive.options if option.name == "tls_servername")
            message = f"tls_servername: {target} has a server name of its own, {target.servername}"
            raise option.error(message, option.args[0], "drop one of the two")


def _certificates(directive: Directive, files: tuple[str, ...], schemes: set[str]) -> Certificates:
    if "https" in schemes and importlib.util.find_spec("h2") is None:
        word = next(word for word in directive.args if word.startswith("https://"))
        raise directive.error("https:// upstreams need the library h2", word, "pip install 'pydnsk8s[https]'")
    authority = Path(files[-1]) if len(files) in {1, 3} else None
    cert, key = map(Path, files[:2]) if len(files) >= 2 else (None, None)
    try:
        return Certificates(schemes, cert, key, authority)
    except OSError as error:
        raise _unloadable(directive, error) from None


def _unloadable(directive: Directive, error: OSError) -> CorefileError:
    option = next((option for option in directive.options if option.name == "tls"), directive)
    why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return option.error(f"tls: cannot load the certificates: {(why or str(error)).lower()}")
