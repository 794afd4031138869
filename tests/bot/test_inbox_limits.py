"""Who the inbox does not accept from, and what it cannot store."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import commands, limits
from bot.errors import StorageFailed
from bot.inbox import Inbox
from bot.metrics import Metrics
from bot.store.store import Store
from tests.bot.platform import (
    CIPHER,
    QUICK,
    FakePlatform,
    chat,
    echo,
    limit,
    opened,
    said,
)


async def test_a_loud_person_is_slowed_down_once_and_others_are_not(tmp_path: Path) -> None:
    platform = FakePlatform()
    async with opened(tmp_path, burst=3) as (inbox, _), inbox.serving(platform):
        accepted = [await inbox.put(said(1, str(n), f"e{n}")) for n in range(10)]
        assert await inbox.put(said(2, "조용", "e99"))
        await platform.until(4)
    assert inbox.waiting == 0
    assert accepted == [True] * 3 + [False] * 7
    assert platform.notices == [limits.SLOW_DOWN]
    assert (chat(2), "조용!") in platform.sent


async def test_what_people_have_a_right_to_is_never_limited(tmp_path: Path) -> None:
    platform = FakePlatform()
    async with opened(tmp_path, burst=1) as (inbox, _), inbox.serving(platform):
        assert [await inbox.put(said(1, "/forget", f"e{n}")) for n in range(5)] == [True] * 5


async def test_repeated_deliveries_and_tries_to_store_cost_their_author_nothing(tmp_path: Path) -> None:
    platform = FakePlatform()
    async with opened(tmp_path, burst=2) as (inbox, store), inbox.serving(platform):
        for _ in range(10):
            await inbox.put(said(1, "하나", "e1"))
        store._closed = True
        for _ in range(10):
            with pytest.raises(StorageFailed):
                await inbox.put(said(1, "둘", "e2"))
        store._closed = False
        assert await inbox.put(said(1, "둘", "e2"))
        await platform.until(2)
    assert limits.SLOW_DOWN not in platform.notices


async def test_what_cannot_be_stored_is_not_accepted_and_its_author_is_told(tmp_path: Path) -> None:
    platform = FakePlatform()
    async with Store.open(tmp_path / "m.db", CIPHER) as store:
        inbox = Inbox(store, echo, limit(), Metrics(), QUICK)
        async with inbox.serving(platform):
            store._closed = True
            for _ in range(3):
                with pytest.raises(StorageFailed):
                    await inbox.put(said(1, "안녕", "e1"))
            store._closed = False
            assert await inbox.put(said(1, "안녕", "e1"))
            await platform.until(1)
    assert platform.notices == [commands.STORAGE]
