"""Bots for tests: the adapter over the real library, connected to a local Telegram."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from telegram import Bot

from adapters import telegram_bot
from adapters.telegram_calls import Calls
from adapters.telegram_request import AiohttpRequest
from adapters.telegram_settings import TelegramSettings
from adapters.telegram_surface import TelegramPlatform
from bot.messages import Answer, CommandInfo, ConversationKey, IncomingMessage, Kind, Reception, Surface
from tests.adapters.reception import FakeReception
from tests.stand_ins import DEADLINE_SECONDS
from tests.stand_ins.telegram import TOKEN, TelegramStandIn

COMMANDS = (
    CommandInfo("help", "할 수 있는 것들을 알려 드려요"),
    CommandInfo("persona", "제가 누구인지 바꿔요", "인물 소개"),
)


@asynccontextmanager
async def running(telegram: TelegramStandIn, reception: Reception, **changes: Any) -> AsyncIterator[asyncio.Event]:
    """A bot inside the block; afterwards it has to stop within the deadline, without an error."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"token": TOKEN, "lock_path": Path(folder), "commands": COMMANDS, "api_url": telegram.url, **changes}
        stop = asyncio.Event()
        task = asyncio.create_task(telegram_bot.serve(TelegramSettings(**given), reception, stop))
        try:
            yield stop
        finally:
            stop.set()
            async with asyncio.timeout(DEADLINE_SECONDS):
                await task


@asynccontextmanager
async def connected(telegram: TelegramStandIn) -> AsyncIterator[TelegramPlatform]:
    """The platform alone, to try its surfaces with `asked` messages; nothing is fetched."""
    request = AiohttpRequest(10)
    bot = Bot(TOKEN, f"{telegram.url}/bot", request=request, get_updates_request=AiohttpRequest(1))
    async with bot:
        yield TelegramPlatform(bot, Calls(), FakeReception())


def asked(chat_id: int, message_id: int = 1, kind: Kind = Kind.TEXT) -> IncomingMessage:
    """A message that is to be answered."""
    key = ConversationKey("telegram", str(chat_id))
    sent_at = datetime(2026, 1, 1, tzinfo=UTC)
    return IncomingMessage(key, str(message_id), "7", "민지", "안녕", sent_at, is_group=chat_id < 0, kind=kind)


def always(answer: Answer) -> Callable[[IncomingMessage, Surface], Awaitable[Answer]]:
    """The same answer to everything."""

    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        return answer

    return reply


@contextmanager
def hearing(text: str, times: int = 1) -> Iterator[asyncio.Event]:
    """An event that is set when the adapters have logged so many lines that contain `text`."""
    heard = _Heard(text, times)
    logger = logging.getLogger("adapters")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(heard)
    try:
        yield heard.event
    finally:
        logger.removeHandler(heard)
        logger.setLevel(level)


class _Heard(logging.Handler):
    def __init__(self, text: str, times: int) -> None:
        super().__init__()
        self._text = text
        self._times = times
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self._times -= self._text in record.getMessage()
        if self._times <= 0:
            self.event.set()
