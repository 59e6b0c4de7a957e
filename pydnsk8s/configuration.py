"""From a Corefile to server blocks with their plugins, and to the zones each address serves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from pydnsk8s import chain, names
from pydnsk8s.corefile import Block, Corefile, CorefileError, Key, Problem
from pydnsk8s.plugin import Plugin, Process, ServerBlock
from pydnsk8s.router import Router

Address = tuple[str, int]
"""Host and port to listen on; an empty host means all addresses."""

PORTS = {"dns": 53, "tls": 853, "quic": 853, "grpc": 443, "https": 443, "https3": 443}


@dataclass(slots=True)
class Configuration:
    """Everything a Corefile says, set up but not started."""

    corefile: Corefile
    blocks: tuple[ServerBlock, ...]
    routers: dict[Address, Router]
    warnings: tuple[Problem, ...]

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """All plugins, in chain order within each block."""
        return tuple(plugin for block in self.blocks for plugin in block.plugins)


Source = Callable[[Collection[str] | None], Corefile]
"""Reads the Corefile, each time anew, with the directives it may use (None for any); raises CorefileError."""


def read(source: Source, *, port: int = 53) -> Corefile:
    """Read a Corefile; for one that cannot be used CorefileError tells what its plugins would object to, as well."""
    try:
        return source(chain.known())
    except CorefileError as error:
        raise CorefileError(*error.problems, *_further(source, port, error)) from None


def _further(source: Source, port: int, error: CorefileError) -> Iterator[Problem]:
    """What is wrong besides directives that do not exist."""
    try:
        configure(source(None), port=port)
    except CorefileError as further:
        said = {str(problem) for problem in error.problems}
        yield from (problem for problem in further.problems if str(problem) not in said)


def configure(corefile: Corefile, *, port: int = 53, process: Process | None = None) -> Configuration:
    """Set up every plugin of a Corefile; ``port`` is for keys without one.

    Raises CorefileError with everything that is wrong.
    """
    pairs = [(written, _block(written, process)) for written in corefile.blocks]
    problems = list(_unserved_schemes(corefile))
    for written, block in pairs:
        block.label = label(("", _port(written.keys[0], port))) if written.keys else ""
    problems += chain.set_up(pairs)
    routers, clashes = _route(pairs, port)
    problems += clashes
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise CorefileError(*errors)
    warnings = [*corefile.warnings, *(warning for _, block in pairs for warning in block.warnings)]
    warnings += [*(problem for problem in problems if problem.severity == "warning"), *_shadowed(pairs)]
    return Configuration(corefile, tuple(block for _, block in pairs), routers, tuple(warnings))


def label(address: Address) -> str:
    """An address as metrics and logs name it, such as ``dns://:53``."""
    host, port = address
    return f"dns://[{host}]:{port}" if ":" in host else f"dns://{host}:{port}"


def includes(host: str, other: str) -> bool:
    """Whether a socket at the host takes what comes to the other one as well, if nobody is bound there."""
    if host == other:
        return False
    return not host or (host == "::" and ":" in other) or (host == "0.0.0.0" and other != "" and ":" not in other)


def _block(written: Block, process: Process | None) -> ServerBlock:
    zones = tuple(dict.fromkeys(zone for key in written.keys for zone in key.zones))
    # Known ahead of all set-up, for it is part of every plugin's metrics.
    view = next((held.args[0] for held in written.directives if held.name == "view" and held.args), "")
    return ServerBlock(keys=written.keys, zones=zones, process=process, view=view)


def _port(key: Key, default: int) -> int:
    return default if key.port is None else key.port


def _unserved_schemes(corefile: Corefile) -> Iterator[Problem]:
    for block in corefile.blocks:
        for key in block.keys:
            if key.scheme != "dns":
                # Never serve in clear text what was meant to be encrypted.
                yield key.token.problem(
                    f"{key.scheme}:// is not served yet", "only dns:// is; drop the scheme for UDP and TCP"
                )


def _route(pairs: list[tuple[Block, ServerBlock]], port: int) -> tuple[dict[Address, Router], list[Problem]]:
    routers: dict[Address, Router] = {}
    problems: list[Problem] = []
    taken: dict[tuple[Address, bytes], ServerBlock] = {}
    for _, block in pairs:
        for key in block.keys:
            for host in block.hosts or ("",):
                address = (host, _port(key, port))
                if same := _same_sockets(routers, address):
                    problems.append(_one_socket(key, address, same))
                router = routers.setdefault(address, Router(label(address)))
                for zone in key.zones:
                    first = taken.setdefault((address, zone), block)
                    if first is not block and not (block.filters or first.filters):
                        problems.append(_twice(key, zone, address))
                    elif (clash := _bound_and_not(taken, zone, address)) and not block.filters:
                        problems.append(_overlap(key, zone, clash))
                    else:
                        router.add(zone, block)
    _complete(pairs, routers, port)
    return routers, problems


def _bound_and_not(taken: dict[tuple[Address, bytes], ServerBlock], zone: bytes, address: Address) -> Address | None:
    """Another address of the same port that serves the zone, one of the two being all addresses."""
    for other, held in taken:
        if held == zone and other[1] == address[1] and other != address and "" in (other[0], address[0]):
            return other
    return None


def _complete(pairs: list[tuple[Block, ServerBlock]], routers: dict[Address, Router], port: int) -> None:
    """Serve the zones of blocks for all addresses on those that others of their port bind, too.

    The system hands a packet to the socket bound most closely; that one must not refuse what the other would answer.
    """
    for _, block in pairs:
        for key in block.keys:
            for (host, number), router in routers.items():
                if number == _port(key, port) and any(includes(wide, host) for wide in block.hosts or ("",)):
                    for zone in key.zones:
                        if not router.serves(zone):
                            router.add(zone, block)


def _twice(key: Key, zone: bytes, address: Address) -> Problem:
    return key.token.problem(
        f"{names.text(zone)} on {label(address)} is already served by a block above",
        "join the two blocks, or tell them apart by 'view', 'bind' or port",
    )


def _same_sockets(routers: Collection[Address], address: Address) -> Address | None:
    """Another way to write what is all addresses, in use on the same port."""
    host, number = address
    others = ("",) if host in ("0.0.0.0", "::") else ("0.0.0.0", "::") if not host else ()
    return next(((other, number) for other in others if (other, number) in routers), None)


def _one_socket(key: Key, address: Address, other: Address) -> Problem:
    return key.token.problem(
        f"{label(address)} and {label(other)} are the same addresses, and the system would choose between the blocks",
        "give both blocks the same 'bind', or neither",
    )


def _overlap(key: Key, zone: bytes, other: Address) -> Problem:
    return key.token.problem(
        f"{names.text(zone)} is served both on all addresses and on one of them ({label(other)})",
        "give both blocks 'bind', or neither",
    )


def _shadowed(pairs: list[tuple[Block, ServerBlock]]) -> Iterator[Problem]:
    """Warn of plugins whose zones their block never gets to see."""
    for written, block in pairs:
        if not any(chain.takes_part(plugin) for plugin in block.plugins) and written.keys:
            yield written.keys[0].token.problem(
                f"no plugin answers here: every query for {written.keys[0].text} is refused", severity="warning"
            )
