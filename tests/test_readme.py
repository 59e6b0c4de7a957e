"""Every plugin's README is its contract: what it shows can be written, and what can be written it shows."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pydnsk8s import chain, corefile, testing
from pydnsk8s.listen import http
from pydnsk8s.plugins.health import Health
from tests import databases

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(path.parent for path in (ROOT / "plugins").glob("*/__init__.py"))
SECTIONS = [
    "Name", "Description", "Syntax", "Examples", "Metrics", "Ready", "Keep", "Differs from CoreDNS", "See Also",
]  # fmt: skip
OPTIONAL = {"Metrics", "Ready", "Differs from CoreDNS"}


class Shape(NamedTuple):
    """An option: its word (none for one that starts with a value) and how many words may follow."""

    word: str
    least: int
    most: float


def documented(readme: str) -> list[Shape]:
    """The options in the Syntax section: the indented lines of its text blocks."""
    syntax = readme.partition("\n## Syntax\n")[2].partition("\n## ")[0]
    lines = [line for block in re.findall(r"```text\n(.*?)```", syntax, re.DOTALL) for line in block.splitlines()]
    found = []
    for line in lines:
        if line[:1].isspace() and line.strip() not in ("}", "..."):
            first, _, rest = line.strip().rstrip("{").partition(" ")
            least, most = counted(iter(re.findall(r"[\[\]]|[^\s\[\]]+", rest)))
            found += [Shape("" if word.isupper() else word, least, most) for word in first.split("|")]
    return found


def counted(tokens: Iterator[str]) -> tuple[int, float]:
    """How many words at least and at most; brackets enclose what may be missing, ``...`` repeats."""
    least, most = 0, 0.0
    for token in tokens:
        if token == "]":
            break
        if token == "[":
            most += counted(tokens)[1]
        elif token == "...":
            most = math.inf
        else:
            least += 1
            most += math.inf if token.endswith("...") else 1
    return least, most


def understood(folder: Path) -> list[Shape]:
    """The options that the code takes: the heads of every ``match option.words``."""
    found = []
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Match) and isinstance(node.subject, ast.Attribute) and node.subject.attr == "words":
                for case in node.cases:
                    if not (len(case.body) == 1 and isinstance(case.body[0], ast.Raise)):
                        found += list(heads(case.pattern))
    return found


def heads(pattern: ast.pattern) -> Iterator[Shape]:
    match pattern:
        case ast.MatchOr(patterns=patterns):
            for one in patterns:
                yield from heads(one)
        case ast.MatchSequence(patterns=[first, *others]):
            starred = any(isinstance(other, ast.MatchStar) for other in others)
            least = sum(not isinstance(other, ast.MatchStar) for other in others)
            for word in words(first):
                yield Shape(word, least, math.inf if starred else least)


def words(pattern: ast.pattern) -> Iterator[str]:
    match pattern:
        case ast.MatchValue(value=ast.Constant(value=str(word))):
            yield word
        case ast.MatchOr(patterns=patterns):
            for one in patterns:
                yield from words(one)
        case ast.MatchAs(pattern=None):
            yield ""
        case ast.MatchAs(pattern=inner) if inner is not None:
            yield from words(inner)


def readme(folder: Path) -> str:
    return (folder / "README.md").read_text()


def blocks(path: Path) -> list[str]:
    return re.findall(r"^```corefile\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_readme_has_its_sections_in_order(folder: Path) -> None:
    text = readme(folder)
    assert text.startswith(f"# {folder.name}\n")
    found = re.findall(r"^## (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    assert found == [section for section in SECTIONS if section in found or section not in OPTIONAL]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_syntax_shown_is_the_syntax_understood(folder: Path) -> None:
    shown, taken = documented(readme(folder)), understood(folder)
    assert {shape.word for shape in shown} == {shape.word for shape in taken}
    for shape in shown:
        heads = [head for head in taken if head.word == shape.word]
        assert min(head.least for head in heads) <= shape.least, f"too few words shown: {shape}"
        assert max(head.most for head in heads) >= shape.most, f"too many words shown: {shape}"
    for head in taken:
        shapes = [shape for shape in shown if shape.word == head.word]
        assert any(shape.least <= head.most and head.least <= shape.most for shape in shapes), f"not shown: {head}"


EXAMPLES = [
    pytest.param(block, id=f"{path.parent.name}-{number}")
    for path in (ROOT / "README.md", *(folder / "README.md" for folder in FOLDERS))
    if path.exists()
    for number, block in enumerate(blocks(path), 1)
]


@pytest.fixture
def any_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages of an example go to free ports, for those it names may be somebody else's here; nobody lingers."""
    bind = http._open
    monkeypatch.setattr(http, "_open", lambda host, port: bind(host, 0))

    async def linger(self: Health) -> None:
        return

    monkeypatch.setattr(Health, "linger", linger)


@pytest.fixture
def databases_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The files that examples of geoip name are in the current directory."""
    for type in ("GeoLite2-City", "GeoLite2-Country", "GeoLite2-ASN", "sites"):
        databases.write(tmp_path / f"{type}.mmdb", databases.countries(DE="192.0.2.0/24"), type)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("any_free_port", "databases_at_hand")
@pytest.mark.parametrize("text", EXAMPLES)
async def test_an_example_starts_as_it_stands(text: str) -> None:
    async with testing.listening(text) as server:
        assert server.configuration is not None


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_readme_shows_an_example_of_its_directive(folder: Path) -> None:
    used = {
        directive.name
        for text in blocks(folder / "README.md")
        for block in corefile.parse(text, known=chain.known()).blocks
        for directive in block.directives
    }
    assert folder.name in used


@pytest.mark.usefixtures("any_free_port")
async def test_the_example_corefile_starts_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    async with testing.listening((ROOT / "Corefile.example").read_text()) as server:
        assert server.configuration is not None


def test_the_table_of_plugins_is_the_folder() -> None:
    linked = re.findall(r"\(plugins/([a-z0-9_]+)(?:/README\.md|/)?\)", (ROOT / "README.md").read_text())
    assert sorted(set(linked)) == [folder.name for folder in FOLDERS]


def test_links_of_the_readmes_lead_somewhere() -> None:
    for path in (ROOT / "README.md", *(folder / "README.md" for folder in FOLDERS)):
        for target in re.findall(r"\]\(((?!https?:|#|mailto:)[^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)}: {target}"


@pytest.mark.parametrize(
    ("line", "least", "most"),
    [
        ("", 0, 0),
        ("a", 1, 1),
        ("[a]", 0, 1),
        ("[a [b]]", 0, 2),
        ("a [b] c", 2, 3),
        ("a...", 1, math.inf),
        ("[a...]", 0, math.inf),
    ],
)
def test_words_are_counted_as_the_brackets_say(line: str, least: int, most: float) -> None:
    assert counted(iter(re.findall(r"[\[\]]|[^\s\[\]]+", line))) == (least, most)
