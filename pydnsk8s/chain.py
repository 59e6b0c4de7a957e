"""The order of plugins, how a directive finds its plugin, and how plugins are linked into one handler."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points

from pydnsk8s import plugins as rooms
from pydnsk8s.abilities import Keeper, Relayer, Surveyor
from pydnsk8s.corefile import Block, CorefileError, Directive, Problem
from pydnsk8s.keep import Keep, Stamp
from pydnsk8s.message import Query
from pydnsk8s.plugin import HAND_ON, Amend, Chain, Later, Plugin, Rest, ServerBlock, Stop, fail, refuse
from pydnsk8s.relay import Relay
from pydnsk8s.survey import Survey

ORDER = (
    "root", "metadata", "geoip", "cancel", "proxyproto", "quic", "grpc_server", "https", "https3", "timeouts",
    "multisocket", "reload", "nsid", "bufsize", "bind", "debug", "trace", "ready", "health", "pprof", "shed",
    "prometheus", "errors", "log", "dnstap", "local", "dns64", "any", "chaos", "loadbalance", "tsig", "rewrite",
    "autopath", "acl", "cache", "header", "dnssec", "tls", "minimal", "template", "transfer", "hosts", "route53",
    "azure", "clouddns", "k8s_external", "kubernetes", "file", "auto", "secondary", "etcd", "loop", "forward", "grpc",
    "erratic", "whoami", "on", "sign", "view", "nomad",
)  # fmt: skip
"""The way of a query through its block, first to last, whatever order the Corefile writes.

The order is the meaning: ``cache`` before every back end, ``hosts`` before ``kubernetes`` and so on. It is CoreDNS's.
"""

_HOOKS = ("at_once", "amend", "answer", "begin")

GROUP = "pydnsk8s.plugins"
"""The entry-point group in which other packages offer plugins, named by their directive."""


@cache
def _elsewhere() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


@cache
def known() -> frozenset[str]:
    """Every directive that has a plugin here, our own and those of installed packages."""
    ours = {module.name for module in pkgutil.iter_modules(rooms.__path__) if module.ispkg}
    return frozenset(ours | set(_elsewhere()))


@cache
def find(directive: str) -> type[Plugin]:
    """The plugin class of a known directive; ImportError tells which of its libraries is missing."""
    if importlib.util.find_spec(f"{rooms.__name__}.{directive}") is not None:
        module = importlib.import_module(f"{rooms.__name__}.{directive}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Plugin) and kind.__dict__.get("name") == directive:
                return kind
        raise ImportError(f"{module.__name__} has no plugin class named {directive!r}")
    kind = _elsewhere()[directive].load()
    if not (inspect.isclass(kind) and issubclass(kind, Plugin)):
        raise ImportError(f"the entry point {directive!r} is not a plugin class")
    return kind


@cache
def place(directive: str) -> tuple[int, int, str]:
    """A sort key that puts a directive where it stands in the chain; ValueError for one without a place."""
    if directive in ORDER:
        return ORDER.index(directive), 0, directive
    kind = find(directive)
    if kind.before in ORDER:
        return ORDER.index(kind.before), -1, directive
    if kind.after in ORDER:
        return ORDER.index(kind.after), 1, directive
    if wanted := kind.before or kind.after:
        raise ValueError(f"plugin {directive!r} wants to stand beside {wanted!r}, which is not in the order")
    raise ValueError(f"plugin {directive!r} does not say where it stands: give its class `before` or `after`")


def link(plugins: Sequence[Plugin]) -> Chain:
    """Join plugins into one chain; those that override no hook cost nothing."""
    handlers = [plugin for plugin in plugins if takes_part(plugin)]
    # A block without any handler refuses; one whose last handler passes on has failed (as CoreDNS does).
    rests: list[Rest] = [fail if handlers else refuse]
    chain = Chain(*_stops([], rests))
    for at in reversed(range(len(handlers))):
        rests.insert(0, partial(handlers[at].answer, rest=chain.answer))
        chain = Chain(*_stops(handlers[at:], rests))
    return chain


def takes_part(plugin: Plugin) -> bool:
    """Whether the plugin has a hand in answers."""
    return bool(_own(plugin))


def _own(plugin: Plugin) -> set[str]:
    """The hooks that the plugin overrides."""
    return {hook for hook in _HOOKS if getattr(type(plugin), hook) is not getattr(Plugin, hook)}


def _stops(handlers: Sequence[Plugin], rests: Sequence[Rest]) -> Iterator[Stop]:
    """Those that can be asked at once, up to the first that has to be waited for."""
    amends: tuple[Amend, ...] = ()
    between: tuple[Amend, ...] = ()
    outers: tuple[Later, ...] = ()
    for plugin, rest in zip(handlers, rests, strict=False):
        own = _own(plugin)
        here = Later(rest, between, begin=plugin.begin if "begin" in own else None)
        if "at_once" in own or "answer" in own:
            yield Stop(plugin.at_once if "at_once" in own else None, amends, _nested(outers, here))
        if "at_once" not in own and "answer" in own:
            return
        if "amend" in own:
            amends, between = (plugin.amend, *amends), (plugin.amend, *between)
        if _wants_to_wait(own):
            outers, between = (*outers, here), ()
    yield Stop(None, amends, _nested(outers, Later(rests[-1], between)))


def _wants_to_wait(own: set[str]) -> bool:
    """Whether a plugin that overrides these does the waiting, whoever behind it has to be waited for."""
    return {"amend", "answer"} <= own


def _nested(outers: Sequence[Later], inner: Later) -> Later:
    """Who does the waiting for a plugin: itself, or the first of those before it that want to."""
    for outer in reversed(outers):
        inner = outer._replace(behind=inner)
    return inner


def join(block: ServerBlock) -> None:
    """Link the plugins of a block, and find out what they can do for all names in a zone."""
    plugins = block.plugins
    block.chain = link(plugins)
    block.watchers = tuple(plugin for plugin in plugins if type(plugin).seen is not Plugin.seen)
    block.surveys, block.relays = {}, {}
    for at, plugin in enumerate(plugins):
        if any(other.name == plugin.name for other in plugins if other is not plugin):
            continue  # nobody could tell which one of the two has answered
        before = [other for other in plugins[:at] if takes_part(other)]
        if isinstance(plugin, Surveyor):
            block.surveys[plugin.name] = partial(_survey, plugin, before)
        if isinstance(plugin, Relayer):
            block.relays[plugin.name] = partial(_relay, plugin, before)


def _survey(plugin: Surveyor, before: Sequence[Plugin], query: Query) -> Survey | None:
    """What the plugin knows, as long as all before it let every such name pass alike."""
    survey = plugin.survey(query)
    if survey is None:
        return None
    stamps = _passing(before, survey.zone)
    return None if stamps is None else survey._replace(stamps=survey.stamps | stamps)


def _relay(plugin: Relayer, before: Sequence[Plugin], query: Query, zone: bytes) -> Relay | None:
    """How the plugin does it, as long as all before it let every name in the zone pass alike."""
    stamps = _passing(before, zone)
    if stamps is None:
        return None
    way: Callable[[Query], Relay | None] = partial(plugin.relay, zone=zone)
    for other in reversed(before):
        if isinstance(other, Keeper):
            way = partial(other.relayed, zone=zone, behind=way)
        elif _wants_to_wait(_own(other)):
            return None
    relay = way(query)
    return None if relay is None else relay._replace(stamps=relay.stamps | stamps)


def _passing(plugins: Sequence[Plugin], zone: bytes) -> frozenset[Stamp] | None:
    """While which stamps are alive all names in the zone pass these plugins alike; None if they do not."""
    keep = HAND_ON
    for plugin in plugins:
        passes = plugin.passes(zone)
        if passes is None:
            return None
        keep &= passes
    return keep.stamps if keep == Keep(stamps=keep.stamps) else None


def set_up(blocks: Sequence[tuple[Block, ServerBlock]]) -> Iterator[Problem]:
    """Set up the plugins of all blocks in chain order and link them; yields every problem found."""
    for written, block in blocks:
        directives, problems = _in_order(written.directives)
        yield from problems
        first: dict[str, Directive] = {}
        for directive in directives:
            try:
                kind = find(directive.name)
                if kind.once and directive.name in first:
                    raise directive.twice(first[directive.name])
                first.setdefault(directive.name, directive)
                plugin = kind.setup(directive, block)
            except CorefileError as error:
                yield from error.problems
            except ImportError as error:
                yield directive.error(f"plugin {directive.name!r} cannot be loaded: {error}").problems[0]
            else:
                plugin.written += _words(written, directive)
                if not any(plugin is other for other in block.plugins):
                    block.plugins.append(plugin)
        join(block)


def _words(block: Block, directive: Directive) -> tuple[str, ...]:
    keys = tuple(key.text for key in block.keys)
    return keys + directive.words + tuple(word for option in directive.options for word in ("\n", *option.words))


def _in_order(directives: Sequence[Directive]) -> tuple[list[Directive], list[Problem]]:
    placed: list[tuple[tuple[int, int, str], Directive]] = []
    problems: list[Problem] = []
    for directive in directives:
        if directive.name not in known():
            continue  # the parser has told of it
        try:
            placed.append((place(directive.name), directive))
        except (ValueError, ImportError) as error:
            problems.extend(directive.error(str(error)).problems)
    placed.sort(key=lambda pair: pair[0])  # a stable sort: uses of one directive stay in file order
    return [directive for _, directive in placed], problems
