"""Telegram when things go wrong: nothing is lost, what Telegram asks for is kept to, and all recovers by itself."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters import telegram_bot
from adapters.errors import BadToken
from adapters.telegram_lock import only_instance
from adapters.telegram_settings import AlreadyRunning, LockFailed, TelegramSettings
from bot.messages import Answer, IncomingMessage, Surface
from tests.adapters.reception import FakeReception
from tests.stand_ins.telegram import TOKEN, TelegramStandIn
from tests.stand_ins.telegram_bots import hearing, running


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    async with TelegramStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def reception() -> FakeReception:
    return FakeReception()


class Forgetful(FakeReception):
    """A reception that fails to store the first times; what it failed with quotes what was said."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def put(self, message: IncomingMessage) -> bool:
        if self.failures:
            self.failures -= 1
            raise OSError(message.text)
        return await super().put(message)


@pytest.mark.parametrize("status", [500, 502, 404, 409])
async def test_a_call_that_fails_is_made_again(
    telegram: TelegramStandIn, reception: FakeReception, status: int
) -> None:
    telegram.faults.refuse("sendMessage", status)
    await telegram.say(11, "안녕")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.sent)
    assert telegram.screen(11) == ["답: 안녕"]


async def test_a_broken_connection_is_tried_again(telegram: TelegramStandIn, reception: FakeReception) -> None:
    for method in ("getMe", "deleteWebhook", "setMyCommands", "getUpdates", "sendMessage", "sendChatAction"):
        telegram.faults.reset(method)
    await telegram.say(11, "안녕")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.sent and telegram.state.commands.keys() == {"", "ko"})
    assert telegram.screen(11) == ["답: 안녕"]


async def test_updates_lost_on_the_way_come_again_and_are_answered_once(
    telegram: TelegramStandIn, reception: FakeReception
) -> None:
    telegram.faults.reset("getUpdates", processed=True)
    await telegram.say(11, "안녕")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.sent)
    async with running(telegram, reception):
        await telegram.say(12, "나중에")
        await telegram.until(lambda: telegram.screen(12))
    assert telegram.screen(11) == ["답: 안녕"]


async def test_a_flood_wait_is_honoured_and_others_go_on(telegram: TelegramStandIn, reception: FakeReception) -> None:
    telegram.faults.flood("sendMessage", 1, chat_id=11)
    await telegram.say(11, "안녕")
    await telegram.say(12, "안녕")
    async with running(telegram, reception):
        await telegram.until(lambda: len(telegram.sent) == 2)
    first, second = telegram.sent
    assert (first.chat_id, second.chat_id) == (12, 11)
    assert second.at - telegram.refused[0].at >= 1


async def test_a_flood_wait_of_all_chats_is_kept_to_by_all(telegram: TelegramStandIn) -> None:
    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        if message.text == "나중":
            await asked_to_wait.wait()
        return Answer(message.text)

    telegram.faults.flood("sendMessage", 1, count=3)
    for chat, text in ((1, "먼저"), (2, "먼저"), (3, "먼저"), (4, "나중")):
        await telegram.say(chat, text)
    with hearing("asks to wait", times=3) as asked_to_wait:
        async with running(telegram, FakeReception(reply)):
            await telegram.until(lambda: len(telegram.sent) == 4)
    assert len(telegram.refused) == 3
    last_refusal = max(call.at for call in telegram.refused)
    assert next(call for call in telegram.sent if call.chat_id == 4).at - last_refusal >= 1


async def test_a_flood_wait_of_polls_is_honoured(telegram: TelegramStandIn, reception: FakeReception) -> None:
    telegram.faults.flood("getUpdates", 1)
    await telegram.say(11, "안녕")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.sent)
    assert telegram.sent[0].at - telegram.refused[0].at >= 1


async def test_a_late_answer_is_waited_for(telegram: TelegramStandIn, reception: FakeReception) -> None:
    telegram.faults.delay("sendMessage", 0.5, chat_id=11)
    await telegram.say(11, "안녕")
    await telegram.say(12, "안녕")
    async with running(telegram, reception):
        await telegram.until(lambda: len(telegram.sent) == 2)
    assert not telegram.refused
    assert [call.chat_id for call in telegram.sent] == [12, 11]


async def test_what_cannot_be_stored_is_not_confirmed(
    telegram: TelegramStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    reception = Forgetful(failures=10_000)
    await telegram.say(11, "비밀이야")
    with hearing("could not be stored") as heard:
        async with running(telegram, reception), asyncio.timeout(10):
            await heard.wait()
    assert telegram.confirmed == 0
    reception.failures = 1
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.sent)
    assert telegram.screen(11) == ["답: 비밀이야"]
    assert "비밀" not in caplog.text


async def test_another_poller_is_told_of_and_outlasted(telegram: TelegramStandIn, reception: FakeReception) -> None:
    """Two machines with one token: the local lock cannot know."""
    other = FakeReception()
    with hearing("same token") as heard:
        async with running(telegram, reception):
            async with running(telegram, other), asyncio.timeout(10):
                await heard.wait()
            await telegram.say(11, "안녕")
            await telegram.until(lambda: telegram.sent)
    assert telegram.screen(11) == ["답: 안녕"]


async def test_one_process_a_token_on_a_machine(
    telegram: TelegramStandIn, reception: FakeReception, tmp_path: Path
) -> None:
    settings = TelegramSettings(TOKEN, tmp_path, api_url=telegram.url)
    held = only_instance(tmp_path, TOKEN)
    with only_instance(tmp_path, "7:another"), held, pytest.raises(AlreadyRunning, match="이미 돌고 있어요"):
        await telegram_bot.serve(settings, reception, asyncio.Event())
    with only_instance(tmp_path, TOKEN):
        assert not telegram.done


async def test_a_folder_that_cannot_be_written(reception: FakeReception, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LockFailed, match="쓸 수 있게"):
        await telegram_bot.serve(TelegramSettings(TOKEN, tmp_path / "file"), reception, asyncio.Event())


async def test_stop_ends_the_wait_for_a_server_that_is_not_there(
    reception: FakeReception, telegram: TelegramStandIn, unused_tcp_port: int
) -> None:
    with hearing("cannot be reached") as heard:
        async with running(telegram, reception, api_url=f"http://127.0.0.1:{unused_tcp_port}"), asyncio.timeout(10):
            await heard.wait()


@pytest.mark.parametrize("token", ["4242:another_token", "malbeot", "", f"{TOKEN}\n"])
async def test_an_invalid_token(
    telegram: TelegramStandIn, reception: FakeReception, tmp_path: Path, token: str
) -> None:
    with pytest.raises(BadToken, match="TELEGRAM_TOKEN") as caught:
        async with asyncio.timeout(10):
            await telegram_bot.serve(
                TelegramSettings(token, tmp_path, api_url=telegram.url), reception, asyncio.Event()
            )
    assert not token or token not in "".join(traceback.format_exception(caught.value))


async def test_a_token_that_is_taken_back_ends_the_bot_but_a_hiccup_does_not(
    telegram: TelegramStandIn, reception: FakeReception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.telegram_polling.FIRST_DELAY", 0.01)
    settings = TelegramSettings(TOKEN, tmp_path, api_url=telegram.url)
    telegram.faults.refuse("getUpdates", 404, count=4)
    async with running(telegram, reception):
        await telegram.say(11, "안녕")
        await telegram.until(lambda: telegram.sent)
    telegram.faults.refuse("getUpdates", 401, count=5)
    with pytest.raises(BadToken):
        async with asyncio.timeout(10):
            await telegram_bot.serve(settings, reception, asyncio.Event())


async def test_the_token_is_never_written_down(
    telegram: TelegramStandIn, reception: FakeReception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = TelegramSettings(TOKEN, Path(), api_url=telegram.url)
    for fault in ("getMe", "getUpdates", "sendMessage"):
        telegram.faults.reset(fault)
        telegram.faults.refuse(fault, 502)
    await telegram.say(11, "비밀이야")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.sent)
    assert "cannot be reached" in caplog.text
    assert TOKEN not in caplog.text + repr(settings)
    assert "비밀" not in caplog.text


async def test_stop_fetches_no_more_and_finishes_what_was_accepted(telegram: TelegramStandIn) -> None:
    go_on = asyncio.Event()

    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        await go_on.wait()
        return Answer("기다렸죠?")

    await telegram.say(11, "잠깐만")
    async with running(telegram, FakeReception(reply)) as stop:
        await telegram.until(lambda: telegram.typing)
        stop.set()
        # Confirmed without a long poll: the bot is on its way out.
        await telegram.until(lambda: telegram.leaving)
        await telegram.say(12, "늦었나?")
        assert not telegram.sent
        go_on.set()
    assert [call.text for call in telegram.sent] == ["기다렸죠?"]
    assert [update["message"]["text"] for update in telegram.updates] == ["늦었나?"]
