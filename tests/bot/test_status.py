"""What `python -m bot status` tells."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from bot.job_log import JobLog, jobs_file
from bot.messages import ConversationKey, Feedback, Judgement
from bot.settings import Settings
from bot.status import status
from bot.store.cipher import Cipher, load_key
from bot.store.judgements import Votes
from bot.store.store import Exchange, Store
from model.dialogue import Source
from model.manifest import point_current
from tests.model.conftest import make_checkpoint

CHAT = ConversationKey("console", "1")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


async def shown(settings: Settings) -> str:
    shown_on = io.StringIO()
    Console(width=160, file=shown_on).print(await status(settings, NOW))
    return shown_on.getvalue()


def settings_in(folder: Path) -> Settings:
    return Settings(database=folder / "data" / "m.db", key_file=folder / "key", models=folder / "models")


async def reply(store: Store, version: str, at: datetime, *judgements: Judgement) -> None:
    recorded = await store.add_exchange(CHAT, Exchange("안녕", "네", version, Source.GENERATOR, at))
    for judgement in judgements:
        await store.judge(Feedback(CHAT, "1", judgement, reply_id=recorded.reply_id))


async def test_a_new_bot_has_little_to_tell(tmp_path: Path) -> None:
    told = await shown(settings_in(tmp_path))
    assert "지금 대답하는 모델" in told
    assert "백업이 아직 없어요" in told
    assert "아직 나눈 이야기가 없어요" in told
    assert "때맞춰 하는 일은 아직 없었어요" in told
    assert not (tmp_path / "data").exists()


async def test_models_votes_and_jobs_are_told(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    make_checkpoint(tmp_path / "models" / "v2", "malbeot")
    point_current(tmp_path / "models", "v2", "candidate")
    (tmp_path / "data").mkdir()
    cipher = Cipher(load_key(None, settings.key_file, settings.database, create=True).key)
    async with Store.open(settings.database, cipher, lambda: NOW) as store:
        await reply(store, "v1", NOW, Judgement.UP, Judgement.RETRY)
        await reply(store, "v2", NOW, Judgement.DOWN)
    log = JobLog(jobs_file(settings))
    log.started("export", NOW - timedelta(hours=9))
    log.finished("export", NOW - timedelta(hours=9), False, "자리가 없어요.")
    told = await shown(settings)
    assert "시험하는 모델: tiny-malbeot" in told
    assert "자리가 없어요." in told
    (first,) = [line for line in told.splitlines() if " v1 " in line]
    (second,) = [line for line in told.splitlines() if " v2 " in line and "%" in line and "시험" not in line]
    assert first.replace("│", " ").split()[1:] == ["1", "1", "0", "1", "0", "100%"]
    assert second.replace("│", " ").split()[1:] == ["1", "0", "1", "0", "0", "0%"]


async def test_votes_of_long_ago_do_not_count(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "m.db", Cipher(bytes(32)), lambda: NOW) as store:
        await reply(store, "v1", NOW - timedelta(days=31), Judgement.UP)
        await reply(store, "v1", NOW, Judgement.CORRECTION)
        assert await store.votes(NOW - timedelta(days=30)) == {"v1": Votes(replies=1, corrected=1)}
