"""The schedule: which job runs when, one run of each at a time, each run noted (APScheduler)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from bot.canary import Canary
from bot.check_ins import CheckIns
from bot.errors import BotError
from bot.flywheel import Flywheel
from bot.job_log import JobLog
from bot.store.store import utc_now
from model.errors import ModelError

# What was missed while the bot was off is made up for once it has settled.
_SOON = timedelta(minutes=1)
# A machine that slept, or a loop that was busy, is late and no reason to skip a night.
_GRACE_SECONDS = 3600

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """Something done again and again. `run` returns a sentence for the operator, None where there was nothing to do.

    A `frequent` job is noted only where it did something.
    """

    name: str
    trigger: BaseTrigger
    run: Callable[[], Awaitable[str | None]]
    frequent: bool = False


def all_jobs(flywheel: Flywheel, canary: Canary, check_ins: CheckIns) -> list[Job]:
    """The jobs of a bot, in the night's order; times are the machine's own."""
    return [
        Job("forget", IntervalTrigger(seconds=20), flywheel.forget, frequent=True),
        Job("model", IntervalTrigger(seconds=5), flywheel.follow_model, frequent=True),
        Job("candidate", IntervalTrigger(seconds=5), canary.follow, frequent=True),
        Job("backup", CronTrigger(minute=20), flywheel.back_up),
        Job("check-in", CronTrigger(hour=19, minute=30), check_ins.run),
        Job("export", CronTrigger(hour=3, minute=10), flywheel.export),
        Job("purge", CronTrigger(hour=3, minute=40), flywheel.purge),
        Job("retrain", CronTrigger(day_of_week="sun", hour=4), flywheel.retrain),
    ]


class Jobs:
    """Runs jobs by their triggers."""

    def __init__(self, jobs: Sequence[Job], log: JobLog, now: Callable[[], datetime] = utc_now) -> None:
        self._jobs = jobs
        self._log = log
        self._now = now
        self._running: dict[str, asyncio.Task[None]] = {}
        self._scheduler = AsyncIOScheduler()

    @asynccontextmanager
    async def scheduled(self) -> AsyncIterator[None]:
        """Run the jobs when they are due; on leaving, runs under way are ended."""
        for job in self._jobs:
            self._scheduler.add_job(
                self._begin,
                job.trigger,
                [job],
                id=job.name,
                misfire_grace_time=_GRACE_SECONDS,
                coalesce=True,
                next_run_time=self._first(job),
            )
        self._scheduler.start()
        for job in self._jobs:
            self._plan(job)
        try:
            yield
        finally:
            self._scheduler.shutdown(wait=False)
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def run(self, job: Job) -> None:
        """One run, noted; whatever goes wrong is noted too, and ends nothing but this run."""
        if not job.frequent:
            self._log.started(job.name, self._now())
        try:
            result = await job.run()
        except asyncio.CancelledError:
            raise
        except (BotError, ModelError) as error:
            _log.error("The job %s failed: %s", job.name, error)
            self._log.finished(job.name, self._now(), False, str(error))
        except Exception as error:
            _log.exception("The job %s failed", job.name)
            self._log.finished(job.name, self._now(), False, f"알 수 없는 문제가 생겼어요({type(error).__name__}).")
        else:
            if result is not None or not job.frequent:
                _log.info("The job %s is done: %s", job.name, result)
                self._log.finished(job.name, self._now(), True, result or "할 일이 없었어요.")

    async def _begin(self, job: Job) -> None:
        if job.name in self._running:
            return
        task = asyncio.create_task(self.run(job), name=f"job {job.name}")
        self._running[job.name] = task
        task.add_done_callback(lambda _: self._running.pop(job.name, None))
        self._plan(job)

    def _first(self, job: Job) -> datetime | None:
        """When it runs first: soon, if a run was missed while the bot was off."""
        now = self._now()
        record = self._log.records.get(job.name)
        planned: datetime | None = job.trigger.get_next_fire_time(None, now)
        if job.frequent or record is None or record.started_at is None:
            return planned
        last = datetime.fromisoformat(record.started_at)
        due: datetime = job.trigger.get_next_fire_time(last, last + timedelta(seconds=1))
        return now + _SOON if record.finished_at is None or due < now else planned

    def _plan(self, job: Job) -> None:
        if not job.frequent:
            planned = self._scheduler.get_job(job.name)
            self._log.planned(job.name, planned.next_run_time if planned else None)
