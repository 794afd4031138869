"""Operations that fail: both turns are stored or neither, the store goes on, the sentence says why."""
# ruff: noqa: ASYNC240 - nothing else runs beside a test that a slow disk could hold up.

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import event

from bot.errors import StorageFailed
from bot.store import database
from bot.store.cipher import Cipher
from bot.store.store import Exchange, Store
from model.dialogue import Source
from tests.bot.store.helpers import CHAT, NOON, say, texts


async def test_both_turns_or_neither(path: Path, store: Store) -> None:
    await say(store, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON turns WHEN NEW.role = 'bot' "
            "BEGIN SELECT RAISE(ABORT, 'secret reason'); END"
        )
        with pytest.raises(StorageFailed, match="요") as raised:
            await say(store, 2)
        assert "secret" not in str(raised.value)
        connection.execute("DROP TRIGGER refuse")
    await say(store, 3)
    history = await store.history(CHAT, 9)
    assert texts(history) == ["1?", "1!", "3?", "3!"]
    assert history.total == 4


@contextmanager
def disk_that_is_full(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes; Python ignores the signal, so that writing fails instead."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_disk_that_takes_no_more(path: Path, store: Store) -> None:
    await say(store, 1)
    log = Path(f"{path}-wal").stat().st_size
    with disk_that_is_full(log + 100), pytest.raises(StorageFailed, match="디스크"):
        await store.add_exchange(CHAT, Exchange("길" * 10_000, "네", "v1", Source.GENERATOR, NOON))
    assert texts(await store.history(CHAT, 9)) == ["1?", "1!"]
    await say(store, 2)
    assert texts(await store.history(CHAT, 9)) == ["1?", "1!", "2?", "2!"]


async def test_database_that_another_holds(path: Path, cipher: Cipher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    async with Store.open(path, cipher) as store:
        await say(store, 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageFailed, match="붙잡고"):
                await say(store, 2)
            assert texts(await store.history(CHAT, 9)) == ["1?", "1!"]
        await say(store, 3)
        assert texts(await store.history(CHAT, 9)) == ["1?", "1!", "3?", "3!"]


@pytest.mark.parametrize("place", ["BEGIN", "INSERT INTO conversations", "INSERT INTO turns", "COMMIT"])
async def test_cancelled_writer(place: str, store: Store) -> None:
    """Wherever a writer is cancelled, both turns are there or neither, and the store goes on."""
    await say(store, 1)
    engine = store._engine.sync_engine
    reached = []

    def cancel_at(_connection: object, _cursor: object = None, statement: str = "COMMIT", *_: object) -> None:
        if statement.startswith(place):
            reached.append(statement)
            task.cancel()

    event.listen(engine, "before_cursor_execute", cancel_at)
    event.listen(engine, "commit", cancel_at)
    task = asyncio.create_task(say(store, 2))
    with suppress(asyncio.CancelledError):
        await task
    assert reached
    event.remove(engine, "before_cursor_execute", cancel_at)
    event.remove(engine, "commit", cancel_at)
    await say(store, 3)
    history = await store.history(CHAT, 9)
    assert texts(history) in (["1?", "1!", "3?", "3!"], ["1?", "1!", "2?", "2!", "3?", "3!"])
    assert history.total == len(history.turns)


async def test_closed_store(path: Path, cipher: Cipher) -> None:
    async with Store.open(path, cipher) as store:
        await say(store, 1)
    with pytest.raises(StorageFailed, match="닫혔어요"):
        await store.history(CHAT, 1)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
