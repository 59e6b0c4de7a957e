"""root: where relative file names start."""

from __future__ import annotations

from pathlib import Path

from .blocks import block, errors


def test_file_names_start_at_the_root(tmp_path: Path) -> None:
    assert block(f"root {tmp_path}").path("example.org.db") == tmp_path / "example.org.db"


def test_an_absolute_file_name_stays_as_it_is(tmp_path: Path) -> None:
    assert block(f"root {tmp_path}").path("/etc/hosts") == Path("/etc/hosts")


def test_a_root_that_may_be_mounted_later_is_only_warned_of(tmp_path: Path) -> None:
    [warning] = block(f"root {tmp_path}/later").warnings
    assert warning.severity == "warning"
    assert "does not exist" in warning.message
    assert warning.place is not None
    assert warning.place.column == 6


def test_a_file_as_root_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    [warning] = block(f"root {tmp_path}/file").warnings
    assert "is not a directory" in warning.message


def test_a_root_behind_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot look at" in errors(f"root {tmp_path}/file/below")


def test_root_takes_one_path_and_no_options() -> None:
    assert "expected: root PATH" in errors("root")
    assert "expected: root PATH" in errors("root / /tmp")
    assert "takes no options" in errors("root / {\nfoo\n}")
