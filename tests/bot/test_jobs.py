"""The schedule: what runs when, what is noted, and what an end in the middle leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from bot.errors import JobFailed
from bot.job_log import JobLog, Record, read_jobs
from bot.jobs import Job, Jobs

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NIGHTLY = CronTrigger(hour=3, timezone=UTC)


def job(run: Callable[[], Awaitable[str | None]], name: str = "export", frequent: bool = False) -> Job:
    return Job(name, NIGHTLY, run, frequent)


async def done() -> str | None:
    return "다 했어요."


async def nothing() -> str | None:
    return None


async def fail() -> str | None:
    raise JobFailed("자리가 없어요.")


async def break_down() -> str | None:
    raise ValueError("what somebody said")


@pytest.mark.parametrize(
    ("run", "succeeded", "result"),
    [
        (done, True, "다 했어요."),
        (nothing, True, "할 일이 없었어요."),
        (fail, False, "자리가 없어요."),
        (break_down, False, "알 수 없는 문제가 생겼어요(ValueError)."),
    ],
)
async def test_a_run_is_noted(
    tmp_path: Path, run: Callable[[], Awaitable[str | None]], succeeded: bool, result: str
) -> None:
    file = tmp_path / "jobs.json"
    await Jobs([], JobLog(file), lambda: NOW).run(job(run))
    at = NOW.isoformat()
    assert read_jobs(file) == {"export": Record(at, at, succeeded, result)}


async def test_a_frequent_run_is_noted_where_it_did_something(tmp_path: Path) -> None:
    file = tmp_path / "jobs.json"
    jobs = Jobs([], JobLog(file), lambda: NOW)
    await jobs.run(job(nothing, frequent=True))
    assert not file.exists()
    await jobs.run(job(done, frequent=True))
    assert read_jobs(file)["export"].result == "다 했어요."


async def test_due_jobs_run_one_at_a_time_and_end_with_the_bot(tmp_path: Path) -> None:
    begun, ended = asyncio.Semaphore(0), []

    async def long() -> str:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        raise AssertionError

    log = JobLog(tmp_path / "jobs.json")
    often = Job("often", IntervalTrigger(seconds=1), long)
    async with asyncio.timeout(20), Jobs([often], log).scheduled():
        await begun.acquire()
        # The trigger fires again, and again, while the first run goes on.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(begun.acquire(), 2.5)
    assert ended == [True]
    record = read_jobs(tmp_path / "jobs.json")["often"]
    assert (record.succeeded, record.finished_at) == (None, None)
    assert record.next_at is not None


@pytest.mark.parametrize(
    ("record", "soon"),
    [
        (None, False),
        (Record(started_at=(NOW - timedelta(hours=9)).isoformat(), finished_at=NOW.isoformat(), succeeded=True), False),
        (Record(started_at=(NOW - timedelta(days=2)).isoformat(), finished_at=NOW.isoformat(), succeeded=True), True),
        (Record(started_at=(NOW - timedelta(hours=9)).isoformat()), True),
    ],
    ids=["new", "done last night", "missed a night", "killed in the middle"],
)
async def test_what_was_missed_is_made_up_for(tmp_path: Path, record: Record | None, soon: bool) -> None:
    log = JobLog(tmp_path / "jobs.json")
    if record is not None:
        assert record.started_at is not None
        log.started("export", datetime.fromisoformat(record.started_at))
        if record.finished_at is not None:
            log.finished("export", datetime.fromisoformat(record.finished_at), True, "")
    async with Jobs([job(done)], log, lambda: NOW).scheduled():
        planned = log.records["export"].next_at
    assert planned is not None
    night = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
    assert datetime.fromisoformat(planned) == (NOW + timedelta(minutes=1) if soon else night)


def test_an_unreadable_file_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_text("{", encoding="utf-8")
    assert read_jobs(tmp_path / "jobs.json") == {}
    assert JobLog(tmp_path / "jobs.json").records == {}
