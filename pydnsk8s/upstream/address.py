"""Where an upstream is: ``TO`` words of ``forward`` and the name servers of a resolv.conf."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import Any, NamedTuple

from pydnsk8s import names

_PORTS = {"dns": 53, "tls": 853, "https": 443}
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::(.*))?", re.DOTALL)
_MAX_FILE = 65536  # octets; a resolv.conf has a few lines


class Address(NamedTuple):
    """The address of an upstream and how to talk to it."""

    scheme: str
    """``dns``, ``tls`` or ``https``."""
    host: str
    """An IP address; a link-local one with ``%`` and its interface."""
    port: int
    servername: str = ""
    """The name its certificate must have; empty for its IP address."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def socket_address(self) -> tuple[Any, ...]:
        """What ``connect`` takes, the interface's number in it; OSError if there is no such interface."""
        return socket.getaddrinfo(self.host, self.port, self.family, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)[0][4]


class Host(NamedTuple):
    """An upstream given by name, whose addresses are looked up at the start."""

    scheme: str
    name: str
    port: int
    servername: str = ""

    def at(self, address: str) -> Address:
        """The upstream at one of the name's addresses; encrypted ones must prove the name."""
        proven = "" if self.scheme == "dns" else self.servername or self.name.rstrip(".")
        return Address(self.scheme, address, self.port, proven)


def parse(text: str) -> Address | Host:
    """Read ``[dns://|tls://|https://]IP[%SERVERNAME][:PORT]`` or the same with a host name; ValueError otherwise."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "dns", text
    if scheme not in _PORTS:
        raise ValueError(f"{scheme}:// cannot be asked; write dns://, tls:// or https://")
    if "/" in rest:
        raise ValueError(f"an address without a path is expected, found {rest!r}")
    host, name, port = _split(rest)
    number = _port(port) if port is not None else _PORTS[scheme]
    if name is not None and not name:
        raise ValueError("a name is missing behind the %")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return Host(scheme, _host_name(host), number, _server_name(scheme, name))
    if scheme == "dns":
        return Address(scheme, _with_interface(address, name), number)
    return Address(scheme, str(address), number, _server_name(scheme, name))


def _split(text: str) -> tuple[str, str | None, str | None]:
    """Host, what follows its %, and port."""
    if text.startswith("["):
        match = _BRACKETED.fullmatch(text)
        if match is None:
            raise ValueError(f"expected [IPV6]:PORT, found {text!r}")
        host, sign, name = match[1].partition("%")
        return host, name if sign else None, match[2]
    if "%" in text:
        host, _, rest = text.partition("%")
        name, colon, port = rest.partition(":")
        return host, name, port if colon else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, None, port
    return text, None, None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ValueError(f"expected a port from 1 to 65535, found {text!r}")
    return int(text)


def _with_interface(address: ipaddress.IPv4Address | ipaddress.IPv6Address, interface: str | None) -> str:
    if interface is None or not address.is_link_local or address.version == 4:
        # Outside fe80::/10 the interface says nothing (RFC 4007 section 6).
        return str(address)
    return f"{address}%{interface}"


def _server_name(scheme: str, name: str | None) -> str:
    if name is None:
        return ""
    if scheme == "dns":
        raise ValueError(f"%{name}: only tls:// and https:// upstreams have a server name")
    return _host_name(name)


def _host_name(text: str) -> str:
    # A name that ends in a number is a mistyped address: no top-level domain is one (RFC 3696 section 2).
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", text) or text.rstrip(".").rpartition(".")[2].isdigit():
        raise ValueError(f"neither an IP address, a file nor a host name: {text!r}")
    names.parse(text)
    return text


def nameservers(path: Path) -> list[Address]:
    """The name servers of a file in the format of resolv.conf; ValueError, with the line, for an unusable one."""
    with path.open("rb") as file:
        content = file.read(_MAX_FILE + 1)
    if len(content) > _MAX_FILE:
        raise ValueError(f"{path}: over {_MAX_FILE} octets; that is not a resolv.conf")
    found = []
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        match line.partition("#")[0].partition(";")[0].split():
            case ["nameserver", text, *_]:
                found.append(_nameserver(text, f"{path}:{number}"))
            case ["nameserver"]:
                raise ValueError(f"{path}:{number}: nameserver without an address")
    return found


def _nameserver(text: str, place: str) -> Address:
    host, sign, interface = text.partition("%")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{place}: expected an IP address behind nameserver, found {text!r}") from None
    return Address("dns", _with_interface(address, interface if sign and interface else None), _PORTS["dns"])
