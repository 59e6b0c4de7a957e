"""The addresses of this machine's network interfaces, as the kernel lists them.

One rtnetlink dump gives both families (RFC 3549 section 2.3.3), as the C library's getifaddrs does it.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator, Sequence

_REQUEST = struct.Struct("=IHHII BBBBI")  # nlmsghdr, ifaddrmsg
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface index
_ATTRIBUTE = struct.Struct("=HH")  # length, type

_RTM_NEWADDR = 20
_RTM_GETADDR = 22
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_LARGEST = 1 << 16  # octets of one datagram; the kernel sends at most 32 KiB


def addresses() -> dict[str, tuple[str, ...]]:
    """Every interface's addresses in text, a link-local IPv6 one with its zone; OSError if the kernel will not say."""
    interfaces = dict(socket.if_nameindex())
    found: dict[str, list[str]] = {name: [] for name in interfaces.values()}
    for index, packed in _listed():
        name = interfaces.get(index)
        if name is not None:  # else it has come up in between
            address = ipaddress.ip_address(packed)
            zone = f"%{name}" if address.version == 6 and address.is_link_local else ""
            found[name].append(f"{address}{zone}")
    return {name: tuple(texts) for name, texts in found.items()}


def reachable(bound: Sequence[str]) -> list[bytes]:
    """The packed addresses that others can ask us at: those bound, or all but the loopback's and link-local ones."""
    hosts = [ipaddress.ip_address(host.partition("%")[0]) for host in bound]
    if hosts and not any(host.is_unspecified for host in hosts):
        return [host.packed for host in hosts]
    held = (ipaddress.ip_address(text.partition("%")[0]) for texts in addresses().values() for text in texts)
    return [each.packed for each in held if not (each.is_loopback or each.is_link_local)]


def _listed() -> Iterator[tuple[int, bytes]]:
    """Interface index and packed address of each address there is."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(1)
        kernel.send(_REQUEST.pack(_REQUEST.size, _RTM_GETADDR, _DUMP, 1, 0, socket.AF_UNSPEC, 0, 0, 0, 0))
        while True:
            answer = kernel.recv(_LARGEST)
            at = 0
            while at < len(answer):
                length, kind, *_ = _HEADER.unpack_from(answer, at)
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    raise OSError("the kernel does not list the interfaces' addresses")
                if kind == _RTM_NEWADDR:
                    yield _address(answer[at + _HEADER.size : at + length])
                at += _aligned(length)


def _address(message: bytes) -> tuple[int, bytes]:
    index = _ADDRESS.unpack_from(message)[4]
    at, found = _ADDRESS.size, {}
    while at < len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        found[kind] = message[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    # On a point-to-point link IFA_ADDRESS is the other end's, IFA_LOCAL ours.
    return index, found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]


def _aligned(length: int) -> int:
    """Everything in a netlink message begins at a multiple of four octets."""
    return (length + 3) & ~3
