"""Backups of the database: whole, tried out before they count, thinned out with age, and put back."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.errors import BackupFailed
from bot.store.cipher import Cipher
from bot.store.database import DatabaseState, check_database
from model.files import sync

KEEP_HOURLY = timedelta(days=1)
KEEP_DAILY = timedelta(days=30)
_NAME = re.compile(r"malbeot-(\d{8}-\d{6})\.db")
_STAMP = "%Y%m%d-%H%M%S"


def back_up(database: Path, folder: Path, cipher: Cipher, now: datetime) -> Path:
    """Copy the database into `folder` while it is in use, and try the copy out. Raises BackupFailed.

    What is stored encrypted is so in the copy; the key is in none.
    """
    path = _name(folder, now)
    partial = folder / f".{path.name}.partial"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as source:
            source.execute("VACUUM INTO ?", (str(partial),))
        _try_out(partial, cipher)
        sync(partial)
        partial.replace(path)
        sync(folder)
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"{folder}에 백업하지 못했어요({error}). 남은 자리와 권한을 확인해 주세요.") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _try_out(copy: Path, cipher: Cipher) -> None:
    """Open the copy as a restart would."""
    state = check_database(copy, cipher)
    with closing(sqlite3.connect(f"{copy.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        broken = connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok"
        orphans = connection.execute("PRAGMA foreign_key_check").fetchone()
    if state is not DatabaseState.CURRENT or broken or orphans:
        raise BackupFailed(f"{copy}: 백업이 온전하지 않아요. 디스크 상태를 확인해 주세요.")


def _name(folder: Path, at: datetime) -> Path:
    return folder / f"malbeot-{at.astimezone(UTC):{_STAMP}}.db"


def made_at(path: Path) -> datetime | None:
    """When a backup was made, by its name; None for a file that is none."""
    found = _NAME.fullmatch(path.name)
    return datetime.strptime(found[1], _STAMP).replace(tzinfo=UTC) if found else None


def backups(folder: Path) -> list[Path]:
    """All backups there, the newest first."""
    return sorted((path for path in folder.glob("malbeot-*.db") if made_at(path)), reverse=True)


def outdated(paths: Sequence[Path], now: datetime) -> list[Path]:
    """Those to delete: older than a day, all but the first of each day; older than 30 days, all."""
    kept_days: set[str] = set()
    old: list[Path] = []
    for path in sorted(paths):
        made = made_at(path)
        if made is None or now - made <= KEEP_HOURLY:
            continue
        day = f"{made:%Y%m%d}"
        if now - made > KEEP_DAILY or day in kept_days:
            old.append(path)
        kept_days.add(day)
    return old


def thin_out(folder: Path, now: datetime) -> int:
    """Delete the outdated backups; returns how many."""
    old = outdated(backups(folder), now)
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def put_back(backup: Path, database: Path, folder: Path, cipher: Cipher, now: datetime) -> Path | None:
    """Put a backup in the database's place; the database that was there becomes the newest backup in `folder`.

    The bot must not be running. Raises BackupFailed, BadDatabase and WrongKey with nothing changed.
    """
    if not backup.is_file() or check_database(backup, cipher) is DatabaseState.NEW:
        raise BackupFailed(f"{backup}: 그런 백업 파일이 없어요. {folder} 안에서 골라 주세요.")
    partial = database.with_name(f".{database.name}.partial")
    aside = _name(folder, now) if database.exists() else None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.touch(mode=0o600)
        partial.write_bytes(backup.read_bytes())
        sync(partial)
        if aside is not None:
            _fold_in(database)
            database.replace(aside)
        partial.replace(database)
        sync(database.parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"{database}에 되살리지 못했어요({error}). 말벗이 꺼져 있는지 확인해 주세요.") from error
    finally:
        partial.unlink(missing_ok=True)
    return aside


def _fold_in(database: Path) -> None:
    """Bring the write-ahead log into the file, so that it is whole by itself; fails while anybody has it open."""
    with closing(sqlite3.connect(database, timeout=1, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
