"""What the scheduled jobs did last and do next, in one small file that `python -m bot status` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from bot.settings import Settings
from model.files import write_json


@dataclass(frozen=True, slots=True)
class Record:
    """One job: its last run and its next. `succeeded` is None while it runs, or where the bot ended in the middle.

    Times are in UTC, ISO 8601; `result` is a sentence for the operator.
    """

    started_at: str | None = None
    finished_at: str | None = None
    succeeded: bool | None = None
    result: str = ""
    next_at: str | None = None


def jobs_file(settings: Settings) -> Path:
    """Where the jobs are noted."""
    return settings.database.parent / "jobs.json"


class JobLog:
    """The records of all jobs, written at once with every change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records = dict(read_jobs(path))

    @property
    def records(self) -> Mapping[str, Record]:
        """By the job's name."""
        return self._records

    def started(self, name: str, at: datetime) -> None:
        """A run begins."""
        self._note(name, started_at=at.isoformat(), finished_at=None, succeeded=None, result="")

    def finished(self, name: str, at: datetime, succeeded: bool, result: str) -> None:
        """A run has ended."""
        self._note(name, finished_at=at.isoformat(), succeeded=succeeded, result=result)

    def planned(self, name: str, at: datetime | None) -> None:
        """When it runs next; None for never."""
        self._note(name, next_at=at.isoformat() if at else None)

    def _note(self, name: str, **changes: str | bool | None) -> None:
        self._records[name] = replace(self._records.get(name, Record()), **changes)  # type: ignore[arg-type]
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(self._path, {job: asdict(record) for job, record in self._records.items()})


def read_jobs(path: Path) -> Mapping[str, Record]:
    """The records in a file; none where there is no such file, or none of ours."""
    try:
        return {name: Record(**fields) for name, fields in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
