"""Whom we are compared with: Knot, which is the measure, and others where they are installed, with the same zones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.servers import SERVER_CORE, Server, installed, running
from tests.ports import free_port

Zones = Mapping[str, str]
"""Zone files by the names of their zones."""

_KNOT = """\
server:
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    tcp-max-clients: 64
    rundir: {folder}
database:
    storage: {folder}
log:
  - target: stderr
    any: warning
template:
  - id: default
    journal-content: none
zone:
"""
_NSD = """\
server:
    ip-address: 127.0.0.1@{port}
    server-count: 1
    username: ""
    chroot: ""
    pidfile: ""
    zonesdir: {folder}
    zonelistfile: {folder}/zone.list
    xfrdfile: {folder}/xfrd.state
    database: ""
    rrl-ratelimit: 0
remote-control:
    control-enable: no
"""
_UNBOUND = """\
server:
    interface: 127.0.0.1
    port: {port}
    directory: "{folder}"
    pidfile: ""
    chroot: ""
    username: ""
    use-syslog: no
    do-daemonize: no
    num-threads: 1
    do-ip6: no
    module-config: "iterator"
    do-not-query-localhost: no
    local-zone: "10.in-addr.arpa." nodefault
    outgoing-range: 2048
    num-queries-per-thread: 1024
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{upstream}
"""
_RECURSOR = """\
local-address=127.0.0.1
local-port={port}
socket-dir={folder}
threads=1
pdns-distributes-queries=no
dnssec=off
serve-rfc1918=no
dont-query=
loglevel=3
forward-zones=.=127.0.0.1:{upstream}
auth-zones={zones}
"""
_COREDNS = """\
.:{port} {{
    bind 127.0.0.1
{files}
    forward . 127.0.0.1:{upstream}
    cache 30
    loadbalance
}}
"""


@contextmanager
def knot(folder: Path, zones: Zones, core: int) -> Iterator[Server]:
    """A Knot DNS with one UDP worker."""
    port = free_port()
    text = _KNOT.format(port=port, folder=folder)
    for zone, file in _written(folder, zones).items():
        text += f'  - domain: "{zone}"\n    file: {file}\n'
    command = ["knotd", "-c", _written_to(folder / "knot.conf", text)]
    with running("Knot", command, folder, port, core) as server:
        yield _answering(server, zones, core)


def _nsd(folder: Path, zones: Zones, outside: Zones, upstream: int) -> tuple[str, int, list[str]]:
    port = free_port()
    text = _NSD.format(port=port, folder=folder)
    for zone, file in _written(folder, {**zones, **outside}).items():
        text += f'zone:\n    name: "{zone}"\n    zonefile: {file}\n'
    return "NSD", port, ["nsd", "-d", "-c", _written_to(folder / "nsd.conf", text)]


def _unbound(folder: Path, zones: Zones, outside: Zones, upstream: int) -> tuple[str, int, list[str]]:
    port = free_port()
    text = _UNBOUND.format(port=port, folder=folder, upstream=upstream)
    for zone, file in _written(folder, zones).items():
        text += f'auth-zone:\n    name: "{zone}"\n    zonefile: {file}\n    fallback-enabled: no\n'
    return "Unbound", port, ["unbound", "-d", "-c", _written_to(folder / "unbound.conf", text)]


def _recursor(folder: Path, zones: Zones, outside: Zones, upstream: int) -> tuple[str, int, list[str]]:
    port = free_port()
    held = ",".join(f"{zone}={file}" for zone, file in _written(folder, zones).items())
    _written_to(folder / "recursor.conf", _RECURSOR.format(port=port, folder=folder, upstream=upstream, zones=held))
    return "Recursor", port, ["pdns_recursor", f"--config-dir={folder}", "--daemon=no"]


def _coredns(folder: Path, zones: Zones, outside: Zones, upstream: int) -> tuple[str, int, list[str]]:
    port = free_port()
    files = "\n".join(f"    file {file} {zone}" for zone, file in _written(folder, zones).items())
    text = _COREDNS.format(port=port, files=files, upstream=upstream)
    return "CoreDNS", port, ["coredns", "-conf", _written_to(folder / "Corefile", text)]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another server, which is measured where its program is installed."""

    program: str
    prepare: Callable[[Path, Zones, Zones, int], tuple[str, int, list[str]]]
    """Given a folder, the cluster's zones, those outside and the upstream's port: its name, port and command."""

    @property
    def there(self) -> bool:
        return installed(self.program) is not None

    @contextmanager
    def start(self, folder: Path, zones: Zones, outside: Zones, upstream: int) -> Iterator[Server]:
        """It, once it answers."""
        name, port, command = self.prepare(folder, zones, outside, upstream)
        with running(name, command, folder, port, SERVER_CORE) as server:
            yield _answering(server, zones, SERVER_CORE)


PEERS = {
    "nsd": Peer("nsd", _nsd),
    "unbound": Peer("unbound", _unbound),
    "recursor": Peer("pdns_recursor", _recursor),
    "coredns": Peer("coredns", _coredns),
}


def _written(folder: Path, zones: Zones) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    files = {zone: folder / f"{zone.rstrip('.') or 'root'}.zone" for zone in zones}
    for zone, content in zones.items():
        files[zone].write_text(content)
    return files


def _written_to(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def _answering(server: Server, zones: Zones, core: int) -> Server:
    for zone in zones:
        server.wait_for_answer(zone, "SOA")
    server.pin(core)
    return server
