"""Tests of adapters/telegram_bot.py: the real library against a local Bot API server."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from telegram.error import BadRequest, Forbidden, RetryAfter

from adapters import telegram_bot
from adapters.errors import BadToken
from adapters.telegram_bot import serve, wait_before_repeating
from bot.messages import ConversationKey
from tests.adapters.handles import ECHO, Echo, hearing, serving
from tests.stand_ins.telegram import BOT, TOKEN, TelegramStandIn, entity

GROUP = {
    "chat": {"id": -100, "type": "supergroup", "title": "모임"},
    "from": {"id": 7, "is_bot": False, "first_name": "지우"},
}


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    async with TelegramStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def echo() -> Echo:
    return Echo()


def bot(telegram: TelegramStandIn, echo: Echo) -> AbstractAsyncContextManager[asyncio.Event]:
    return serving(lambda stop: serve(TOKEN, echo, stop, telegram.url))


async def test_a_private_message_is_answered_once(telegram: TelegramStandIn, echo: Echo) -> None:
    number = await telegram.say(11, "안녕 <b>*하세요*</b>")
    async with bot(telegram, echo):
        await telegram.until(lambda: telegram.sent)
    assert [(call.chat_id, call.text) for call in telegram.sent] == [(11, ECHO + "안녕 <b>*하세요*</b>")]
    assert telegram.sent[0].fields.keys() == {"chat_id", "text"}
    (message,) = echo.seen
    assert message.key == ConversationKey("telegram", "11")
    assert (message.message_id, message.user_id, message.user_name) == (str(number), "11", "민지")
    assert message.sent_at.timestamp() == 1_760_000_000 + number
    assert not message.is_group
    assert message.addressed
    assert telegram.confirmed == 1000 + number


async def test_order_within_each_of_twenty_chats(telegram: TelegramStandIn, echo: Echo) -> None:
    chats, numbers = range(1, 21), range(5)
    async with bot(telegram, echo):
        for number in numbers:
            for chat in chats:
                await telegram.say(chat, str(number))
        await telegram.until(lambda: len(telegram.sent) == 100)
    for chat in chats:
        assert [message.text for message in echo.seen if message.user_id == str(chat)] == [str(n) for n in numbers]
        assert [call.text for call in telegram.sent if call.chat_id == chat] == [f"{ECHO}{n}" for n in numbers]


async def test_a_slow_chat_holds_up_no_other_and_shows_typing(telegram: TelegramStandIn, echo: Echo) -> None:
    echo.held["천천히"] = asyncio.Event()
    async with bot(telegram, echo):
        await telegram.say(1, "천천히")
        await telegram.until(lambda: telegram.typing)
        await telegram.say(2, "빨리")
        await telegram.until(lambda: telegram.sent)
        assert [call.chat_id for call in telegram.sent] == [2]
        assert telegram.typing[0].chat_id == 1
        assert telegram.typing[0].fields["action"] == "typing"
        echo.held["천천히"].set()
        await telegram.until(lambda: len(telegram.sent) == 2)


MENTION, HELP = "@Malbeot_bot아 뭐 해?", "/help@malbeot_bot 좀"


@pytest.mark.parametrize(
    ("text", "fields", "heard"),
    [
        (MENTION, {"entities": [entity(MENTION, "@Malbeot_bot", "mention")]}, "아 뭐 해?"),
        (HELP, {"entities": [entity(HELP, "/help@malbeot_bot", "bot_command")]}, "/help 좀"),
        ("말벗 안녕", {"entities": [entity("말벗 안녕", "말벗", "text_mention", user=BOT)]}, "말벗 안녕"),
        ("정말?", {"reply_to_message": {"message_id": 1, "date": 1, "chat": GROUP["chat"], "from": BOT}}, "정말?"),
    ],
)
async def test_a_group_message_for_the_bot(
    telegram: TelegramStandIn, echo: Echo, text: str, fields: dict[str, Any], heard: str
) -> None:
    async with bot(telegram, echo):
        number = await telegram.say(-100, text, **GROUP, **fields)
        await telegram.until(lambda: telegram.sent)
    (message,) = echo.seen
    assert (message.key, message.user_id, message.text) == (ConversationKey("telegram", "-100"), "7", heard)
    assert message.is_group
    assert message.addressed
    assert f'"message_id": {number}' in telegram.sent[0].fields["reply_parameters"]


OTHER = "@other_bot 안녕 😀 /help@other_bot /help"
NOT_FOR_THE_BOT: dict[str, dict[str, Any]] = {
    "우리끼리 하는 말": {},
    "@malbeot_bot 이라는 글자": {},
    OTHER: {
        "entities": [
            entity(OTHER, "@other_bot", "mention"),
            entity(OTHER, "/help@other_bot", "bot_command"),
            entity(OTHER, "/help", "bot_command"),
        ]
    },
    "응": {"reply_to_message": {"message_id": 1, "date": 1, "chat": GROUP["chat"], "from": GROUP["from"]}},
    MENTION: {
        "entities": [entity(MENTION, "@Malbeot_bot", "mention")],
        "from": {"id": 8, "is_bot": True, "first_name": "봇"},
    },
}


async def test_group_messages_for_others(telegram: TelegramStandIn, echo: Echo) -> None:
    async with bot(telegram, echo):
        for text, fields in NOT_FOR_THE_BOT.items():
            await telegram.say(-100, text, **{**GROUP, **fields})
        await telegram.say(11, "다음")
        await telegram.until(lambda: telegram.sent)
    assert [message.text for message in echo.seen] == ["다음"]
    assert [call.chat_id for call in telegram.sent] == [11]


async def test_a_topic_is_its_own_conversation_but_a_chain_of_replies_is_not(
    telegram: TelegramStandIn, echo: Echo
) -> None:
    async with bot(telegram, echo):
        await telegram.say(11, "주제 안", message_thread_id=5, is_topic_message=True)
        await telegram.until(lambda: len(telegram.sent) == 1)
        await telegram.say(11, "주제 밖", message_thread_id=6)
        await telegram.until(lambda: len(telegram.sent) == 2)
    assert [message.key.thread_id for message in echo.seen] == ["5", ""]
    assert [call.fields.get("message_thread_id") for call in telegram.sent] == ["5", None]


async def test_a_long_reply_is_split_at_sentences(telegram: TelegramStandIn, echo: Echo) -> None:
    echo.answers["길게"] = " ".join(["이 문장은 모두 스무 글자쯤 되는 문장이에요."] * 300)
    async with bot(telegram, echo):
        await telegram.say(11, "길게")
        await telegram.until(lambda: " ".join(call.text for call in telegram.sent) == echo.answers["길게"])
    assert len(telegram.sent) == 2
    assert all(len(call.text) <= 4096 and call.text.endswith("문장이에요.") for call in telegram.sent)


async def test_a_flood_wait_is_honoured(telegram: TelegramStandIn, echo: Echo) -> None:
    telegram.refusals.append((429, {"retry_after": 1}))
    async with bot(telegram, echo):
        await telegram.say(11, "안녕")
        await telegram.until(lambda: telegram.sent)
    assert len(telegram.sent) == len(telegram.refused) == 1
    assert telegram.sent[0].at - telegram.refused[0].at >= 1


async def test_a_broken_connection_is_tried_again(
    telegram: TelegramStandIn, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram_bot, "_SEND_DELAY", 0.01)
    telegram.refusals.append(None)
    async with bot(telegram, echo):
        await telegram.say(11, "안녕")
        await telegram.until(lambda: telegram.sent)
    assert len(telegram.sent) == len(telegram.refused) == 1


async def test_an_outage_at_the_start_is_waited_out(
    telegram: TelegramStandIn, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram_bot, "_FIRST_DELAY", 0.01)
    telegram.outages = 1
    await telegram.say(11, "안녕")
    async with bot(telegram, echo):
        await telegram.until(lambda: telegram.sent)
    assert telegram.outages == 0


async def test_stop_ends_the_wait_for_a_server_that_is_not_there(
    echo: Echo, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    with hearing("adapters.telegram_bot", "cannot be reached") as heard:
        async with (
            serving(lambda stop: serve(TOKEN, echo, stop, f"http://127.0.0.1:{unused_tcp_port}")),
            asyncio.timeout(10),
        ):
            await heard.wait()
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("token", ["4242:another_token", "malbeot", "", f"{TOKEN}\n"])
async def test_an_invalid_token(telegram: TelegramStandIn, echo: Echo, token: str) -> None:
    with pytest.raises(BadToken, match="TELEGRAM_TOKEN") as caught:
        async with asyncio.timeout(10):
            await serve(token, echo, asyncio.Event(), telegram.url)
    assert not token or token not in "".join(traceback.format_exception(caught.value))


async def test_stop_while_a_reply_is_in_flight_still_sends_it(telegram: TelegramStandIn, echo: Echo) -> None:
    echo.held["잠깐만"] = asyncio.Event()
    async with bot(telegram, echo) as stop:
        await telegram.say(11, "잠깐만")
        await telegram.until(lambda: telegram.typing)
        stop.set()
        # Confirmed without a long poll: the bot is on its way out.
        await telegram.until(lambda: telegram.leaving)
        assert not telegram.sent
        echo.held["잠깐만"].set()
    assert [call.text for call in telegram.sent] == [ECHO + "잠깐만"]


async def test_an_error_is_logged_without_what_was_said(
    telegram: TelegramStandIn, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    echo.failing.add("비밀이야")
    async with bot(telegram, echo):
        await telegram.say(11, "비밀이야")
        await telegram.say(11, "안녕")
        await telegram.until(lambda: telegram.sent)
    assert [call.text for call in telegram.sent] == [ECHO + "안녕"]
    assert "RuntimeError" in caplog.text
    assert "비밀" not in caplog.text
    assert TOKEN not in caplog.text


def test_only_what_may_succeed_is_sent_again() -> None:
    assert wait_before_repeating(RetryAfter(7)) == 7
    assert wait_before_repeating(RetryAfter(4000)) is None
    assert wait_before_repeating(BadRequest("chat not found")) is None
    assert wait_before_repeating(Forbidden("bot was blocked by the user")) is None
