"""Telegram calls the bot: the same messages, the same promises."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters import telegram_bot
from adapters.telegram_settings import BadWebhook, TelegramSettings, TelegramWebhook
from bot.messages import IncomingMessage
from tests.adapters.reception import FakeReception
from tests.stand_ins.telegram import TOKEN, TelegramStandIn
from tests.stand_ins.telegram_bots import running


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    async with TelegramStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def webhook(unused_tcp_port: int) -> TelegramWebhook:
    return TelegramWebhook(f"http://127.0.0.1:{unused_tcp_port}/telegram", unused_tcp_port, "127.0.0.1")


async def test_what_is_brought_is_answered_once(telegram: TelegramStandIn, webhook: TelegramWebhook) -> None:
    reception = FakeReception()
    for text in ("하나", "둘"):
        await telegram.say(11, text)
    async with running(telegram, reception, webhook=webhook):
        await telegram.until(lambda: telegram.webhook)
        assert await telegram.deliver(times=10) == [200] * 20
        await telegram.until(lambda: len(telegram.sent) == 2)
    assert telegram.screen(11) == ["답: 하나", "답: 둘"]
    assert not telegram.updates
    assert telegram.webhook["url"] == webhook.url
    assert '"callback_query"' in telegram.webhook["allowed_updates"]


async def test_only_telegram_is_believed(telegram: TelegramStandIn, webhook: TelegramWebhook) -> None:
    reception = FakeReception()
    await telegram.say(11, "/forget")
    async with running(telegram, reception, webhook=webhook):
        await telegram.until(lambda: telegram.webhook)
        assert await telegram.deliver(secret="guess") == [403]
        assert await telegram.deliver(secret="") == [403]
    assert not reception.accepted
    secret = telegram.webhook["secret_token"]
    assert len(secret) == 64
    assert TOKEN not in secret


async def test_a_secret_of_the_operators_own(telegram: TelegramStandIn, unused_tcp_port: int) -> None:
    own = TelegramWebhook(f"http://127.0.0.1:{unused_tcp_port}/", unused_tcp_port, "127.0.0.1", secret="비밀-secret")
    await telegram.say(11, "안녕")
    async with running(telegram, FakeReception(), webhook=own):
        await telegram.until(lambda: telegram.webhook)
        assert telegram.webhook["secret_token"] == own.secret
    assert "secret" not in repr(own)


class Forgetful(FakeReception):
    """Fails to store the first time."""

    failed = False

    async def put(self, message: IncomingMessage) -> bool:
        if not self.failed:
            self.failed = True
            raise OSError("disk full")
        return await super().put(message)


async def test_what_cannot_be_stored_is_asked_for_again(telegram: TelegramStandIn, webhook: TelegramWebhook) -> None:
    await telegram.say(11, "안녕")
    async with running(telegram, Forgetful(), webhook=webhook):
        await telegram.until(lambda: telegram.webhook)
        assert await telegram.deliver() == [500]
        assert await telegram.deliver() == [200]
        await telegram.until(lambda: telegram.sent)
    assert telegram.screen(11) == ["답: 안녕"]


async def test_what_cannot_be_read_is_not_asked_for_again(telegram: TelegramStandIn, webhook: TelegramWebhook) -> None:
    await telegram.act("message", {"text": "보낸 사람도 방도 없어요"})
    async with running(telegram, FakeReception(), webhook=webhook):
        await telegram.until(lambda: telegram.webhook)
        assert await telegram.deliver() == [200]


async def test_polling_again_takes_the_webhook_away(telegram: TelegramStandIn, webhook: TelegramWebhook) -> None:
    async with running(telegram, FakeReception(), webhook=webhook):
        await telegram.until(lambda: telegram.webhook)
    await telegram.say(11, "안녕")
    async with running(telegram, FakeReception()):
        await telegram.until(lambda: telegram.sent)
    assert not telegram.webhook


async def test_a_port_that_is_taken_and_an_address_that_is_refused(
    telegram: TelegramStandIn, webhook: TelegramWebhook, tmp_path: Path
) -> None:
    settings = TelegramSettings(TOKEN, tmp_path, api_url=telegram.url, webhook=webhook)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", webhook.port))
        taken.listen()
        with pytest.raises(BadWebhook, match="다른 포트"):
            await telegram_bot.serve(settings, FakeReception(), asyncio.Event())
    telegram.faults.refuse("setWebhook", 400, "Bad Request: bad webhook: An HTTPS URL must be provided")
    with pytest.raises(BadWebhook, match="an https url must be provided"):
        await telegram_bot.serve(settings, FakeReception(), asyncio.Event())
