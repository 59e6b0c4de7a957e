"""Gives the node the address that its pods ask: 169.254.20.10 on its loopback interface, as `ip address add` does.

The image has no `ip`. Run as root with CAP_NET_ADMIN in the node's network; an address that is there already is fine.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys

NEW_ADDRESS = 20  # RTM_NEWADDR of rtnetlink(7)
REQUEST, ACKNOWLEDGE, EXCLUSIVE, CREATE = 0x1, 0x4, 0x200, 0x400
ATTRIBUTE_ADDRESS, ATTRIBUTE_LOCAL = 1, 2
SCOPE_HOST = 254  # known to this node only


def main(address: str, interface: str = "lo") -> None:
    """Add the address to the interface."""
    packed = socket.inet_aton(address)
    attributes = b"".join(struct.pack("=HH4s", 8, kind, packed) for kind in (ATTRIBUTE_LOCAL, ATTRIBUTE_ADDRESS))
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, SCOPE_HOST, socket.if_nametoindex(interface)) + attributes
    flags = REQUEST | ACKNOWLEDGE | EXCLUSIVE | CREATE
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(body), NEW_ADDRESS, flags, 1, 0) + body)
        (error,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if -error not in (0, errno.EEXIST):
        sys.exit(f"cannot add {address} to {interface}: {os.strerror(-error)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
