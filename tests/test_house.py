"""The house rules that a reviewer should not have to look for: imports point one way, nothing grows too long."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pydnsk8s"
FILES = sorted(
    path
    for top in (PACKAGE, ROOT / "plugins")
    for path in top.rglob("*.py")
    if "stubs" not in path.parts and (PACKAGE / "plugins") not in path.parents
)

GROUND = {"background", "clock", "codes", "files", "keep", "log", "names", "survey", "version"}
MATTER = GROUND | {"abilities", "corefile", "message", "metrics", "rdata", "relay", "response", "subnet", "wire"}
SERVING = MATTER | {"chain", "collector", "configuration", "gate", "listen", "plugin", "router"}
MAY_IMPORT: dict[str, set[str]] = {
    "background": set(),
    "clock": set(),
    "collector": set(),
    "files": set(),
    "codes": set(),
    "keep": set(),
    "log": set(),
    "names": set(),
    "survey": {"keep"},
    "version": set(),
    "rdata": {"codes", "names"},
    "metrics": {"codes", "names"},
    "message": {"codes", "keep", "names"},
    "relay": {"keep", "message"},
    "corefile": {"names"},
    "response": {"codes", "message", "names"},
    "subnet": {"codes", "keep", "message"},
    "wire": {"codes", "keep", "message", "names", "rdata", "subnet"},
    "gate": {"codes", "keep", "message", "names", "survey", "wire"},
    "abilities": {"message", "relay", "survey"},
    "plugin": {"codes", "corefile", "keep", "message", "metrics", "names", "relay", "survey"},
    "geo": MATTER,
    "zone": MATTER,
    "etcd": MATTER,
    "kube": MATTER,
    "upstream": MATTER,
    "chain": MATTER | {"plugin", "plugins"},
    "router": MATTER | {"plugin", "survey"},
    "configuration": MATTER | {"chain", "plugin", "router"},
    "listen": MATTER | {"gate", "plugin", "router"},
    "server": SERVING,
    "testing": SERVING | {"server"},
    "explain": SERVING | {"testing"},
    "cli": SERVING | {"etcd", "explain", "server"},
    "__init__": SERVING | {"server"},
    "__main__": {"cli"},
    "plugins": MATTER | {"etcd", "geo", "kube", "plugin", "upstream", "zone", "listen.http", "listen.interfaces"},
}
"""Which rooms a room may know; knowing itself goes without saying."""
BUILT_ON = {"plugins.k8s_external": {"plugins.kubernetes"}}
"""Plugins that are nothing without another one: they may know it."""

CATCH_ALL = {
    "router.py": "a plugin's fault must not take the others down",
    "server.py": "a reload that fails leaves the old configuration, and one plugin that cannot stop the others",
    "gate/family.py": "a plugin's fault must not end the reading of packets",
    "listen/port.py": "the same, once the reply is made",
    "background.py": "what keeps data fresh must not end for good",
    "kube/watch.py": "as background.py, in a thread",
    "listen/begin.py": "it tells the loop's exception handler, as a task of asyncio's does",
}
"""The only places that catch whatever comes, and why."""

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60
LONG: dict[str, str] = {}
"""Files and functions (`path` or `path:name`) that may be longer, and why."""


def place(path: Path) -> str:
    """The path as a reader names it, such as ``listen/udp.py`` or ``plugins/hosts/__init__.py``."""
    return str(path.relative_to(PACKAGE if PACKAGE in path.parents else ROOT))


def room(path: Path) -> str:
    return Path(place(path)).parts[0].removesuffix(".py")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, such as ``names`` or ``listen.http``; siblings left out."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module == "pydnsk8s":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            module = node.module.removeprefix("pydnsk8s.")
            if module != node.module:
                yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix("pydnsk8s.") for alias in node.names if alias.name.startswith("pydnsk8s")
            )


def test_every_room_has_its_rule() -> None:
    rooms = {room(path) for path in FILES}
    assert rooms - MAY_IMPORT.keys() == set()


@pytest.mark.parametrize("path", FILES, ids=place)
def test_imports_point_one_way(path: Path) -> None:
    own = "plugins." + path.parent.name if room(path) == "plugins" else room(path)
    allowed = MAY_IMPORT[room(path)] | {own} | BUILT_ON.get(own, set())
    strangers = [
        name for name in imported(path) if not any(name == known or name.startswith(known + ".") for known in allowed)
    ]
    assert strangers == [], f"{place(path)} may not import these"


def test_the_rules_have_no_circle() -> None:
    standing: set[str] = set()
    waiting = {
        name: {allowed.partition(".")[0] for allowed in rooms} - {name}
        for name, rooms in MAY_IMPORT.items()
        if name != "plugins"
    }
    # The chain loads plugins by name: that one arrow points both ways.
    standing.add("plugins")
    while ready := {name for name, rooms in waiting.items() if rooms <= standing}:
        standing |= ready
        waiting = {name: rooms for name, rooms in waiting.items() if name not in ready}
    assert waiting == {}


@pytest.mark.parametrize("path", FILES, ids=place)
def test_nothing_swallows_what_it_does_not_know(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else {"Exception"}
        where = f"{place(path)}:{node.lineno}"
        if "Exception" in caught:
            assert place(path) in CATCH_ALL, f"{where}: except Exception"
        if "BaseException" in caught:
            assert isinstance(node.body[-1], ast.Raise), f"{where}: except BaseException without raise"


@pytest.mark.parametrize("path", FILES, ids=place)
def test_every_public_thing_has_its_sign(path: Path) -> None:
    parsed = tree(path)
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    things = [node for node in parsed.body if isinstance(node, kinds) and not node.name.startswith("_")]
    assert ast.get_docstring(parsed), f"{place(path)} has no docstring"
    assert [node.name for node in things if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("path", FILES, ids=place)
def test_nothing_is_too_long_to_read(path: Path) -> None:
    text = path.read_text()
    if place(path) not in LONG:
        assert text.count("\n") <= MOST_LINES, f"{place(path)} is too long"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and f"{place(path)}:{node.name}" not in LONG:
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MOST_LINES_OF_A_FUNCTION, f"{place(path)}:{node.lineno} {node.name} is too long"


def test_nothing_is_excused_that_is_gone() -> None:
    for name in (*LONG, *CATCH_ALL):
        file = name.partition(":")[0]
        assert any(place(path) == file for path in FILES), name


def test_no_room_is_for_odds_and_ends() -> None:
    assert {path.stem for path in FILES} & {"base", "common", "helper", "helpers", "misc", "util", "utils"} == set()
