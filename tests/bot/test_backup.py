"""Backups: made while people talk, tried out, thinned out, put back."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.backup import back_up, backups, made_at, outdated, put_back, thin_out
from bot.errors import BackupFailed, BadDatabase, WrongKey
from bot.messages import ConversationKey
from bot.store.cipher import Cipher
from bot.store.store import Exchange, Store
from model.dialogue import Source

KEY = Cipher(bytes(32))
CHAT = ConversationKey("console", "1")
NOW = datetime(2026, 11, 21, 12, 20, tzinfo=UTC)


async def say(store: Store, text: str) -> None:
    await store.add_exchange(CHAT, Exchange(text, f"{text}!", "v1", Source.GENERATOR, NOW))


async def said(database: Path) -> list[str]:
    async with Store.open(database, KEY) as store:
        return [turn.text for turn in (await store.history(CHAT, 10)).turns]


async def test_a_backup_made_in_use_can_be_put_back(tmp_path: Path) -> None:
    database = tmp_path / "m.db"
    async with Store.open(database, KEY) as store:
        await say(store, "하나")
        backup = back_up(database, tmp_path / "backups", KEY, NOW)
        await say(store, "둘")
        assert made_at(backup) == NOW
        with pytest.raises(BackupFailed, match="꺼져"):
            put_back(backup, database, tmp_path / "backups", KEY, NOW + timedelta(hours=1))
    assert await said(database) == ["하나", "하나!", "둘", "둘!"]
    aside = put_back(backup, database, tmp_path / "backups", KEY, NOW + timedelta(hours=1))
    assert await said(database) == ["하나", "하나!"]
    assert aside is not None
    assert backups(tmp_path / "backups") == [aside, backup]
    assert await said(aside) == ["하나", "하나!", "둘", "둘!"]


async def test_nobody_else_may_read_a_backup(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "m.db", KEY):
        backup = back_up(tmp_path / "m.db", tmp_path / "backups", KEY, NOW)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700
    assert [path.name for path in backup.parent.iterdir()] == [backup.name]


async def test_a_backup_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="백업하지 못했어요"):
        back_up(tmp_path / "missing.db", tmp_path / "backups", KEY, NOW)
    async with Store.open(tmp_path / "m.db", KEY):
        with pytest.raises(WrongKey):
            back_up(tmp_path / "m.db", tmp_path / "backups", Cipher(b"1" * 32), NOW)
    assert list((tmp_path / "backups").iterdir()) == []


async def test_what_is_no_backup_is_not_put_back(tmp_path: Path) -> None:
    database = tmp_path / "m.db"
    async with Store.open(database, KEY) as store:
        await say(store, "하나")
    broken = tmp_path / "malbeot-20261121-122000.db"
    broken.write_bytes(b"no database " * 100)
    with pytest.raises(BadDatabase):
        put_back(broken, database, tmp_path, KEY, NOW)
    with pytest.raises(BackupFailed, match="그런 백업 파일이 없어요"):
        put_back(tmp_path / "missing.db", database, tmp_path, KEY, NOW)
    assert await said(database) == ["하나", "하나!"]


def test_a_day_of_hours_and_a_month_of_days_are_kept(tmp_path: Path) -> None:
    hours = [NOW - timedelta(hours=hour) for hour in range(24 * 40)]
    paths = [tmp_path / f"malbeot-{at:%Y%m%d-%H%M%S}.db" for at in hours]
    kept = [made_at(path) for path in sorted(set(paths) - set(outdated(paths, NOW)), reverse=True)]
    assert kept[:25] == hours[:25]
    older = [at for at in kept[25:] if at is not None]
    assert len(older) == len({at.date() for at in older}) == 29
    assert min(older) >= NOW - timedelta(days=30)


def test_only_backups_are_thinned_out(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in ("malbeot-20200101-000000.db", "malbeot-20261121-112000.db", "x.db"))
    for path in (old, new, other):
        path.touch()
    assert thin_out(tmp_path, NOW) == 1
    assert backups(tmp_path) == [new]
    assert other.exists()
