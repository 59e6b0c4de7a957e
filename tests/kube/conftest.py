"""An API server for each test that asks for one, and clients that do not wait long before they come back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pydnsk8s.kube import watch

from .api_server import ApiServer


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_FIRST_DELAY", 0.02)
    monkeypatch.setattr(watch, "_LAST_DELAY", 0.1)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    api = ApiServer()
    yield api
    api.close()
