"""Ports for servers that are processes of their own: they are told which one before they open it."""

from __future__ import annotations

import random
import socket

# Below those that Linux takes for connections and for port 0 (ip_local_port_range): there, another
# socket may take a port between this look at it and its use.
_PORTS = range(20_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that neither UDP nor TCP uses, and that no call has given before."""
    while True:
        port = random.choice(_PORTS)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            try:
                stream.bind(("127.0.0.1", port))
                datagrams.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
