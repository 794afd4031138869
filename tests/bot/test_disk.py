"""A disk without room and a database that another holds, through SQLite itself: nobody is promised what is not stored.

A full disk is SQLite's own page limit on the bot's one connection, which fails with SQLITE_FULL as a disk does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from random import Random

import pytest
from sqlalchemy.exc import SQLAlchemyError

from bot import commands
from bot.conversation import ConversationManager
from bot.errors import StorageFailed
from bot.inbox import Inbox
from bot.messages import ConversationKey
from bot.metrics import Metrics
from bot.store import database
from bot.store.store import Store
from model.dialogue import Sampling
from tests.bot.fakes import MemorySurface, ScriptedResponder, message
from tests.bot.platform import CIPHER, QUICK, FakePlatform, chat, limit, said

LONG = "길" * 3000
# More pages than any test fills.
ROOMY = 1_000_000
LETTERS = "가나다라마바사아자차카타파하고노도로모보소오조초코토포호구누두루무부수우주추쿠투푸후 "


async def allow_pages(store: Store, more: int) -> None:
    """Let the database grow by so many pages and no further."""
    async with store._engine.begin() as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count={pages + more}")


def talker(store: Store, letters: int = 20) -> ConversationManager:
    """A manager whose replies differ, so that none is held back as a repetition."""
    rng = Random(0)
    return ConversationManager(
        store, ScriptedResponder(lambda _: "".join(rng.choices(LETTERS, k=letters)) + " 이야기네요."), Sampling()
    )


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[Inbox, Store, FakePlatform]]:
    async with Store.open(path / "m.db", CIPHER) as store:
        inbox = Inbox(store, talker(store).answer, limit(), Metrics(), QUICK)
        platform = FakePlatform()
        async with inbox.serving(platform):
            yield inbox, store, platform


async def test_what_a_full_disk_does_not_take_is_not_accepted_and_the_rest_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path) as (inbox, store, platform):
        await allow_pages(store, 4)
        accepted, refused = [], []
        for number in range(12):
            try:
                assert await inbox.put(said(number, f"{number} {LONG}", f"e{number}"))
                accepted.append(number)
            except StorageFailed as error:
                assert "디스크" in str(error)
                refused.append(number)
        assert refused, "the disk was not full"
        assert set(platform.notices) == {commands.STORAGE}
        await allow_pages(store, ROOMY)
        await platform.until(len(accepted))
        assert {key for key, _ in platform.sent} == {chat(number) for number in accepted}
        for number in refused:
            assert await inbox.put(said(number, f"{number} {LONG}", f"e{number}")), "it may be delivered again"
        await platform.until(12)
    assert sorted(key.chat_id for key, _ in platform.sent) == sorted(map(str, range(12)))


async def test_a_reply_that_does_not_fit_waits_for_room_and_is_sent_once(tmp_path: Path) -> None:
    platform = FakePlatform()
    async with Store.open(tmp_path / "m.db", CIPHER) as store:
        manager = talker(store, letters=3000)
        failures = 0

        async def answer(incoming, surface, entry_id):  # type: ignore[no-untyped-def]
            nonlocal failures
            if failures == 0:
                await fill(store)
            try:
                return await manager.answer(incoming, surface, entry_id)
            except StorageFailed:
                assert platform.sent == [], "nothing was said that is not stored"
                failures += 1
                if failures == 3:
                    await allow_pages(store, ROOMY)
                raise

        inbox = Inbox(store, answer, limit(), Metrics(), QUICK)
        async with inbox.serving(platform):
            assert await inbox.put(said(1, "안녕", "e1"))
            await platform.until(1)
        assert failures == 3
        assert len(platform.sent) == 1 and len(platform.sent[0][1]) > 3000
        assert await store.waiting("telegram") == []


async def fill(store: Store) -> None:
    """Let the disk be full: no page may be added, and what room is left in the pages that are there is taken."""
    async with store._engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE filler (content TEXT)")
    await allow_pages(store, 0)
    for size in (2000, 200, 20, 1):
        try:
            while True:
                async with store._engine.begin() as connection:
                    await connection.exec_driver_sql("INSERT INTO filler VALUES (?)", ("x" * size,))
        except SQLAlchemyError as error:
            assert database.reason(error) == database._REASONS[sqlite3.SQLITE_FULL]


async def test_in_the_terminal_a_full_disk_is_one_polite_sentence(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "m.db", CIPHER) as store:
        manager, surface = talker(store), MemorySurface()
        await manager.handle(message("안녕"), surface)
        await allow_pages(store, 0)
        while len(surface.sent) < 300 and "디스크" not in surface.sent[-1]:
            await manager.handle(message(LONG), surface)
        assert surface.sent[-1] == database._REASONS[sqlite3.SQLITE_FULL]
        stored = (await store.history(ConversationKey("console", "1"), 1000)).turns
        # Whole exchanges, and one for each answer but the last, which was none.
        assert len(stored) == 2 * (len(surface.sent) - 1)
        await allow_pages(store, ROOMY)
        await manager.handle(message("이제 돼?"), surface)
        assert surface.sent[-1].endswith("이야기네요.")


async def test_a_database_that_another_holds_accepts_nothing_until_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    async with serving(tmp_path) as (inbox, _, platform):
        with closing(sqlite3.connect(tmp_path / "m.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for _ in range(2):
                with pytest.raises(StorageFailed, match="붙잡고"):
                    await inbox.put(said(1, "안녕", "e1"))
        assert await inbox.put(said(1, "안녕", "e1"))
        await platform.until(1)
    assert platform.notices == [commands.STORAGE]
    assert len(platform.sent) == 1
