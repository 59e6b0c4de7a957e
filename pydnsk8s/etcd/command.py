"""``pydnsk8s etcd``: look after a zone in etcd by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from pydnsk8s.etcd.access import Access
    from pydnsk8s.etcd.client import Client
    from pydnsk8s.etcd.entries import Made
    from pydnsk8s.etcd.values import Value

_TYPES = click.Choice(["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"], case_sensitive=False)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

T = TypeVar("T")


class _Zone:
    """The part of etcd that is meant, and the way there."""

    def __init__(self, access: Access, prefix: bytes) -> None:
        self.access = access
        self.prefix = prefix

    def do(self, work: Callable[[Client], Awaitable[T]]) -> T:
        """Do some work at the first endpoint that answers."""
        return asyncio.run(self._do(work))

    async def _do(self, work: Callable[[Client], Awaitable[T]]) -> T:
        from pydnsk8s.etcd.access import EtcdError
        from pydnsk8s.etcd.client import Client

        refusals = []
        for endpoint in self.access.endpoints:
            try:
                async with Client(self.access, endpoint) as client:
                    return await work(client)
            except EtcdError as error:
                refusals.append(str(error))
        raise click.ClickException("\n".join(refusals))

    async def pairs(self, client: Client, path: bytes) -> list[_Pair]:
        """The pairs at a path and below it, in the order of their keys."""
        # "0" is the octet after "/"; the empty path stands for everything.
        start, end = (self.prefix + path, self.prefix + path + b"0") if path else (self.prefix, self.prefix[:-1] + b"0")
        found = [_Pair(self.prefix, pair.key, pair.value) for pair in (await client.range(start, end)).kvs]
        return [pair for pair in found if not path or (pair.path + b"/").startswith(path + b"/")]


class _Pair:
    """One key with what it says."""

    def __init__(self, prefix: bytes, key: bytes, document: bytes) -> None:
        from pydnsk8s.etcd import entries, values

        self.key = key
        self.path = key[len(prefix) :].lower()
        self.value: Value | None = None
        self.fault = ""
        try:
            values.check(self.path)
            self.value = values.read(self.path, document)
        except ValueError as error:
            self.fault = str(error)
        self.records = list(entries.records(self.value)) if self.value is not None else []

    def __str__(self) -> str:
        key = self.key.decode("utf-8", "backslashreplace")
        if self.fault:
            return f"; {key} is skipped: {self.fault}"
        if not self.records:
            return f"; {key} makes no record"
        return "\n".join(f"{made} ; {key}" for made in self.records)

    def belongs_to(self, path: bytes) -> bool:
        """Whether it makes records of just this name."""
        return self.value is not None and path in (self.value.owner, self.value.owner.removesuffix(b"/dns/ns"))


def _path(_context: click.Context, _parameter: click.Parameter, text: str | None) -> bytes:
    from pydnsk8s.etcd import entries

    try:
        return entries.path(text) if text else b""
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.group(context_settings={"help_option_names": ["-h", "-help", "--help"]})
@click.option("-endpoint", "--endpoint", "endpoints", envvar="ETCD_URLS", default="http://localhost:2379",
              show_default=True, metavar="URL[,URL...]", help="Where etcd is.")  # fmt: skip
@click.option("-path", "--path", "path", default="/skydns", show_default=True, help="What all keys begin with.")
@click.option("-user", "--user", "user", envvar="ETCD_USERNAME", default="", help="Who to log in as.")
@click.option(
    "-password", "--password", "password", envvar="ETCD_PASSWORD", default="", help="Better in ETCD_PASSWORD."
)
@click.option("-ca", "--ca", "ca", envvar="ETCD_CA_FILE", type=_FILE, help="Who signed the servers' certificates.")
@click.option("-cert", "--cert", "cert", envvar="ETCD_CERT_FILE", type=_FILE, help="Our certificate.")
@click.option("-key", "--key", "key", envvar="ETCD_KEY_FILE", type=_FILE, help="Its key.")
@click.pass_context
def etcd(
    context: click.Context,
    endpoints: str,
    path: str,
    user: str,
    password: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
) -> None:
    """Look after a zone in etcd by hand.

    What is written is what ExternalDNS writes, and its environment variables are understood (ETCD_URLS and so on).
    Records are printed as in a zone file, with their keys as comments.
    """
    from pydnsk8s.etcd.access import Access, address

    urls = tuple(url.strip() for url in endpoints.split(","))
    try:
        for url in urls:
            address(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--endpoint") from None
    access = Access(urls, user, password, bool(ca or cert), cert, key, ca)
    inner = path.strip("/").encode()
    context.obj = _Zone(access, b"/" + inner + b"/" if inner else b"/")


@etcd.command(context_settings={"ignore_unknown_options": True})
@click.option("-ttl", "--ttl", "ttl", type=click.IntRange(1, 0x7FFFFFFF), help="Seconds; 300 unless given.")
@click.argument("name")
@click.argument("type", type=_TYPES)
@click.argument("value", nargs=-1, required=True)
@click.pass_obj
def put(zone: _Zone, name: str, type: str, value: tuple[str, ...], ttl: int | None) -> None:
    """Write a record: put www.example.org A 192.0.2.1.

    MX takes PREFERENCE NAME and SRV takes PRIORITY WEIGHT PORT NAME. PTR may have an address for its NAME. NS takes the
    address of the zone's name server.
    """
    from pydnsk8s.etcd import entries

    try:
        path = entries.path(name)
        entry = entries.entry(zone.prefix, name, type, value, ttl or 0)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    new = _Pair(zone.prefix, entry.key, entry.document)
    if new.value is None:
        raise click.ClickException(new.fault)

    async def write(client: Client) -> None:
        held = [pair for pair in await zone.pairs(client, path) if pair.belongs_to(path) and pair.key != new.key]
        _refuse_beside_alias(name, new, held)
        await client.put(entry.key, entry.document)

    zone.do(write)
    click.echo(str(new))


def _refuse_beside_alias(name: str, new: _Pair, held: list[_Pair]) -> None:
    from pydnsk8s import codes

    for pair in held:
        if any(made.type == codes.CNAME for made in (*new.records, *pair.records)):
            rule = "an alias has nothing beside it (RFC 1034 section 3.6.2)"
            raise click.ClickException(f"{name} cannot have this, {rule}; there is\n{pair}")


@etcd.command()
@click.argument("name", callback=_path)
@click.argument("type", type=_TYPES, required=False)
@click.pass_obj
def get(zone: _Zone, name: bytes, type: str | None) -> None:
    """Print the records of one name; exits with 1 if it has none."""
    found = [pair for pair in zone.do(lambda client: zone.pairs(client, name)) if pair.belongs_to(name)]
    _print([pair for pair in found if not type or any(_is(made, type) for made in pair.records)])


@etcd.command(name="list")
@click.argument("zone_name", metavar="[ZONE]", required=False, callback=_path)
@click.pass_obj
def list_(zone: _Zone, zone_name: bytes) -> None:
    """Print all records of a zone, and what is wrong with keys that make none."""
    for pair in zone.do(lambda client: zone.pairs(client, zone_name)):
        click.echo(str(pair))


@etcd.command()
@click.argument("name", callback=_path)
@click.argument("type", type=click.Choice([*_TYPES.choices, "ANY"], case_sensitive=False))
@click.argument("value", nargs=-1)
@click.pass_obj
def delete(zone: _Zone, name: bytes, type: str, value: tuple[str, ...]) -> None:
    """Delete the records of a name and type, all or the one with this value; prints what is gone.

    Type ANY stands for all types. Exits with 1 if there is nothing to delete.
    """
    text = " ".join(value)

    async def drop(client: Client) -> list[_Pair]:
        held = [pair for pair in await zone.pairs(client, name) if pair.belongs_to(name)]
        gone = [pair for pair in held if type == "ANY" or any(_is(made, type, text) for made in pair.records)]
        for pair in gone:
            if type != "ANY" and any(not _is(made, type, text) for made in pair.records):
                raise click.ClickException(f"this key makes other records, too; type ANY deletes them all\n{pair}")
        for pair in gone:
            await client.delete(pair.key)
        return gone

    _print(zone.do(drop))


def _is(made: Made, type: str, text: str = "") -> bool:
    """Whether a record is of a type and has this data, or any if that is empty."""
    from pydnsk8s import codes

    if made.type != codes.parse_type(type):
        return False
    return not text or text.rstrip(".").lower() in (made.data.rstrip(".").lower(), made.data.strip('"').lower())


def _print(pairs: list[_Pair]) -> None:
    for pair in pairs:
        click.echo(str(pair))
    if not pairs:
        raise SystemExit(1)
