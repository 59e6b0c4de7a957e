"""The command line: run a server, check a Corefile, explain an answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pydnsk8s import collector, log
from pydnsk8s.etcd.command import etcd
from pydnsk8s.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pydnsk8s.corefile import Corefile, Problem
    from pydnsk8s.server import Server

_log = logging.getLogger("pydnsk8s.server")


class _Port(click.IntRange):
    """A port; Go's flags take a ``=`` before it behind short names, too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number: Any = value.removeprefix("=") if isinstance(value, str) else value
        return super().convert(number, param, ctx)


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "-help", "--help"]},
    epilog="Without a command: run the server. The options are CoreDNS's; both -conf and --conf will do.",
)
@click.option("-conf", "--conf", "conf", metavar="FILE", help="The Corefile; 'stdin' reads a pipe. [./Corefile]")
@click.option("-dns.port", "--dns.port", "-p", "port", type=_Port(0, 65535), default=53, show_default=True,
              help="The port for keys that name none.")  # fmt: skip
@click.option(
    "-pidfile",
    "--pidfile",
    "pidfile",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the process id there.",
)
@click.option("-quiet", "--quiet", "quiet", is_flag=True, help="Print no banner.")
@click.option("-version", "--version", "version", is_flag=True, help="Print the version and exit.")
@click.option("-plugins", "--plugins", "plugins", is_flag=True, help="List the plugins and exit.")
@click.pass_context
def main(
    context: click.Context, conf: str | None, port: int, pidfile: Path | None, quiet: bool, version: bool, plugins: bool
) -> None:
    """A DNS server for Kubernetes and beyond, configured by a Corefile."""
    context.obj = _Where(conf, port)
    if version:
        print_version()
    elif plugins:
        list_plugins()
    elif context.invoked_subcommand is None:
        sys.exit(_run(context.obj, pidfile, quiet))


class _Where:
    """Which Corefile is meant, and the port for keys without one."""

    def __init__(self, conf: str | None, port: int) -> None:
        self.conf = conf
        self.port = port
        self._piped: str | None = None

    def read(self, known: Collection[str] | None) -> Corefile:
        """The Corefile as it is now, of these directives or any; raises CorefileError."""
        from pydnsk8s import corefile

        if self.conf == "stdin":
            if self._piped is None:
                self._piped = sys.stdin.read()
            return corefile.parse(self._piped, "stdin", known=known)
        if self.conf is None and not Path("Corefile").exists():
            return corefile.parse("", known=known)
        return corefile.load(Path(self.conf or "Corefile"), known=known)


def print_version() -> None:
    """Print the version as CoreDNS prints its own."""
    click.echo(f"pydnsk8s-{VERSION}")
    click.echo(f"{sys.platform}/{platform.machine()}, {platform.python_implementation()} {platform.python_version()}")


def list_plugins() -> None:
    """Print every directive there is, in chain order."""
    from pydnsk8s import chain

    def place(name: str) -> tuple[int, int, str]:
        try:
            return chain.place(name)
        except (ImportError, ValueError):
            return len(chain.ORDER), 0, name  # one that cannot be used stands nowhere

    for name in sorted(chain.known(), key=place):
        click.echo(f"dns.{name}")


def _run(where: _Where, pidfile: Path | None, quiet: bool) -> int:
    from pydnsk8s.corefile import CorefileError
    from pydnsk8s.plugin import StartError
    from pydnsk8s.server import Server

    log.setup()
    collector.set_up()

    async def serve() -> int:
        server = Server(where.read, port=where.port)
        _catch_signals(server)
        await server.start()
        collector.go_on(asyncio.get_running_loop())
        assert server.configuration is not None
        for warning in server.configuration.warnings:
            _log.warning("%s", warning)
        if not quiet:
            _banner(server)
        with _noted(pidfile):
            await server.stopping.wait()
            await server.stop()
        if server.fatal is not None:
            click.echo(server.fatal, err=True)
            return 1
        return 0

    try:
        return asyncio.run(serve())
    except (CorefileError, StartError, OSError) as error:
        click.echo(str(error), err=True)
        return 1


@contextlib.contextmanager
def _noted(pidfile: Path | None) -> Iterator[None]:
    """Have our process id in a file meanwhile: from when we serve, for who cannot must leave it to who does."""
    if pidfile is None:
        yield
        return
    pidfile.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        pidfile.unlink(missing_ok=True)


def _catch_signals(server: Server) -> None:
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if server.stopping.is_set():
            os._exit(2)  # as CoreDNS: who asks twice does not want to wait
        server.stopping.set()

    loop.add_signal_handler(signal.SIGTERM, server.stopping.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    loop.add_signal_handler(signal.SIGQUIT, lambda: os._exit(0))
    loop.add_signal_handler(signal.SIGUSR1, server.request_reload)
    loop.add_signal_handler(
        signal.SIGUSR2, lambda: _log.warning("SIGUSR2: a running binary is not replaced; restart it")
    )
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _banner(server: Server) -> None:
    from pydnsk8s import names

    assert server.configuration is not None
    for (host, _), router, number in zip(
        server.ports, server.configuration.routers.values(), server.ports.values(), strict=True
    ):
        for site in router.sites:
            click.echo(f"{names.text(site.zone)}:{number}" + (f" on {host}" if host else ""))
    print_version()


@main.command()
@click.option("-json", "--json", "as_json", is_flag=True, help="Print the problems as JSON lines.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def check(where: _Where, file: Path | None, as_json: bool) -> None:
    """Read a Corefile and set up its plugins without starting anything.

    Prints every error and warning with its place; exits with 1 if there is an error.
    """
    from pydnsk8s.configuration import configure, read
    from pydnsk8s.corefile import CorefileError

    if file is not None:
        where = _Where(str(file), where.port)
    problems: tuple[Problem, ...]
    try:
        problems = configure(read(where.read, port=where.port), port=where.port).warnings
    except CorefileError as error:
        problems = error.problems
    for problem in problems:
        click.echo(_json(problem) if as_json else str(problem))
    errors = sum(problem.severity == "error" for problem in problems)
    if not as_json:
        click.echo(f"{errors} errors, {len(problems) - errors} warnings" if problems else "no problems")
    sys.exit(1 if errors else 0)


def _json(problem: Problem) -> str:
    import json

    place = problem.place
    return json.dumps(
        {
            "severity": problem.severity,
            "file": place.file if place else None,
            "line": place.line if place else None,
            "column": place.column if place else None,
            "message": problem.message,
            "hint": problem.hint or None,
        }
    )


@main.command()
@click.argument("name")
@click.argument("type", default="A")
@click.option("-client", "--client", default="127.0.0.1", show_default=True, help="The address to ask from.")
@click.option("-tcp", "--tcp", "tcp", is_flag=True, help="Ask over TCP.")
@click.pass_obj
def explain(where: _Where, name: str, type: str, client: str, tcp: bool) -> None:
    """Show which block and plugins a question passes, who answers, and how long the answer is kept.

    The plugins are started as for serving, but no socket is opened.
    """
    from pydnsk8s.configuration import read
    from pydnsk8s.explain import explain as told

    log.setup()
    logging.getLogger("pydnsk8s").setLevel(logging.WARNING)
    from pydnsk8s.corefile import CorefileError
    from pydnsk8s.plugin import StartError

    try:
        corefile = read(where.read, port=where.port)
        click.echo(asyncio.run(told(corefile, name, type, port=where.port, client=client, tcp=tcp)))
    except (CorefileError, StartError, OSError, ValueError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)


@main.command(name="plugins")
def plugins_command() -> None:
    """List the plugins in the order a query passes them."""
    list_plugins()


@main.command(name="version")
def version_command() -> None:
    """Print the version."""
    print_version()


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script, for instance: pydnsk8s completion bash >> ~/.bashrc."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "pydnsk8s", "_PYDNSK8S_COMPLETE").source())


main.add_command(etcd)
