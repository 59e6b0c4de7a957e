"""Zones without an etcd: keys and values put into the plugin's tree as a mirror would."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias
from unittest.mock import patch

from pydnsk8s import testing
from pydnsk8s.etcd.access import Access
from pydnsk8s.etcd.tree import Tree
from pydnsk8s.plugins.etcd import Etcd

Pairs: TypeAlias = Mapping[str, Mapping[str, object] | str]
"""Keys without the prefix, and their values: fields, or JSON as it is."""


def put(tree: Tree, pairs: Pairs, lease: int = 0) -> None:
    """Write as etcd would tell of it."""
    for key, value in pairs.items():
        document = value if isinstance(value, str) else json.dumps(value)
        tree.put(tree.prefix + key.encode(), document.encode(), lease)


def remove(tree: Tree, *keys: str) -> None:
    """Delete likewise."""
    for key in keys:
        tree.remove(tree.prefix + key.encode())


class Still:
    """A mirror that has listed everything and hears of nothing."""

    def __init__(self, access: Access, tree: Tree) -> None:
        self.tree = tree

    async def start(self, within: float) -> None:
        self.tree.complete()

    async def stop(self) -> None:
        pass


@asynccontextmanager
async def serving(
    pairs: Pairs, options: str = "", zones: str = "example.org", more: str = ""
) -> AsyncIterator[tuple[testing.Dns, Tree]]:
    """A server for these pairs, asked in memory, and the tree to change; ``more`` are other server blocks."""
    with patch("pydnsk8s.etcd.mirror.Mirror", Still):
        async with testing.serving(f"{zones} {{\n etcd {{\n{options}\n }}\n}}\n{more}") as dns:
            (plugin,) = (plugin for plugin in dns.plugins if isinstance(plugin, Etcd))
            put(plugin.tree, pairs)
            yield dns, plugin.tree
