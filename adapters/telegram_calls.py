"""Calls of the Bot API: what is repeated, after how long, and what is given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from telegram.error import BadRequest, ChatMigrated, Forbidden, RetryAfter, TelegramError

from adapters.telegram_settings import REFUSED, MessageRefused
from bot.messages import Undeliverable

FIRST_DELAY, LONGEST_DELAY = 0.25, 5.0

# Telegram does not say whether it refuses a chat or the bot as a whole: so many chats at once mean the whole.
_CHATS_THAT_MEAN_ALL = 3

# What it says, in lower case, where a chat will not take messages any more.
_GONE = (
    "chat not found",
    "user not found",
    "peer_id_invalid",
    "user is deactivated",
    "chat_write_forbidden",
    "have no rights to send",
    "not enough rights to send",
    "message thread not found",
    "topic_closed",
    "topic_deleted",
)

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


class FloodWaits:
    """Until when Telegram asked not to be called, for single chats and for all. Pure: times are given, in seconds."""

    def __init__(self) -> None:
        self._chats: dict[int, float] = {}
        self._all = 0.0

    def refuse(self, chat_id: int, seconds: float, now: float) -> None:
        """Telegram asked for `seconds` of silence when it was called for this chat."""
        self._chats = {chat: end for chat, end in self._chats.items() if end > now}
        self._chats[chat_id] = now + seconds
        if len(self._chats) >= _CHATS_THAT_MEAN_ALL:
            self._all = max(self._all, now + seconds)

    def left(self, chat_id: int, now: float) -> float:
        """Seconds until this chat may be called again; 0 or less: now."""
        return max(self._all, self._chats.get(chat_id, 0.0)) - now


class Calls:
    """Makes calls that concern a chat, and keeps to what Telegram asks for."""

    def __init__(self) -> None:
        self._waits = FloodWaits()

    async def persist(self, chat_id: int, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """Call until it works, or Telegram says that it never will.

        Raises Undeliverable, MessageRefused, and what the caller may have an answer to: ChatMigrated, BadRequest.
        """
        delay = FIRST_DELAY
        while True:
            if (left := self._waits.left(chat_id, _now())) > 0:
                await asyncio.sleep(left)
                continue  # another call may have been refused meanwhile
            try:
                return await call()
            except RetryAfter as error:
                self._refused(chat_id, error)
                continue
            except Forbidden as error:
                raise Undeliverable(error.message) from None
            except (ChatMigrated, BadRequest):
                raise
            except TelegramError as error:
                # Whether a message arrived is not known when the connection breaks: one that comes twice is better
                # than none.
                _log.info("Telegram did not take a call (%s); trying again in %.2f s.", kind_of(error), delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY)

    async def attempt(self, chat_id: int, call: Callable[[], Awaitable[_Result]]) -> _Result | None:
        """Call once, and not at all while Telegram asks to wait; None where it did not work."""
        if self._waits.left(chat_id, _now()) > 0:
            return None
        try:
            return await call()
        except RetryAfter as error:
            self._refused(chat_id, error)
        except TelegramError as error:
            _log.debug("A sign was not shown: %s", kind_of(error))
        return None

    def _refused(self, chat_id: int, error: RetryAfter) -> None:
        seconds = seconds_of(error)
        self._waits.refuse(chat_id, seconds, _now())
        _log.info("Telegram asks to wait %.0f s.", seconds)


def given_up(error: BadRequest) -> Undeliverable | MessageRefused:
    """What the bot is told of a request that would fail again."""
    if any(sign in error.message.lower() for sign in _GONE):
        return Undeliverable(error.message)
    return MessageRefused(REFUSED.format(reason=error.message))


def seconds_of(error: RetryAfter) -> float:
    """How long Telegram asks to wait."""
    asked = error.retry_after
    return asked.total_seconds() if isinstance(asked, timedelta) else float(asked)


def kind_of(error: TelegramError) -> str:
    """The error for the log: its kind, for the library may quote texts and the token in its message."""
    return type(error).__name__


def _now() -> float:
    return asyncio.get_running_loop().time()
