"""Broken connections, restarts and faults: nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.discord_settings import Backfill
from bot.messages import Answer, ConversationKey, IncomingMessage, Surface, Undeliverable
from tests.adapters.reception import FakeReception
from tests.stand_ins.discord import CHANNEL_ID, THREAD_ID, DiscordStandIn
from tests.stand_ins.discord_bots import hearing, local_discord, running
from tests.stand_ins.discord_faults import Fault, broken_after, broken_before, rate_limited, refused, slow

DM = ConversationKey("discord", "11")
CHANNEL = ConversationKey("discord", str(CHANNEL_ID))
THREAD = ConversationKey("discord", str(CHANNEL_ID), str(THREAD_ID))


@pytest.fixture
async def discord(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordStandIn]:
    async def at_once(*_: Any, **__: Any) -> None:
        """Discord wants some seconds between sessions."""

    monkeypatch.setattr("adapters.discord_client.Client.before_identify_hook", at_once)
    monkeypatch.setattr("adapters.discord_errors._FIRST_DELAY", 0.01)
    monkeypatch.setattr("adapters.discord_intake._FIRST_DELAY", 0.01)
    async with local_discord() as stand_in:
        yield stand_in


@pytest.fixture
def reception() -> FakeReception:
    return FakeReception()


@pytest.mark.parametrize("how", ["dropped", "asked to reconnect", "resumable", "closed"])
async def test_a_broken_connection_is_resumed(discord: DiscordStandIn, reception: FakeReception, how: str) -> None:
    async with running(discord, reception):
        await discord.say(11, "하나")
        await discord.until(lambda: len(discord.sent) == 1)
        if how == "dropped":
            await discord.gateway.drop()
        elif how == "asked to reconnect":
            await discord.gateway.ask_to_reconnect()
        elif how == "resumable":
            await discord.gateway.invalidate(resumable=True)
        else:
            await discord.gateway.close(4000)
        await discord.say(11, "둘")
        await discord.until(lambda: len(discord.sent) == 2)
    assert discord.gateway.resumed == 1
    assert len(discord.gateway.identified) == 1
    assert discord.faults.of("history") == []
    assert discord.answers(11) == ["답: 하나", "답: 둘"]


async def test_a_dead_connection_is_noticed_and_resumed(discord: DiscordStandIn, reception: FakeReception) -> None:
    discord.gateway.heartbeat_seconds = 0.2
    async with running(discord, reception, heartbeat_timeout=0.6):
        await discord.until(lambda: discord.gateway.heartbeats > 1)
        discord.gateway.frozen = True
        await discord.say(11, "아무도 없어?")
        await discord.until(lambda: discord.sent)
    assert discord.gateway.resumed >= 1
    assert discord.answers(11) == ["답: 아무도 없어?"]


async def test_a_lost_session_is_caught_up_with(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        number = await discord.say(11, "하나")
        await discord.until(lambda: len(discord.sent) == 1)
        reception.catch_up = {DM: str(number)}
        await discord.gateway.forget()
        await discord.say(11, "둘", wait=False)
        await discord.until(lambda: len(discord.gateway.identified) == 2)
        await discord.say(11, "셋")
        await discord.until(lambda: len(discord.sent) == 3)
    assert discord.answers(11) == ["답: 하나", "답: 둘", "답: 셋"]


async def test_an_invalid_session_is_replaced(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        await discord.until(lambda: discord.gateway.is_connected)
        await discord.gateway.invalidate(resumable=False)
        await discord.until(lambda: len(discord.gateway.identified) == 2)
        await discord.say(11, "안녕")
        await discord.until(lambda: discord.sent)
    assert discord.answers(11) == ["답: 안녕"]


async def test_what_came_while_the_bot_was_away_is_answered_first(
    discord: DiscordStandIn, reception: FakeReception
) -> None:
    last = {
        DM: str(await discord.say(11, "벌써 답했어", wait=False)),
        CHANNEL: str(await discord.say_in_server("여기도", wait=False)),
        THREAD: str(await discord.say_in_server("거기도", channel_id=THREAD_ID, wait=False)),
    }
    reception.catch_up = last
    for number in range(3):
        await discord.say(11, f"놓친 {number}", wait=False)
    await discord.say_in_server("우리끼리 하는 말", to_bot=False, wait=False)
    await discord.say_in_server("놓친 부름", wait=False)
    await discord.say_in_server("/reset", manager=True, wait=False)
    await discord.say_in_server("놓친 실", channel_id=THREAD_ID, wait=False)
    # The history comes late, so that the next messages arrive before it.
    discord.faults.plan("history", slow(0.2), times=3)
    async with running(discord, reception):
        await discord.say(11, "새로운 것")
        await discord.say_in_server("새 부름")
        await discord.until(lambda: len(discord.sent) == 7)
    assert discord.answers(11) == ["답: 놓친 0", "답: 놓친 1", "답: 놓친 2", "답: 새로운 것"]
    assert discord.answers(CHANNEL_ID) == ["답: 놓친 부름", "답: 새 부름"]
    assert discord.answers(THREAD_ID) == ["답: 놓친 실"]
    assert {message.is_group for message in reception.accepted if message.key == THREAD} == {True}
    assert {message.is_group for message in reception.accepted if message.key == DM} == {False}


async def test_catching_up_is_bounded(discord: DiscordStandIn, reception: FakeReception) -> None:
    first = await discord.say(11, "하나", wait=False)
    for number in range(5):
        await discord.say(11, str(number), wait=False)
    await discord.say(12, "다른 데서", wait=False)
    reception.catch_up = {DM: str(first), ConversationKey("discord", "12"): str(first - 1)}
    async with running(discord, reception, backfill=Backfill(conversations=1, messages=3)):
        await discord.until(lambda: len(discord.sent) == 3)
    assert discord.answers(11) == ["답: 0", "답: 1", "답: 2"]
    assert [request.path for request in discord.faults.of("history")] == ["/api/v10/channels/11/messages"]


async def test_nobody_is_answered_after_a_day(discord: DiscordStandIn, reception: FakeReception) -> None:
    await discord.say(11, "아주 오래전", wait=False)
    reception.catch_up = {DM: "1"}
    async with running(discord, reception, backfill=Backfill(hours=0.0)):
        await discord.say(11, "안녕")
        await discord.until(lambda: discord.sent)
    assert discord.answers(11) == ["답: 안녕"]


async def test_catching_up_survives_faults_and_channels_that_are_gone(
    discord: DiscordStandIn, reception: FakeReception
) -> None:
    first = await discord.say(11, "하나", wait=False)
    await discord.say(11, "둘", wait=False)
    await discord.say(12, "셋", wait=False)
    discord.world.gone.add(13)
    reception.catch_up = {ConversationKey("discord", chat): str(first) for chat in ("11", "12", "13")}
    discord.faults.plan("history", broken_before(), refused(503))
    discord.faults.plan("channel", broken_before())
    async with running(discord, reception):
        await discord.until(lambda: len(discord.sent) == 2)
    assert discord.answers(11) == ["답: 둘"]
    assert discord.answers(12) == ["답: 셋"]


async def test_a_history_that_stays_closed_does_not_close_the_channel(
    discord: DiscordStandIn, reception: FakeReception
) -> None:
    reception.catch_up = {DM: "1"}
    discord.faults.plan("history", refused(503), times=6)
    with hearing("stay unanswered") as heard:
        async with running(discord, reception):
            await discord.say(11, "안녕")
            await discord.until(lambda: discord.sent)
            assert heard.is_set()
    assert discord.answers(11) == ["답: 안녕"]


FAULTS = {
    "broken before": [broken_before()],
    "broken after": [broken_after()],
    "both": [broken_before(), broken_after(), broken_after()],
    "not available": [refused(503), refused(503)],
    "bad gateway": [refused(502)],
    "late": [slow(0.3)],
}


@pytest.mark.parametrize("route", ["create", "typing"])
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
async def test_faults_neither_lose_nor_double_an_answer(
    discord: DiscordStandIn, reception: FakeReception, route: str, faults: list[Fault]
) -> None:
    discord.faults.plan(route, *faults)
    async with running(discord, reception):
        await discord.say(11, "안녕")
        await discord.say(11, "또 안녕")
        await discord.until(lambda: len(discord.sent) == 2)
    assert discord.answers(11) == ["답: 안녕", "답: 또 안녕"]
    assert not reception.errors


async def test_a_rate_limit_is_honoured(discord: DiscordStandIn, reception: FakeReception) -> None:
    discord.faults.plan("create", rate_limited(0.5))
    async with running(discord, reception):
        await discord.say(11, "안녕")
        await discord.until(lambda: discord.sent)
    limited, again = discord.faults.of("create")
    assert again.at - limited.at >= 0.5


async def test_a_long_outage_can_be_left(discord: DiscordStandIn) -> None:
    reached = asyncio.Event()

    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        sending = asyncio.create_task(_send(surface))
        await discord.until(lambda: discord.faults.left("create") < 100)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        reached.set()
        return Answer("")

    discord.faults.plan("create", refused(503), times=101)
    async with running(discord, FakeReception(reply)):
        await discord.say(11, "안녕")
        async with asyncio.timeout(10):
            await reached.wait()
    assert not discord.sent


async def _send(surface: Surface) -> None:
    await surface.send(Answer("답"))


@pytest.mark.parametrize("why", ["closed", "gone"])
async def test_what_can_never_be_delivered(discord: DiscordStandIn, reception: FakeReception, why: str) -> None:
    (discord.world.closed_dms if why == "closed" else discord.world.gone).add(11)
    async with running(discord, reception):
        await discord.until(lambda: discord.gateway.is_connected)
        await discord.say(11, "안녕")
        await discord.say(12, "안녕")
        await discord.until(lambda: discord.sent)
    (error,) = reception.errors
    assert isinstance(error, Undeliverable)
    assert discord.answers(12) == ["답: 안녕"]


async def test_a_restart_between_message_and_note_sends_nothing_twice(discord: DiscordStandIn) -> None:
    """As a crash leaves it: the message was sent, the inbox does not know."""
    async with running(discord, FakeReception()):
        number = await discord.say_in_server("안녕")
        await discord.until(lambda: len(discord.sent) == 1)
    again = FakeReception()
    again.catch_up = {CHANNEL: str(number - 1)}
    async with running(discord, again):
        await discord.until(lambda: len(discord.faults.of("create")) == 2)
    assert discord.answers(CHANNEL_ID) == ["답: 안녕"]
    assert again.sent[0][2] == (str(discord.sent[0].id),)
