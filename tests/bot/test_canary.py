"""The candidate on a share of the conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.canary import Canary, is_chosen
from bot.messages import ConversationKey
from model.dialogue import Responder
from model.errors import BadCheckpoint
from model.manifest import CANDIDATE
from tests.bot.fakes import ScriptedResponder

KEYS = [ConversationKey("telegram", str(number)) for number in range(2000)]


class Engines:
    """Starts fakes, and remembers which ran and which still run."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.broken: set[str] = set()

    @asynccontextmanager
    async def start(self, folder: Path) -> AsyncIterator[Responder]:
        if folder.name in self.broken:
            raise BadCheckpoint("broken")
        self.running.append(folder.name)
        try:
            yield ScriptedResponder(lambda context: folder.name)
        finally:
            self.running.remove(folder.name)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
    return tmp_path


def point(models: Path, version: str) -> None:
    (models / CANDIDATE).write_text(version + "\n", encoding="utf-8")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_share_is_that_large_and_always_the_same(share: float) -> None:
    chosen = [is_chosen(key, share) for key in KEYS]
    assert chosen == [is_chosen(key, share) for key in KEYS]
    assert abs(sum(chosen) / len(KEYS) - share) < 0.03


def test_who_is_in_a_share_is_in_every_larger_one() -> None:
    assert all(is_chosen(key, 0.3) for key in KEYS if is_chosen(key, 0.1))


async def test_the_pointer_is_followed(models: Path) -> None:
    engines = Engines()
    canary = Canary(models, 0.5, engines.start)
    assert await canary.follow() is None
    point(models, "v1")
    assert "v1" in (await canary.follow() or "")
    assert await canary.follow() is None
    assert engines.running == ["v1"]
    answering = [key for key in KEYS if canary.responder(key) is not None]
    assert answering == [key for key in KEYS if is_chosen(key, 0.5)]
    point(models, "v2")
    await canary.follow()
    assert engines.running == ["v2"]
    (models / CANDIDATE).unlink()
    assert "거두었어요" in (await canary.follow() or "")
    assert engines.running == []
    assert all(canary.responder(key) is None for key in KEYS)


async def test_without_a_share_no_candidate_runs(models: Path) -> None:
    engines = Engines()
    point(models, "v1")
    assert await Canary(models, 0.0, engines.start).follow() is None
    assert engines.running == []


async def test_a_candidate_that_cannot_be_loaded_is_tried_once(models: Path) -> None:
    engines = Engines()
    engines.broken = {"v1"}
    canary = Canary(models, 1.0, engines.start)
    point(models, "v1")
    with pytest.raises(BadCheckpoint):
        await canary.follow()
    assert await canary.follow() is None
    assert canary.responder(KEYS[0]) is None
    point(models, "v2")
    await canary.follow()
    assert engines.running == ["v2"]
    await canary.close()
    assert engines.running == []
