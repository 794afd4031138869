"""`python -m bot status`: which model answers, what people think of it, what the jobs did and do next. Only reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table

from bot.app import open_cipher
from bot.backup import backups, made_at
from bot.errors import BotError
from bot.flywheel import places
from bot.job_log import Record, jobs_file, read_jobs
from bot.settings import Settings
from bot.store.judgements import Votes
from bot.store.store import Store
from model.errors import ModelError
from model.manifest import CANDIDATE, current, read_manifest

VOTES_OVER = timedelta(days=30)
_TITLES = {
    "backup": "백업",
    "export": "내보내기",
    "purge": "오래된 것 지우기",
    "retrain": "다시 배우기",
    "forget": "잊기",
    "model": "모델 바꾸기",
    "candidate": "새 모델 시험",
    "check-in": "안부",
}


async def status(settings: Settings, now: datetime) -> RenderableType:
    """What is to be shown. What cannot be read is told in its place."""
    lines = [*_models(settings), _last_backup(settings)]
    return Group(*lines, await _votes(settings, now), _jobs(read_jobs(jobs_file(settings))))


def _models(settings: Settings) -> Iterator[str]:
    try:
        yield f"지금 대답하는 모델: {_described(settings.model_folder())}"
        candidate = current(settings.models, CANDIDATE)
    except ModelError as error:
        yield f"모델을 알 수 없어요. {error}"
        return
    if candidate is not None:
        yield f"시험하는 모델: {_described(candidate)}, 대화의 {settings.candidate_share:.0%}"


def _described(folder: Path) -> str:
    manifest = read_manifest(folder)
    if manifest is None:
        return str(folder)
    tainted = f", 물러나야 해요({manifest.tainted})" if manifest.tainted else ""
    return f"{manifest.version} ({folder}{tainted})"


def _last_backup(settings: Settings) -> str:
    found = backups(places(settings).backups)
    made = made_at(found[0]) if found else None
    return f"마지막 백업: {_local(made)}, 모두 {len(found)}개" if made else "백업이 아직 없어요."


async def _votes(settings: Settings, now: datetime) -> RenderableType:
    if not settings.database.exists():
        return "아직 나눈 이야기가 없어요."
    try:
        async with Store.open(settings.database, open_cipher(settings)) as store:
            votes = await store.votes(now - VOTES_OVER)
    except BotError as error:
        return f"데이터베이스를 읽을 수 없어요. {error}"
    return _vote_table(votes)


def _vote_table(votes: Mapping[str, Votes]) -> Table:
    table = Table("모델", "대답", "👍", "👎", "🔄", "고친 대답", "👍의 몫", title=f"지난 {VOTES_OVER.days}일의 대답")
    for version, count in sorted(votes.items()):
        judged = count.up + count.down
        share = f"{count.up / judged:.0%}" if judged else "-"
        counts = (count.replies, count.up, count.down, count.retried, count.corrected)
        table.add_row(version, *map(str, counts), share)
    return table


def _jobs(records: Mapping[str, Record]) -> RenderableType:
    if not records:
        return "때맞춰 하는 일은 아직 없었어요."
    table = Table("일", "마지막", "", "결과", "다음", title="때맞춰 하는 일")
    for name, record in records.items():
        mark = {True: "✓", False: "✗", None: "…" if record.started_at else ""}[record.succeeded]
        last, following = (_parsed(at) for at in (record.finished_at or record.started_at, record.next_at))
        table.add_row(_TITLES.get(name, name), _local(last), mark, record.result, _local(following))
    return table


def _parsed(at: str | None) -> datetime | None:
    return datetime.fromisoformat(at) if at else None


def _local(at: datetime | None) -> str:
    return f"{at.astimezone():%m월 %d일 %H:%M}" if at else "-"
