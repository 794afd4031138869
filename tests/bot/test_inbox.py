"""The inbox and its dispatcher over a real database; the platform is a list of what it was sent."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from pathlib import Path

from bot import commands
from bot.inbox import Inbox, Patience
from bot.messages import Answer, ConversationKey, Feedback, IncomingMessage, Judgement, Kind, Surface, Undeliverable
from bot.metrics import Metrics
from bot.store.cipher import Cipher
from bot.store.entries import KEPT
from bot.store.store import Exchange, Pending, Store
from model.dialogue import Source
from model.errors import EngineBusy
from tests.bot.platform import (
    AT,
    CIPHER,
    QUICK,
    FakePlatform,
    FakeSurface,
    chat,
    echo,
    limit,
    opened,
    said,
)


async def test_everything_is_answered_once_and_in_order(tmp_path: Path) -> None:
    events = [said(c, f"{c}-{n}", f"{c}-{n}") for n in range(3) for c in range(40)]
    platform = FakePlatform()
    async with opened(tmp_path) as (inbox, _), inbox.serving(platform):
        assert all(await asyncio.gather(*(inbox.put(event) for event in events)))
        await platform.until(len(events))
        for c in range(40):
            assert platform.to(chat(c)) == [f"{c}-0!", f"{c}-1!", f"{c}-2!"]
    assert len(platform.sent) == len(events)
    assert inbox.waiting == 0
    assert inbox.oldest_seconds == 0


async def test_the_same_event_ten_times_shuffled_is_answered_once(tmp_path: Path) -> None:
    events = [said(n % 4, str(n), f"e{n}") for n in range(12)] * 10
    random.Random(1).shuffle(events)
    platform = FakePlatform()
    async with opened(tmp_path) as (inbox, _), inbox.serving(platform):
        accepted = [await inbox.put(event) for event in events]
    assert accepted.count(True) == 12
    assert sorted(text for _, text in platform.sent) == sorted(f"{n}!" for n in range(12))


async def test_a_poisonous_message_is_given_up_and_nobody_waits_for_it(tmp_path: Path) -> None:
    tries = 0

    async def make(incoming: IncomingMessage, surface: Surface, entry_id: int) -> Answer:
        nonlocal tries
        if incoming.text == "독":
            tries += 1
            raise RuntimeError(incoming.text)
        return await echo(incoming, surface, entry_id)

    platform = FakePlatform()
    slow = Patience(between_tries=0.2)
    async with opened(tmp_path, make, slow) as (inbox, store), inbox.serving(platform):
        await inbox.put(said(1, "독", "e1"))
        await inbox.put(said(1, "다음", "e2"))
        await inbox.put(said(2, "이웃", "e3"))
        await platform.until(3)
        assert platform.sent[0] == (chat(2), "이웃!")
        assert platform.to(chat(1)) == [commands.GIVEN_UP, "다음!"]
        assert tries == 3
    async with opened(tmp_path) as (inbox, store):
        assert await store.waiting("telegram") == []


async def test_what_a_crash_left_is_answered_at_the_next_start(tmp_path: Path) -> None:
    never = asyncio.Event()

    async def hang(incoming: IncomingMessage, surface: Surface, entry_id: int) -> Answer:
        await never.wait()
        raise AssertionError

    gone = FakePlatform()
    async with opened(tmp_path, hang, Patience(drain=0.0)) as (inbox, _), inbox.serving(gone):
        for n in range(3):
            await inbox.put(said(1, str(n), f"e{n}"))
    assert gone.sent == []
    platform = FakePlatform()
    async with opened(tmp_path) as (inbox, _):
        # A repeated delivery of what was left, and a new message, before the platform is connected.
        assert not await inbox.put(said(1, "0", "e0"))
        assert await inbox.put(said(1, "3", "e3"))
        async with inbox.serving(platform):
            await platform.until(4)
    assert platform.to(chat(1)) == ["0!", "1!", "2!", "3!"]


async def test_an_answer_that_was_decided_stays_the_same_after_a_crash(tmp_path: Path) -> None:
    asked = 0

    async def make(incoming: IncomingMessage, surface: Surface, entry_id: int) -> Answer:
        nonlocal asked
        asked += 1
        return Answer(f"{asked}번째")

    stuck = FakePlatform()
    stuck.held = asyncio.Event()
    async with opened(tmp_path, make, Patience(drain=0.0)) as (inbox, _), inbox.serving(stuck):
        await inbox.put(said(1, "안녕", "e1"))
        await stuck.until(1)
    platform = FakePlatform()
    async with opened(tmp_path, make) as (inbox, _), inbox.serving(platform):
        await platform.until(1)
    assert stuck.sent == platform.sent == [(chat(1), "1번째")]
    assert asked == 1


async def test_a_reply_and_its_exchange_are_committed_together(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, store):
        entry_id = await store.accept(said(1, "안녕", "e1"))
        assert entry_id is not None
        exchange = Exchange("안녕", "반가워", "v1", Source.GENERATOR, AT)
        recorded = await store.add_exchange(chat(1), exchange, pending=Pending(entry_id, Answer("인사! 반가워")))
        entry = await store.entry(entry_id)
        assert entry is not None
        assert entry.answer == Answer("인사! 반가워", reply_id=recorded.reply_id)


async def test_a_judgement_finds_its_reply_and_model_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, store):

        async def make(incoming: IncomingMessage, surface: Surface, entry_id: int) -> Answer:
            exchange = Exchange(incoming.text, "응", "model-7", Source.GENERATOR, AT)
            recorded = await store.add_exchange(incoming.key, exchange, keep=False)
            return Answer("응", reply_id=recorded.reply_id)

        platform = FakePlatform()
        inbox = Inbox(store, make, limit(), Metrics(), QUICK)
        async with inbox.serving(platform):
            await inbox.put(said(1, "안녕", "e1"))
            await platform.until(1)
        (delivered,) = await store.shown_as(1)
    async with opened(tmp_path) as (inbox, store):
        by_button = Feedback(chat(1), "u1", Judgement.UP, reply_id=1)
        by_message = Feedback(chat(1), "u2", Judgement.DOWN, message_id=delivered)
        assert await inbox.judge(by_button)
        assert await inbox.judge(by_button)
        assert await inbox.judge(by_message)
        # Ids are no secret: a judgement from another chat is not taken.
        assert not await inbox.judge(Feedback(chat(2), "u1", Judgement.UP, reply_id=1))
        assert not await inbox.judge(Feedback(chat(1), "u1", Judgement.UP, reply_id=99))
        mine = await store.everything(store.person("telegram", "u1"))
        assert [row["judgement"] for row in mine["feedback"]] == ["up"]
        assert await inbox.judge(Feedback(chat(1), "u1", Judgement.DOWN, reply_id=1))
        mine = await store.everything(store.person("telegram", "u1"))
        assert [row["judgement"] for row in mine["feedback"]] == ["down"]


async def test_a_saturated_engine_delays_an_answer_and_loses_none(tmp_path: Path) -> None:
    busy = 5

    async def make(incoming: IncomingMessage, surface: Surface, entry_id: int) -> Answer:
        nonlocal busy
        busy -= 1
        if busy >= 0:
            raise EngineBusy("busy")
        return await echo(incoming, surface, entry_id)

    platform = FakePlatform()
    async with opened(tmp_path, make) as (inbox, _), inbox.serving(platform):
        await inbox.put(said(1, "안녕", "e1"))
        await platform.until(1)
    assert platform.sent == [(chat(1), "안녕!")]


async def test_whoever_waits_long_for_a_turn_is_told_and_then_answered(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def make(incoming: IncomingMessage, surface: Surface, entry_id: int) -> Answer:
        await gate.wait()
        return await echo(incoming, surface, entry_id)

    class Told(FakePlatform):
        def surface(self, incoming: IncomingMessage, entry_id: int) -> Surface:
            return Telling(self, incoming)

    class Telling(FakeSurface):
        async def notice(self, text: str) -> None:
            await super().notice(text)
            gate.set()  # only a notice lets the first answer finish

    platform = Told()
    async with opened(tmp_path, make, Patience(at_once=1, notice=0.01)) as (inbox, _), inbox.serving(platform):
        await inbox.put(said(1, "첫째", "e1"))
        await inbox.put(said(2, "둘째", "e2"))
        await platform.until(2)
    assert platform.notices == [commands.WAIT]
    assert (platform.to(chat(1)), platform.to(chat(2))) == (["첫째!"], ["둘째!"])


async def test_an_answer_nobody_takes_holds_up_nothing(tmp_path: Path) -> None:
    platform = FakePlatform()
    platform.broken = Undeliverable("blocked")
    async with opened(tmp_path) as (inbox, store), inbox.serving(platform):
        await inbox.put(said(1, "안녕", "e1"))
    assert platform.sent == []
    assert inbox.waiting == 0
    async with opened(tmp_path) as (inbox, store):
        assert await store.waiting("telegram") == []


async def test_an_edit_changes_a_message_that_still_waits(tmp_path: Path) -> None:
    async with opened(tmp_path) as (inbox, store):
        await inbox.put(said(1, "안냥", "e1"))
        await store.amend(said(1, "안녕", "e1", kind=Kind.EDIT))
        platform = FakePlatform()
        async with inbox.serving(platform):
            await platform.until(1)
    assert platform.sent == [(chat(1), "안녕!")]


async def test_a_message_that_cannot_be_read_is_given_up(tmp_path: Path) -> None:
    async with opened(tmp_path) as (inbox, store):
        await inbox.put(said(1, "안녕", "e1"))
    async with Store.open(tmp_path / "m.db", CIPHER) as store:
        store._cipher = Cipher(bytes([1] * 32))
        inbox = Inbox(store, echo, limit(), Metrics(), QUICK)
        platform = FakePlatform()
        async with inbox.serving(platform):
            await inbox.put(said(1, "다음", "e2"))
            await platform.until(1)
        assert platform.sent == [(chat(1), "다음!")]
        assert await store.waiting("telegram") == []


async def test_where_to_catch_up_from(tmp_path: Path) -> None:
    async with opened(tmp_path) as (inbox, _):
        for number, event in ((1, "7"), (1, "8"), (2, "9")):
            await inbox.put(said(number, "안녕", event))
        await inbox.put(said(1, "", "press", kind=Kind.RETRY))
        assert await inbox.newest("telegram") == {chat(1): "8", chat(2): "9"}
        assert await inbox.newest("discord") == {}


async def test_a_group_that_moves_takes_its_conversations_along(tmp_path: Path) -> None:
    async with opened(tmp_path) as (inbox, store):
        await store.set_persona(chat(1), ("내 이름은 토리다.",))
        await inbox.move("telegram", "1", "-1001")
        assert (await store.conversation(ConversationKey("telegram", "-1001"))).persona == ("내 이름은 토리다.",)


async def test_settled_entries_keep_no_text_and_go_after_a_week(tmp_path: Path) -> None:
    now = AT
    async with Store.open(tmp_path / "m.db", CIPHER, lambda: now) as store:
        platform = FakePlatform()
        inbox = Inbox(store, echo, limit(), Metrics(), QUICK)
        async with inbox.serving(platform):
            await inbox.put(said(1, "안녕", "e1"))
            await platform.until(1)
        assert not await inbox.put(said(1, "안녕", "e1"))
        assert await store.entry(1) is None
        now = AT + KEPT + timedelta(seconds=1)
        assert await store.purge() == 1
        assert await store.purge() == 0
