"""Tests of adapters/discord_bot.py: what is answered and what is not, by the real library at a local Discord."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters import discord_bot
from adapters.discord_bot import serve
from adapters.discord_presses import NOT_ALLOWED
from adapters.errors import AdapterError, BadToken, ConnectionDenied
from bot.messages import Answer, ConversationKey, IncomingMessage, Kind, Surface
from tests.adapters.reception import FakeReception
from tests.stand_ins.discord import BOT, BOT_ID, CHANNEL_ID, THREAD_ID, TOKEN, DiscordStandIn
from tests.stand_ins.discord_bots import hearing, local_discord, running, settings
from tests.stand_ins.discord_data import attachment
from tests.stand_ins.discord_faults import refused

CHANNEL = ConversationKey("discord", str(CHANNEL_ID))
THREAD = ConversationKey("discord", str(CHANNEL_ID), str(THREAD_ID))


@pytest.fixture
async def discord() -> AsyncIterator[DiscordStandIn]:
    async with local_discord() as stand_in:
        yield stand_in


@pytest.fixture
def reception() -> FakeReception:
    return FakeReception()


async def test_a_direct_message_is_answered_once(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        number = await discord.say(11, "안녕 @everyone")
        await discord.until(lambda: discord.sent)
    (sent,) = discord.sent
    assert (sent.channel_id, sent.text) == (11, "답: 안녕 @everyone")
    assert sent.body["allowed_mentions"]["parse"] == []
    assert sent.body["enforce_nonce"] is True
    assert "message_reference" not in sent.body
    (message,) = reception.accepted
    assert message.key == ConversationKey("discord", "11")
    assert (message.message_id, message.event_id) == (str(number), str(number))
    assert (message.user_id, message.user_name) == ("11", "민지")
    assert message.sent_at.tzinfo is not None
    assert (message.kind, message.is_group) == (Kind.TEXT, False)
    assert reception.sent[0][2] == (str(sent.id),)
    assert 11 in discord.world.typing


async def test_no_privileged_intent_is_asked_for(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        await discord.until(lambda: discord.gateway.identified and discord.gateway.heartbeats)
    guilds, guild_messages, guild_reactions, direct_messages, direct_reactions = (
        1 << 0,
        1 << 9,
        1 << 10,
        1 << 12,
        1 << 13,
    )
    (identity,) = discord.gateway.identified
    assert identity["intents"] == guilds | guild_messages | guild_reactions | direct_messages | direct_reactions


@pytest.mark.parametrize(
    ("channel", "text", "fields", "key"),
    [
        (CHANNEL_ID, f"<@{BOT_ID}> 뭐 해?", {}, CHANNEL),
        (CHANNEL_ID, f"뭐 해? <@!{BOT_ID}>", {}, CHANNEL),
        (CHANNEL_ID, "뭐 해?", {"type": 19}, CHANNEL),
        (THREAD_ID, f"<@{BOT_ID}> 뭐 해?", {}, THREAD),
    ],
)
async def test_a_message_for_the_bot_in_a_server(
    discord: DiscordStandIn,
    reception: FakeReception,
    channel: int,
    text: str,
    fields: dict[str, Any],
    key: ConversationKey,
) -> None:
    async with running(discord, reception):
        number = await discord.say_in_server(text, to_bot=False, channel_id=channel, mentions=[BOT], **fields)
        await discord.until(lambda: discord.sent)
    (message,) = reception.accepted
    assert (message.key, message.user_id, message.user_name, message.text) == (key, "7", "지우", "뭐 해?")
    assert message.is_group
    assert discord.sent[0].channel_id == channel
    reference = discord.sent[0].body["message_reference"]
    # The answer comes also where the question has been deleted since.
    assert (reference["message_id"], reference["fail_if_not_exists"]) == (number, False)


NOT_FOR_THE_BOT: dict[str, dict[str, Any]] = {
    "talk": {},
    "everyone is meant": {"mention_everyone": True},
    "another bot is meant": {"mentions": [{**BOT, "id": "8"}]},
    "a bot's message": {"mentions": [BOT], "author": {**BOT, "id": "8"}},
    "a webhook's message": {"mentions": [BOT], "webhook_id": "9"},
    "a notice": {"mentions": [BOT], "type": 6},
}


@pytest.mark.parametrize("fields", NOT_FOR_THE_BOT.values(), ids=NOT_FOR_THE_BOT.keys())
async def test_what_is_not_for_the_bot_is_neither_answered_nor_stored(
    discord: DiscordStandIn, reception: FakeReception, fields: dict[str, Any]
) -> None:
    async with running(discord, reception):
        number = await discord.say_in_server("우리끼리 하는 말", to_bot=False, **fields)
        await discord.change(CHANNEL_ID, number, "고친 말")
        await discord.say(11, "다음")
        await discord.until(lambda: discord.sent)
    assert [message.text for message in reception.accepted] == ["다음"]
    assert [sent.channel_id for sent in discord.sent] == [11]


async def test_talk_in_a_server_that_is_not_known_yet(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        await discord.say(55, "우리끼리 하는 말", guild_id="7777")
        await discord.say(11, "다음")
        await discord.until(lambda: discord.sent)
    assert [message.text for message in reception.accepted] == ["다음"]


async def test_files_and_stickers_are_media(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        await discord.say(11, "이거 봐", attachments=[attachment(1, "사진.png", 3)])
        await discord.say(11, "", sticker_items=[{"id": "1", "name": "안녕", "format_type": 1}])
        await discord.until(lambda: len(discord.sent) == 2)
    assert [(message.kind, message.text) for message in reception.accepted] == [
        (Kind.MEDIA, "이거 봐"),
        (Kind.MEDIA, ""),
    ]


async def test_an_edited_message_is_an_edit_once(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        number = await discord.say_in_server("오늘 추어")
        await discord.unfurl(CHANNEL_ID, number)
        await discord.change(CHANNEL_ID, number, f"<@{BOT_ID}> 오늘 추워")
        await discord.unfurl(CHANNEL_ID, number)
        await discord.say(11, "다음")
        await discord.until(lambda: len(discord.sent) == 3)
    first, edit, _ = reception.accepted
    assert (first.kind, first.message_id) == (Kind.TEXT, edit.message_id)
    assert (edit.kind, edit.text, edit.key) == (Kind.EDIT, "오늘 추워", CHANNEL)
    assert edit.event_id != first.event_id


async def test_order_within_each_of_twenty_channels(discord: DiscordStandIn, reception: FakeReception) -> None:
    channels, numbers = range(1, 21), range(5)
    async with running(discord, reception):
        for number in numbers:
            for channel in channels:
                await discord.say(channel, str(number))
        await discord.until(lambda: len(discord.sent) == 100)
    for channel in channels:
        assert [message.text for message in reception.accepted if message.key.chat_id == str(channel)] == list("01234")
        assert discord.answers(channel) == [f"답: {number}" for number in numbers]


async def test_three_hundred_conversations_at_once(discord: DiscordStandIn, reception: FakeReception) -> None:
    channels = range(1000, 1300)
    async with running(discord, reception):
        for number in range(3):
            for channel in channels:
                await discord.say(channel, str(number))
        await discord.until(lambda: len(discord.sent) == 900, seconds=60)
    assert all(discord.answers(channel) == ["답: 0", "답: 1", "답: 2"] for channel in channels)


async def test_a_slow_conversation_holds_up_no_other(discord: DiscordStandIn) -> None:
    held = asyncio.Event()

    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        if message.text == "천천히":
            await held.wait()
        return Answer(message.text)

    async with running(discord, FakeReception(reply)):
        await discord.say(1, "천천히")
        await discord.until(lambda: 1 in discord.world.typing)
        await discord.say(2, "빨리")
        await discord.until(lambda: discord.sent)
        assert [sent.channel_id for sent in discord.sent] == [2]
        held.set()
        await discord.until(lambda: len(discord.sent) == 2)


@pytest.mark.parametrize("text", ["/persona 나는 토리다.", "/PERSONA@malbeot 나는 토리다.", "/speech 반말", "/reset"])
async def test_only_managers_change_a_channel(discord: DiscordStandIn, reception: FakeReception, text: str) -> None:
    async with running(discord, reception):
        number = await discord.say_in_server(text)
        await discord.until(lambda: discord.answers(CHANNEL_ID) == [NOT_ALLOWED])
        await discord.change(CHANNEL_ID, number, f"<@{BOT_ID}> {text}")
        await discord.say_in_server(text, channel_id=THREAD_ID)
        await discord.until(lambda: discord.answers(THREAD_ID) == [NOT_ALLOWED])
        assert reception.accepted == []
        await discord.say_in_server(text, manager=True)
        await discord.say_in_server(text, manager=True, channel_id=THREAD_ID)
        await discord.say(11, text)
        await discord.until(lambda: len(discord.sent) == 5)
    assert {message.user_id for message in reception.accepted} == {"7", "11"}


async def test_anybody_may_look(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        await discord.say_in_server("/persona")
        await discord.until(lambda: discord.sent)
    assert discord.answers(CHANNEL_ID) == ["답: /persona"]


async def test_what_cannot_be_stored_is_tried_again_in_order(
    discord: DiscordStandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("adapters.discord_intake._FIRST_DELAY", 0.01)

    class Full(FakeReception):
        failures = 3

        async def put(self, message: IncomingMessage) -> bool:
            if self.failures:
                self.failures -= 1
                raise RuntimeError(message.text)
            return await super().put(message)

    reception = Full()
    async with running(discord, reception):
        await discord.say(11, "비밀이야")
        await discord.say(11, "둘째")
        await discord.until(lambda: len(discord.sent) == 2)
    assert discord.answers(11) == ["답: 비밀이야", "답: 둘째"]
    assert "RuntimeError" in caplog.text
    assert "비밀" not in caplog.text


async def test_stop_finishes_what_was_accepted_and_accepts_no_more(discord: DiscordStandIn) -> None:
    held = asyncio.Event()

    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        await held.wait()
        return Answer("다 했어요")

    reception = FakeReception(reply)
    async with running(discord, reception) as stop:
        await discord.say(11, "잠깐만")
        await discord.until(lambda: 11 in discord.world.typing)
        stop.set()
        await asyncio.sleep(0)
        await discord.say(12, "늦었나")
        assert not discord.sent
        held.set()
    assert discord.answers(11) == ["다 했어요"]
    assert [message.text for message in reception.accepted] == ["잠깐만"]


async def test_an_outage_at_the_start_is_waited_out(
    discord: DiscordStandIn, reception: FakeReception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord_bot, "_FIRST_DELAY", 0.01)
    discord.faults.plan("login", refused(503))
    discord.gateway.refusals = 1
    async with running(discord, reception):
        await discord.say(11, "안녕")
        await discord.until(lambda: discord.sent)
    assert (discord.faults.left("login"), discord.gateway.refusals) == (0, 0)


async def test_stop_ends_the_wait_for_a_server_that_is_not_there(
    reception: FakeReception, discord: DiscordStandIn, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    nowhere = f"http://127.0.0.1:{unused_tcp_port}"
    with hearing("cannot be reached") as heard:
        async with asyncio.timeout(10), running(discord, reception, api_url=nowhere, gateway_url=nowhere):
            await heard.wait()
    assert TOKEN not in caplog.text


async def test_a_token_the_api_refuses(discord: DiscordStandIn, reception: FakeReception) -> None:
    with pytest.raises(BadToken, match="DISCORD_TOKEN"):
        async with asyncio.timeout(10):
            await serve(settings(discord, token="another.token"), reception, asyncio.Event())


@pytest.mark.parametrize(
    ("code", "sharded", "error", "says"),
    [
        (4004, False, BadToken, "DISCORD_TOKEN"),
        (4004, True, BadToken, "DISCORD_TOKEN"),
        (4011, False, ConnectionDenied, "DISCORD_SHARDED"),
        (4013, False, AdapterError, "4013"),
    ],
)
async def test_a_gateway_that_refuses_for_good(
    discord: DiscordStandIn, reception: FakeReception, code: int, sharded: bool, error: type[Exception], says: str
) -> None:
    discord.gateway.close_with = code
    with pytest.raises(error, match=says):
        async with asyncio.timeout(10):
            await serve(settings(discord, sharded=sharded), reception, asyncio.Event())


async def test_shards(discord: DiscordStandIn, reception: FakeReception, monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(*_: Any, **__: Any) -> None:
        """Discord wants five seconds between the shards."""

    monkeypatch.setattr("adapters.discord_client.ShardedClient.before_identify_hook", at_once)
    discord.shards = 2
    async with running(discord, reception, sharded=True):
        await discord.until(lambda: len(discord.gateway.identified) == 2)
        await discord.say(11, "안녕")
        await discord.say_in_server("여기도")
        await discord.until(lambda: len(discord.sent) == 2)
    assert [identity["shard"] for identity in discord.gateway.identified] == [[0, 2], [1, 2]]
    assert discord.answers(11) + discord.answers(CHANNEL_ID) == ["답: 안녕", "답: 여기도"]


async def test_the_log_has_no_texts_and_no_tokens(
    discord: DiscordStandIn, reception: FakeReception, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("discord")
    level = logger.level
    caplog.set_level(logging.DEBUG)
    try:
        async with running(discord, reception):
            await discord.say(11, "비밀이야")
            await discord.until(lambda: discord.sent)
    finally:
        logger.setLevel(level)
    assert "has connected to Gateway" in caplog.text
    assert "비밀" not in caplog.text
    assert TOKEN not in caplog.text
