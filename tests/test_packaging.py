"""What is published: a wheel with every plugin and nothing beside the package, and a place for plugins of others."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT_BEHIND = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "node_modules")
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built from it."""
    if importlib.util.find_spec("build") is None and "CI" not in os.environ:
        pytest.skip("needs the package build; tests/run installs it")
    source, output = tmp_path_factory.mktemp("source") / "checkout", tmp_path_factory.mktemp("dist")
    shutil.copytree(ROOT, source, symlinks=True, ignore=LEFT_BEHIND)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return output


@pytest.fixture(scope="module")
def wheel(built: Path) -> set[str]:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_package_and_nothing_beside_it(wheel: set[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert "pydnsk8s" in tops
    assert {top for top in tops - {"pydnsk8s"} if not top.endswith(".dist-info")} == set()


def test_the_wheel_holds_every_room(wheel: set[str]) -> None:
    here = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "pydnsk8s").rglob("*.py")
        if (ROOT / "pydnsk8s" / "plugins") not in path.parents
    }
    assert here <= wheel
    assert "pydnsk8s/py.typed" in wheel


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_wheel_holds_a_plugin_with_its_manual_page(wheel: set[str], plugin: str) -> None:
    assert f"pydnsk8s/plugins/{plugin}/README.md" in wheel
    for path in (ROOT / "plugins" / plugin).glob("*.py"):
        assert f"pydnsk8s/plugins/{plugin}/{path.name}" in wheel


def test_the_sdist_holds_what_the_wheel_is_made_of(built: Path, wheel: set[str]) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in wheel if ".dist-info/" not in name} <= held


def test_the_wheel_runs_away_from_the_checkout(built: Path, tmp_path: Path) -> None:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    listed = python(tmp_path, "-m", "pydnsk8s", "-plugins")
    assert {f"dns.{plugin}" for plugin in PLUGINS} <= set(listed.splitlines())
    where = python(tmp_path, "-c", "import pydnsk8s.plugins.hosts as it; print(it.__file__)")
    assert where.strip() == str(tmp_path / "pydnsk8s" / "plugins" / "hosts" / "__init__.py")


def python(folder: Path, *words: str, fails: bool = False) -> str:
    """What a Python says that finds packages in this folder first."""
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_plugins_cannot_be_imported_under_a_second_name() -> None:
    assert "ImportError: import pydnsk8s.plugins, not plugins" in python(ROOT, "-c", "import plugins", fails=True)


OTHER = """
from pydnsk8s import Plugin, Query, Record, Reply, Rest, codes, rdata

class Motd(Plugin):
    name = "motd"
    {place}

    @classmethod
    def setup(cls, directive, block):
        return cls()

    async def answer(self, query: Query, rest: Rest) -> Reply:
        return Reply(answer=[Record(query.name, codes.TXT, 5, rdata.txt(b"hello"))])
"""
COREFILE = "example.org {\n    motd\n    whoami\n}\n"


def install(folder: Path, place: str, entry: str = "motd = motd_plugin:Motd") -> None:
    """What pip leaves behind for a distribution with one plugin."""
    (folder / "motd_plugin.py").write_text(OTHER.format(place=place))
    info = folder / "motd_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: motd-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[pydnsk8s.plugins]\n{entry}\n")
    (folder / "Corefile").write_text(COREFILE)
    # The package itself is found there, too, wherever it is installed.
    (folder / "pydnsk8s").symlink_to(ROOT / "pydnsk8s")


def test_a_plugin_of_another_package_is_found(tmp_path: Path) -> None:
    install(tmp_path, 'before = "whoami"')
    assert "dns.motd" in python(tmp_path, "-m", "pydnsk8s", "-plugins")
    assert python(tmp_path, "-m", "pydnsk8s", "check") == "no problems\n"
    told = python(tmp_path, "-m", "pydnsk8s", "explain", "example.org", "TXT")
    assert 'example.org. 5 TXT "hello"' in told
    assert told.index("  motd ") < told.index("  whoami ")


def test_a_plugin_that_wants_to_stand_behind_another_does(tmp_path: Path) -> None:
    install(tmp_path, 'after = "whoami"')
    told = python(tmp_path, "-m", "pydnsk8s", "explain", "example.org", "TXT")
    assert told.index("  whoami ") < told.index("  motd ")
    assert "NOERROR by whoami" in told


@pytest.mark.parametrize(
    ("place", "entry", "complaint"),
    [
        ('before = "whomai"', "motd = motd_plugin:Motd", "'whomai', which is not in the order"),
        ("", "motd = motd_plugin:Motd", "does not say where it stands"),
        ("", "motd = motd_plugin:codes", "is not a plugin class"),
        ("", "motd = no_such_module:Motd", "no_such_module"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_an_error_at_its_directive(
    tmp_path: Path, place: str, entry: str, complaint: str
) -> None:
    install(tmp_path, place, entry)
    told = python(tmp_path, "-m", "pydnsk8s", "check", fails=True)
    assert "Corefile:2:5" in told
    assert complaint in told
    assert "Traceback" not in told
