"""What the child loads; how it serves is told by the tests of the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model import worker
from model.finder import Finder
from model.protocol import EngineConfig
from model.reranker import load_reranker

BACKEND = object()


def load_backend(config: EngineConfig) -> object:
    """The engine is told of it by name."""
    return BACKEND


def config(retriever: Path | None) -> EngineConfig:
    return EngineConfig(Path("none"), backend="tests.model.test_worker:load_backend", retriever=retriever, threads=2)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What the lookups were loaded with; they are "lookups"."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def load(*arguments: Any, **named: Any) -> str:
        calls.append((arguments, named))
        return "lookups"

    monkeypatch.setattr(Finder, "load", load)
    return calls


def test_lookups_are_judged_by_the_reranker_that_ships(loaded: list[object], tmp_path: Path) -> None:
    found: tuple[object, object] = worker._load(config(tmp_path))
    assert found == (BACKEND, "lookups")
    assert loaded == [((tmp_path, 2), {"reranker": load_reranker})]


def test_without_dialogues_nothing_is_looked_up(loaded: list[object]) -> None:
    found: tuple[object, object] = worker._load(config(None))
    assert found == (BACKEND, None)
    assert loaded == []
