"""The whole turn of the wheel, with the model that ships: consent, talk, export, training, promotion, swap, forgetting.

The bot is a process of its own with its real client libraries and its schedule; so are the programs of training.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from benchmarks.stage import KEY, REAL, Stage
from bot import privacy
from model.manifest import CURRENT, read_manifest

ROOT = Path(__file__).resolve().parents[1]
SHARER, REMEMBERER, STRANGER, DISCORD = 1001, 1002, 1003, 2001
WORSE, BETTER = ("--learning-rate", "0.05"), ("--learning-rate", "1e-6")
# Small samples: what the gates are worth is measured elsewhere.
QUICK = ("--examples", "12", "--scored", "40", "--samples", "60", "--generations", "12")
# Everyday lines without a name, and what marks them as one person's: each says the same of another thing.
THINGS = {SHARER: "산책", REMEMBERER: "요리", STRANGER: "운동", DISCORD: "낮잠"}
LINES = (
    "오늘은 {} 덕분에 기분이 좋아",
    "아침에 일어나서 {}부터 했어",
    "요즘은 {} 생각만 해도 웃음이 나",
    "비가 오면 {} 하기가 어렵지",
    "{} 다음에는 꼭 따뜻한 차를 마셔",
    "주말에도 {} 하고 싶어",
    "혼자 하는 {} 시간도 참 좋더라",
    "저녁을 먹고 {} 하러 갈 거야",
)


def lines_of(person: int) -> list[str]:
    return [line.format(THINGS[person]) for line in LINES]


class Talk:
    """People who wait for each answer before they go on."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def say(self, person: int, *texts: str) -> list[str]:
        """What was answered, one message for each."""
        platform = "discord" if person == DISCORD else "telegram"
        stand_in = self._stage.discord if person == DISCORD else self._stage.telegram
        answers = []
        for text in texts:
            before = self._heard(platform, person)
            await self._stage.say(platform, person, text)
            await stand_in.until(partial(self._has_more, platform, person, len(before)), 60)
            answers.append(self._heard(platform, person)[len(before)])
        return answers

    def _has_more(self, platform: str, person: int, count: int) -> bool:
        return len(self._heard(platform, person)) > count

    def _heard(self, platform: str, person: int) -> list[str]:
        return [shown.text for shown in self._stage.shown(platform) if shown.person == person]


async def python(*arguments: str) -> int:
    """Run a program to its end; its status."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MALBEOT_KEY": KEY, "OMP_NUM_THREADS": "1"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, cwd=ROOT, env=environment)
    return await process.wait()


def shared(exports: Path) -> list[dict[str, object]]:
    """The lines of all files of the one export."""
    (folder,) = (path.parent for path in exports.glob("*/manifest.json"))
    files = [*sorted(folder.glob("dialogues-*.jsonl")), folder / "held_out.jsonl"]
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def said_in(dialogues: Sequence[dict[str, object]]) -> set[str]:
    turns = [turn for dialogue in dialogues for turn in dialogue["turns"]]  # type: ignore[attr-defined]
    return {turn["text"] for turn in turns if turn["speaker"] == "user"}


def newest_version(database: Path) -> str:
    """The model of the newest reply."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        query = "SELECT model_version FROM replies ORDER BY id DESC LIMIT 1"
        return str(connection.execute(query).fetchone()[0])


async def agree(talk: Talk) -> None:
    """Three people on Telegram and one on Discord: to training too, to memory, to nothing, to memory."""
    age, memory, training = "/consent 나이 18", "/consent 기억 예", "/consent 학습 예"
    assert (await talk.say(SHARER, age, memory, training))[-1] == privacy.TRAINING_YES
    await talk.say(REMEMBERER, age, memory, "/consent 학습 아니요")
    assert (await talk.say(DISCORD, age, memory, training))[-1] == privacy.NO_TRAINING_HERE


def versions(models: Path) -> set[str]:
    return {path.parent.name for path in models.glob("*/config.json")}


async def learn(models: Path, exports: Path, *options: str) -> str:
    """Fine-tune, and return the new version."""
    before = versions(models)
    places = ("--models", str(models), "--exports", str(exports))
    few = ("--replay", "0", "--max-steps", "3", "--batch-size", "8")
    assert await python("training.finetune", *places, *few, "--cpu", *options) == 0
    (new,) = versions(models) - before
    return new


async def until_answered_by(talk: Talk, database: Path, version: str) -> None:
    async with asyncio.timeout(120):
        while newest_version(database) != version:
            await talk.say(STRANGER, "지금 뭐 하고 있어?")


def wait_until_left(exports: Path, model: Path) -> None:
    """Nobody is in the exports any more, and the model says so."""
    end = time.monotonic() + 60
    while shared(exports) or (manifest := read_manifest(model)) is None or manifest.tainted is None:
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_what_people_share_becomes_the_model_that_answers_and_leaves_it_again(tmp_path: Path) -> None:
    models, exports = tmp_path / "models", tmp_path / "exports"
    models.mkdir()
    places = ("--models", str(models), "--exports", str(exports))
    async with Stage.open() as stage:
        database = stage.folder / "malbeot.db"
        process = await stage.start(REAL, MALBEOT_MODELS=str(models), MALBEOT_EXPORTS=str(exports))
        try:
            talk = Talk(stage)
            await agree(talk)
            await asyncio.gather(*(talk.say(person, *lines_of(person)) for person in THINGS))

            assert await python("training.export", "--database", str(database), "--out", str(exports)) == 0
            assert said_in(shared(exports)) == set(lines_of(SHARER))

            worse = await learn(models, exports, *WORSE)
            assert await python("training.promote", worse, *places, *QUICK) == 1
            assert not (models / CURRENT).exists()
            better = await learn(models, exports, *BETTER)
            assert await python("training.promote", better, *places, *QUICK) == 0
            await until_answered_by(talk, database, better)

            assert (await talk.say(SHARER, "/forget 예"))[-1] == privacy.FORGOTTEN
            await asyncio.to_thread(wait_until_left, exports, models / better)
            assert process.returncode is None
        finally:
            process.terminate()
            await process.wait()
