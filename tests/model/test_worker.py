"""What the child loads; how it serves is told by the tests of the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from model import reranker as rerankers
from model import worker
from model.finder import Finder
from model.protocol import EngineConfig

BACKEND = object()
# Other than the cores of most machines, which torch takes by itself.
THREADS = 3
Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]


def load_backend(config: EngineConfig) -> object:
    """The engine is told of it by name."""
    return BACKEND


def config(retriever: Path | None) -> EngineConfig:
    return EngineConfig(
        Path("none"), backend="tests.model.test_worker:load_backend", retriever=retriever, threads=THREADS
    )


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What the lookups were loaded with; they are "lookups", and the reranker is "reranker"."""
    calls: Calls = []

    def load(*arguments: Any, **named: Any) -> str:
        calls.append((arguments, named))
        return "lookups"

    monkeypatch.setattr(Finder, "load", load)
    monkeypatch.setattr(rerankers, "load_reranker", lambda: "reranker")
    return calls


def test_lookups_are_judged_by_the_reranker_that_ships(loaded: Calls, tmp_path: Path) -> None:
    found: tuple[object, object] = worker._load(config(tmp_path))
    assert found == (BACKEND, "lookups")
    ((given, named),) = loaded
    assert given == (tmp_path, THREADS)
    assert named["reranker"]() == "reranker"


def test_the_reranker_works_with_as_many_threads_as_the_model(loaded: Calls, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        worker._load(config(tmp_path))
        assert torch.get_num_threads() == THREADS
    finally:
        torch.set_num_threads(before)


def test_without_dialogues_nothing_is_looked_up(loaded: Calls) -> None:
    found: tuple[object, object] = worker._load(config(None))
    assert found == (BACKEND, None)
    assert loaded == []
