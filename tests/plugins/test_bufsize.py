"""bufsize: the largest reply over UDP."""

from __future__ import annotations

import pytest

from .blocks import block, errors


@pytest.mark.parametrize(("text", "limit"), [("bufsize", 1232), ('bufsize "1220"', 1220), ("bufsize 4096", 4096)])
def test_it_sets_the_limit_of_the_block(text: str, limit: int) -> None:
    assert block(text).limit == limit


@pytest.mark.parametrize("size", ["511", "4097", '"512 512"', "abc"])
def test_a_size_out_of_bounds_is_an_error(size: str) -> None:
    assert "512 to 4096" in errors(f"bufsize {size}")


def test_it_takes_one_size_and_no_options() -> None:
    assert "expected: bufsize [SIZE]" in errors("bufsize 512 1232")
    assert "takes no options" in errors("bufsize 512 {\nfoo\n}")
