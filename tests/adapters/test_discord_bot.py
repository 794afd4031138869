"""Tests of adapters/discord_bot.py: the real library against a local REST API and gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from discord.gateway import DiscordWebSocket
from discord.http import Route

from adapters import discord_bot
from adapters.discord_bot import serve
from adapters.errors import BadToken
from bot.messages import ConversationKey
from tests.adapters.handles import ECHO, Echo, hearing, serving
from tests.stand_ins.discord import BOT, BOT_ID, CHANNEL_ID, GUILD_ID, THREAD_ID, TOKEN, DiscordStandIn

IN_SERVER: dict[str, Any] = {
    "guild_id": str(GUILD_ID),
    "author": {"id": "7", "username": "jiu", "global_name": "지우", "discriminator": "0", "avatar": None},
    "member": {"roles": [], "joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False, "flags": 0},
}


@pytest.fixture
async def discord(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordStandIn]:
    # `serve` sets these for the whole process; the next test finds them as they were.
    monkeypatch.setattr(Route, "BASE", Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    async with DiscordStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def echo() -> Echo:
    return Echo()


def bot(discord: DiscordStandIn, echo: Echo) -> AbstractAsyncContextManager[asyncio.Event]:
    return serving(lambda stop: serve(TOKEN, echo, stop, discord.api_url, discord.gateway_url))


async def test_a_direct_message_is_answered_once(discord: DiscordStandIn, echo: Echo) -> None:
    async with bot(discord, echo):
        number = await discord.say(11, "안녕 @everyone")
        await discord.until(lambda: discord.sent)
    (sent,) = discord.sent
    assert (sent.channel_id, sent.text) == (11, ECHO + "안녕 @everyone")
    assert sent.body["allowed_mentions"]["parse"] == []
    assert "message_reference" not in sent.body
    (message,) = echo.seen
    assert message.key == ConversationKey("discord", "11")
    assert (message.message_id, message.user_id, message.user_name) == (str(number), "11", "민지")
    assert message.sent_at.tzinfo is not None
    assert not message.is_group


async def test_the_message_content_intent_is_not_asked_for(discord: DiscordStandIn, echo: Echo) -> None:
    async with bot(discord, echo):
        await discord.until(lambda: discord.identified and discord.heartbeats)
    assert discord.identified is not None
    guilds, guild_messages, direct_messages = 1 << 0, 1 << 9, 1 << 12
    assert discord.identified["intents"] == guilds | guild_messages | direct_messages


async def test_order_within_each_of_twenty_channels(discord: DiscordStandIn, echo: Echo) -> None:
    channels, numbers = range(1, 21), range(5)
    async with bot(discord, echo):
        for number in numbers:
            for channel in channels:
                await discord.say(channel, str(number))
        await discord.until(lambda: len(discord.sent) == 100)
    for channel in channels:
        assert [message.text for message in echo.seen if message.user_id == str(channel)] == [str(n) for n in numbers]
        assert [sent.text for sent in discord.sent if sent.channel_id == channel] == [f"{ECHO}{n}" for n in numbers]


async def test_a_slow_channel_holds_up_no_other_and_shows_typing(discord: DiscordStandIn, echo: Echo) -> None:
    echo.held["천천히"] = asyncio.Event()
    async with bot(discord, echo):
        await discord.say(1, "천천히")
        await discord.until(lambda: 1 in discord.typing)
        await discord.say(2, "빨리")
        await discord.until(lambda: discord.sent)
        assert [sent.channel_id for sent in discord.sent] == [2]
        echo.held["천천히"].set()
        await discord.until(lambda: len(discord.sent) == 2)


@pytest.mark.parametrize(
    ("channel", "text", "fields", "key"),
    [
        (CHANNEL_ID, f"<@{BOT_ID}> 뭐 해?", {}, ConversationKey("discord", str(CHANNEL_ID))),
        (CHANNEL_ID, f"뭐 해? <@!{BOT_ID}>", {}, ConversationKey("discord", str(CHANNEL_ID))),
        (CHANNEL_ID, "뭐 해?", {"type": 19}, ConversationKey("discord", str(CHANNEL_ID))),
        (THREAD_ID, f"<@{BOT_ID}> 뭐 해?", {}, ConversationKey("discord", str(CHANNEL_ID), str(THREAD_ID))),
    ],
)
async def test_a_message_for_the_bot_in_a_server(
    discord: DiscordStandIn, echo: Echo, channel: int, text: str, fields: dict[str, Any], key: ConversationKey
) -> None:
    async with bot(discord, echo):
        number = await discord.say(channel, text, **IN_SERVER, mentions=[BOT], **fields)
        await discord.until(lambda: discord.sent)
    (message,) = echo.seen
    assert (message.key, message.user_id, message.text) == (key, "7", "뭐 해?")
    assert message.is_group
    assert message.addressed
    assert discord.sent[0].channel_id == channel
    assert discord.sent[0].body["message_reference"]["message_id"] == number


NOT_FOR_THE_BOT: dict[str, dict[str, Any]] = {
    "talk": {},
    "everyone is meant": {"mention_everyone": True},
    "another bot is meant": {"mentions": [{**BOT, "id": "8"}]},
    "a bot's message": {"mentions": [BOT], "author": {**BOT, "id": "8"}},
    "a webhook's message": {"mentions": [BOT], "webhook_id": "9"},
    "a notice": {"mentions": [BOT], "type": 6},
}


@pytest.mark.parametrize("fields", NOT_FOR_THE_BOT.values(), ids=NOT_FOR_THE_BOT.keys())
async def test_what_is_not_for_the_bot_in_a_server(discord: DiscordStandIn, echo: Echo, fields: dict[str, Any]) -> None:
    async with bot(discord, echo):
        await discord.say(CHANNEL_ID, "우리끼리 하는 말", **{**IN_SERVER, **fields})
        await discord.say(11, "다음")
        await discord.until(lambda: discord.sent)
    assert [message.text for message in echo.seen] == ["다음"]
    assert [sent.channel_id for sent in discord.sent] == [11]


async def test_a_long_reply_is_split_at_sentences(discord: DiscordStandIn, echo: Echo) -> None:
    echo.answers["길게"] = " ".join(["이 문장은 모두 스무 글자쯤 되는 문장이에요."] * 150)
    async with bot(discord, echo):
        await discord.say(11, "길게")
        await discord.until(lambda: " ".join(sent.text for sent in discord.sent) == echo.answers["길게"])
    assert len(discord.sent) == 2
    assert all(len(sent.text) <= 2000 and sent.text.endswith("문장이에요.") for sent in discord.sent)
    assert discord.sent[0].body["nonce"] != discord.sent[1].body["nonce"]


async def test_a_rate_limit_is_honoured(discord: DiscordStandIn, echo: Echo) -> None:
    discord.refusals.append(0.5)
    async with bot(discord, echo):
        await discord.say(11, "안녕")
        await discord.until(lambda: discord.sent)
    assert len(discord.sent) == len(discord.refused) == 1
    assert discord.sent[0].at - discord.refused[0].at >= 0.5


async def test_a_broken_connection_is_tried_again_with_the_same_nonce(
    discord: DiscordStandIn, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord_bot, "_SEND_DELAY", 0.01)
    discord.refusals.append(None)
    async with bot(discord, echo):
        await discord.say(11, "안녕")
        await discord.until(lambda: discord.sent)
    assert [sent.body["nonce"] for sent in discord.sent] == [sent.body["nonce"] for sent in discord.refused]
    assert discord.sent[0].body["enforce_nonce"] is True


async def test_an_outage_at_the_start_is_waited_out(
    discord: DiscordStandIn, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord_bot, "_FIRST_DELAY", 0.01)
    discord.outages = 1
    async with bot(discord, echo):
        await discord.say(11, "안녕")
        await discord.until(lambda: discord.sent)
    assert discord.outages == 0


async def test_stop_ends_the_wait_for_a_server_that_is_not_there(
    discord: DiscordStandIn, echo: Echo, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    nowhere = f"http://127.0.0.1:{unused_tcp_port}"
    with hearing("adapters.discord_bot", "cannot be reached") as heard:
        async with serving(lambda stop: serve(TOKEN, echo, stop, nowhere, nowhere)), asyncio.timeout(10):
            await heard.wait()
    assert TOKEN not in caplog.text


async def test_a_token_the_api_refuses(discord: DiscordStandIn, echo: Echo) -> None:
    with pytest.raises(BadToken, match="DISCORD_TOKEN"):
        async with asyncio.timeout(10):
            await serve("another.token", echo, asyncio.Event(), discord.api_url, discord.gateway_url)


async def test_a_token_the_gateway_refuses(discord: DiscordStandIn, echo: Echo) -> None:
    discord.close_with = 4004
    with pytest.raises(BadToken, match="DISCORD_TOKEN"):
        async with asyncio.timeout(10):
            await serve(TOKEN, echo, asyncio.Event(), discord.api_url, discord.gateway_url)


async def test_stop_while_a_reply_is_in_flight_still_sends_it(discord: DiscordStandIn, echo: Echo) -> None:
    echo.held["잠깐만"] = asyncio.Event()
    async with bot(discord, echo) as stop:
        await discord.say(11, "잠깐만")
        await discord.until(lambda: 11 in discord.typing)
        stop.set()
        assert not discord.sent
        echo.held["잠깐만"].set()
    assert [sent.text for sent in discord.sent] == [ECHO + "잠깐만"]


async def test_an_error_is_logged_without_what_was_said(
    discord: DiscordStandIn, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    echo.failing.add("비밀이야")
    async with bot(discord, echo):
        await discord.say(11, "비밀이야")
        await discord.say(11, "안녕")
        await discord.until(lambda: discord.sent)
    assert [sent.text for sent in discord.sent] == [ECHO + "안녕"]
    assert "RuntimeError" in caplog.text
    assert "비밀" not in caplog.text
    assert TOKEN not in caplog.text
