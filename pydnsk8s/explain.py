"""Tells how a question is answered: the block, the plugins passed, who answered, and how long that is kept."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial

from pydnsk8s import codes, names, testing
from pydnsk8s.abilities import Explainer
from pydnsk8s.chain import takes_part
from pydnsk8s.configuration import configure
from pydnsk8s.corefile import Corefile
from pydnsk8s.gate import packed
from pydnsk8s.message import Client, Edns, Query, Reply
from pydnsk8s.plugin import Chain, Later, Plugin, Rest, ServerBlock, Stop, fail
from pydnsk8s.router import Router


class _Step:
    """One plugin on the way of the question."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self.reached = False
        self.passed_on = False
        self.seconds = 0.0
        self.reply: Reply | None = None
        self.reasons: Sequence[str] = ()
        """Why it answers as it does, if it can tell."""

    async def answer(self, query: Query, rest: Rest) -> Reply:
        """Ask the plugin and remember what it did."""

        async def further(query: Query) -> Reply:
            self.passed_on = True
            return await rest(query)

        self.reached = True
        if isinstance(self.plugin, Explainer):
            self.reasons = await self.plugin.explain(query)
        begun = time.perf_counter()
        self.reply = await self.plugin.answer(query, further)
        self.seconds = time.perf_counter() - begun
        return self.reply


async def explain(
    read: Corefile, name: str, type: str, *, port: int = 53, client: str = "127.0.0.1", tcp: bool = False
) -> str:
    """The story of one question, in lines; ValueError for a name, type or address that is none."""
    try:
        asker = Client(packed(client), 40000, "tcp" if tcp else "udp")
    except OSError:
        raise ValueError(f"not an IP address: {client!r}") from None
    query = Query(names.parse(name), codes.parse_type(type), edns=Edns(), client=asker)
    configuration = configure(read, port=port)
    started: list[Plugin] = []
    try:
        for plugin in configuration.plugins:
            if plugin.name not in _BYSTANDERS:
                await plugin.start()
                started.append(plugin)
        routers = tuple(configuration.routers.values())
        # Of several addresses the first that serves the name is meant.
        router = next((router for router in routers if router.find(query) is not None), routers[0])
        return "\n".join([line async for line in _told(router, query)])
    finally:
        for plugin in started:
            await plugin.stop()


_BYSTANDERS = frozenset(("health", "ready", "prometheus", "pprof", "reload", "loop"))
"""Plugins that would open sockets or talk to others and have no part in an answer."""


async def _told(router: Router, query: Query) -> AsyncIterator[str]:
    yield f"{names.text(query.name)} {codes.type_name(query.type)} from {query.client.text} at {router.label}"
    site = router.find(query)
    if site is None:
        zones = ", ".join(names.text(site.zone) for site in router.sites)
        yield f"no server block serves this name (served are: {zones}): REFUSED"
        return
    keys = " ".join(key.text for key in site.block.keys)
    where = f" ({site.block.keys[0].token.place})" if site.block.keys else ""
    yield f"block    {keys}{where}, zone {names.text(site.zone)}"
    steps = _instrument(site.block)
    reply = await router.ask(query)
    for line in _way(steps):
        yield line
    yield f"answer   {codes.rcode_name(reply.rcode)} by {reply.plugin or 'the server'}{_flags(reply)}"
    if reply.error:
        yield f"error    {reply.error}"
    for section in ("answer", "authority", "additional"):
        for record in getattr(reply, section):
            yield f"  {section:<10} {testing.text(record)}"
    yield f"kept     {_kept(reply)}"


def _instrument(block: ServerBlock) -> list[_Step]:
    steps = [_Step(plugin) for plugin in block.plugins if takes_part(plugin)]
    rest: Rest = fail
    for step in reversed(steps):
        rest = partial(step.answer, rest=rest)
    block.chain = Chain(Stop(None, (), Later(rest)))
    return steps


def _way(steps: list[_Step]) -> Iterator[str]:
    for step in steps:
        if not step.reached:
            yield f"  {step.plugin.name:<14} not reached"
        elif step.passed_on:
            yield f"  {step.plugin.name:<14} asked the rest"
        else:
            yield f"  {step.plugin.name:<14} answered in {step.seconds * 1e6:.0f} µs"
        yield from (f"    {reason}" for reason in step.reasons)


def _flags(reply: Reply) -> str:
    flags = {"aa": reply.authoritative, "ra": reply.recursive, "ad": reply.authenticated, "tc": reply.truncated}
    shown = " ".join(flag for flag, is_set in flags.items() if is_set)
    return f" ({shown})" if shown else ""


def _kept(reply: Reply) -> str:
    keep = reply.keep
    if not keep.alive:
        return "not at all: the next such question is answered anew"
    parts = ["until its data changes" if keep.stamps else "for good"] if keep.live else [f"for {keep.seconds:g} s"]
    if not keep.live and keep.stamps:
        parts.append("or until its data changes")
    if keep.prefix4 or keep.prefix6:
        parts.append(f"for clients within the same /{keep.prefix4} or /{keep.prefix6}")
    parts += ["TTLs count down"] if keep.ages else []
    parts += ["addresses take turns"] if keep.turns else []
    return ", ".join(parts)
