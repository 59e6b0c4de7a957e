"""Snippets and imported files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydnsk8s.corefile import CorefileError, dump, imports, load, parse

Files = dict[str, str]


def write(folder: Path, files: Files) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "Corefile"


def complaint(path: Path) -> str:
    with pytest.raises(CorefileError) as caught:
        load(path, known=["log", "errors", "health"])
    return str(caught.value)


def test_a_snippet_stands_for_its_lines_wherever_it_is_imported() -> None:
    text = """\
(common) {
    errors
    import nested
}
(nested) {
    log
}
(options) {
    lameduck 5s
}
. {
    import common
    health {
        import options
    }
}
"""
    assert (
        dump(parse(text))
        == """\
. {
    errors
    log
    health {
        lameduck 5s
    }
}
"""
    )


def test_a_snippet_may_hold_whole_blocks() -> None:
    assert dump(parse("(blocks)\n{\n. {\n log { class error }\n }\n}\nimport blocks")) == (
        ". {\n    log {\n        class error\n    }\n}\n"
    )


def test_files_are_found_beside_the_file_that_imports_them(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {
            "Corefile": ". {\n import conf/first\n}\nimport blocks/*.server\n",
            "conf/first": "log\nimport second\n",
            "conf/second": "health {\n import options\n}\n",
            "conf/options": "lameduck 1s",
            "blocks/b.server": "example.net {\n log\n}\n",
            "blocks/a.server": "example.org {\n log\n}",
            "blocks/..hidden.server": "nonsense",
            "blocks/other": "nonsense",
        },
    )
    corefile = load(path)
    assert [block.keys[0].text for block in corefile.blocks] == [".", "example.org", "example.net"]
    assert [directive.name for directive in corefile.blocks[0].directives] == ["log", "health"]
    names = ["Corefile", "conf/first", "conf/second", "conf/options", "blocks/a.server", "blocks/b.server"]
    assert corefile.files == tuple(str(tmp_path / name) for name in names)


def test_files_are_found_from_the_working_directory_for_a_bare_file_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"Corefile": "import ?.conf", "a.conf": ". {\n log\n nosuch\n}"})
    monkeypatch.chdir(tmp_path)
    assert "a.conf:3:2: error: unknown directive 'nosuch'" in complaint(Path("Corefile"))
    assert load(Path("Corefile")).files == (str(tmp_path / "Corefile"), str(tmp_path / "a.conf"))


def test_an_absolute_path_or_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, {"a/1.conf": "log", "b/1.conf": "errors"})
    (block,) = parse(f". {{\n import {tmp_path}/b/1.conf\n import {tmp_path}/*/1.conf\n}}").blocks
    assert [directive.name for directive in block.directives] == ["errors", "log", "errors"]


def test_the_folder_of_a_relative_pattern_is_no_pattern(tmp_path: Path) -> None:
    path = write(tmp_path, {"[x]*/Corefile": ". {\n import *.conf\n}", "[x]*/a.conf": "log"})
    assert path.parent / "[x]*/a.conf" == Path(load(tmp_path / "[x]*/Corefile").files[1])


def test_a_pattern_that_matches_nothing_is_a_warning(tmp_path: Path) -> None:
    corefile = load(write(tmp_path, {"Corefile": ". {\n    import custom/*.override\n    log\n}\n"}))
    assert [directive.name for directive in corefile.blocks[0].directives] == ["log"]
    assert str(corefile.warnings[0]) == (
        f"{tmp_path}/Corefile:2:12: warning: no file matches 'custom/*.override'\n"
        "    import custom/*.override\n"
        "           ^^^^^^^^^^^^^^^^^"
    )


def test_a_change_in_an_imported_file_changes_the_digest(tmp_path: Path) -> None:
    path = write(tmp_path, {"Corefile": ". {\n import x\n}", "x": "log"})
    before = load(path).digest
    write(tmp_path, {"x": "log # the same"})
    assert load(path).digest == before
    write(tmp_path, {"x": "errors"})
    assert load(path).digest != before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import", "1:1: error: import takes one argument"),
        ("import a b", "1:10: error: import takes one argument"),
        ("import a {\n x\n}\n", "1:10: error: import takes one argument"),
        ('import ""', "1:8: error: import needs the name of a snippet or file"),
        ("import nothing", "1:8: error: file to import not found: nothing"),
        ("import */*.conf", "1:8: error: too many wildcards in '*/*.conf'"),
        ("import [ab].conf", "1:8: error: too many wildcards in '[ab].conf'"),
        ("import folder", "1:8: error: cannot import {folder}/folder: Is a directory"),
        ("(a) {\n log\n}\n(a) {\n errors\n}\n", "4:1: error: the snippet 'a' is already defined"),
        ("(a)\nlog\n", "1:1: error: expected '{{' after '(a)'"),
        ("(a) {\n log\n", "1:5: error: this '{{' is never closed"),
        (". {\n import later\n}\n(later) {\n log\n}\n", "2:9: error: file to import not found: later"),
        ("(a) {\n import a\n}\n. {\n import a\n}\n", "2:9: error: 'a' imports itself"),
        ("(a) {\n import b\n}\n(b) {\n import a\n}\nimport a\n", "5:9: error: 'a' imports itself"),
        ("import Corefile", "1:8: error: 'Corefile' imports itself"),
    ],
)
def test_an_import_that_cannot_be_is_an_error(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, {"Corefile": text, "folder/x": ""})
    assert f"{path}:{expected.format(folder=tmp_path)}" in complaint(path)


def test_a_pattern_that_matches_its_own_file_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, {"Corefile": "import folder/../Core*", "folder/x": ""})
    assert "error: 'folder/../Core*' imports itself" in complaint(path)


def test_a_misspelt_snippet_is_recognised() -> None:
    with pytest.raises(CorefileError, match="did you mean 'common'"):
        parse("(common) {\n log\n}\n. {\n import comon\n}\n")


def test_errors_in_an_imported_file_name_that_file(tmp_path: Path) -> None:
    path = write(tmp_path, {"Corefile": ". {\n import x\n nosuch\n}", "x": "log\n  lgo\n"})
    message = complaint(path)
    assert f"{tmp_path}/x:2:3: error: unknown directive 'lgo'" in message
    assert f"{path}:3:2: error: unknown directive 'nosuch'" in message


def test_a_file_may_be_imported_more_than_once_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    doubling = "".join(f"({n}) {{\n import {n - 1}\n import {n - 1}\n}}\n" for n in range(1, 40))
    with pytest.raises(CorefileError, match="more than 10000 snippets imported"):
        parse(f"(0) {{\n log\n}}\n{doubling}. {{\n import 39\n}}\n")
    monkeypatch.setattr(imports, "MAX_LINES", 100)
    with pytest.raises(CorefileError, match="the imports bring in more than 100 lines"):
        parse("(a) {\n" + " log\n" * 60 + "}\n. {\n import a\n import a\n}\n")


def test_the_number_of_imported_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MAX_FILES", 3)
    path = write(tmp_path, {"Corefile": ". {\n" + " import x\n" * 4 + "}\n", "x": "log"})
    assert "more than 3 files imported" in complaint(path)
