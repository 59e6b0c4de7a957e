"""Every file of tests/scenarios is one test."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import scenario, scripted

FILES = sorted(Path(__file__).with_name("scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_scenario(path: Path, tmp_path: Path) -> None:
    with scripted.offered():
        await scenario.play(path, tmp_path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ask example.org A\n    NOERROR aa\n", "REFUSED rd"),
        ("ask example.org A\n    no reply\n", "REFUSED rd"),
        ("ask example.org A\n    REFUSED rd\n    example.org. 1 A 192.0.2.1\n", "the section answer is another"),
        ("ask example.org A\n    REFUSED rd\n    size 10\n", "octets"),
        ("ask example.org A loudly\n    REFUSED rd\n", "not understood: loudly"),
        ("wait for it\n", "not a step"),
        ("    NOERROR\n", "an indented line without a step"),
    ],
)
async def test_a_scenario_that_goes_otherwise_fails_where_it_does(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text(f"corefile\n    example.com {{\n        whoami\n    }}\n{text}" if text[0] != " " else text)
    with pytest.raises(scenario.ScenarioError, match=complaint) as error:
        await scenario.play(path, tmp_path)
    assert str(error.value).startswith("wrong.txt:")
