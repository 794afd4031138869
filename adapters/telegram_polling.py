"""Asking Telegram for updates.

The library's Updater is not used: an error that is not Telegram's own, or a single 404, ends its loop for good without
a word, and what is being committed is cancelled when it stops. Here an update is confirmed, by asking for the next one,
once it was taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from telegram import Bot, Update
from telegram.error import BadRequest, Conflict, InvalidToken, RetryAfter, TelegramError

from adapters.errors import BadToken, without_texts
from adapters.telegram_calls import FIRST_DELAY, LONGEST_DELAY, kind_of, seconds_of
from adapters.telegram_settings import BAD_TOKEN
from adapters.telegram_updates import ALLOWED_UPDATES
from adapters.waiting import pause, unless_stopped

# Seconds. Telegram holds a request so long for updates to come; a connection that died is noticed soon after.
_POLL_SECONDS = 10
_SLACK_SECONDS = 5.0
_LAST_WORD_SECONDS = 3.0
# A proxy or a server that starts may refuse a good token for a moment.
_REFUSALS_THAT_MEAN_IT = 5

_CONFLICT = (
    "Another program asks Telegram for the updates of the same token, or has set a webhook. Stop one of the two; this "
    "one goes on as soon as the other is gone."
)

Take = Callable[[Update], Awaitable[None]]
_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


class Outage:
    """Counts failures in a row; says once that they began and once that they are over."""

    def __init__(self) -> None:
        self._next_delay = FIRST_DELAY
        self._refusals = 0

    def over(self) -> None:
        """It worked."""
        if self._next_delay > FIRST_DELAY:
            _log.warning("Telegram can be reached again.")
        self._next_delay = FIRST_DELAY
        self._refusals = 0

    def delay(self, error: TelegramError) -> float:
        """Seconds to wait after this failure. Raises BadToken for a token that is refused again and again."""
        self._refusals = self._refusals + 1 if isinstance(error, InvalidToken) else 0
        if self._refusals >= _REFUSALS_THAT_MEAN_IT:
            raise BadToken(BAD_TOKEN)
        delay = self._next_delay
        if delay == FIRST_DELAY:
            if isinstance(error, Conflict):
                _log.error(_CONFLICT)
            else:
                _log.warning("Telegram cannot be reached (%s); trying until it can.", kind_of(error))
        self._next_delay = min(2 * delay, LONGEST_DELAY)
        return seconds_of(error) if isinstance(error, RetryAfter) else delay


async def insist(stop: asyncio.Event, call: Callable[[], Coroutine[None, None, _Result]]) -> _Result | None:
    """Call until it works, None when `stop` comes first. Raises InvalidToken and BadRequest at once."""
    outage = Outage()
    while not stop.is_set():
        try:
            result = await unless_stopped(stop, call())
        except (InvalidToken, BadRequest):
            raise
        except TelegramError as error:
            await pause(stop, outage.delay(error))
        else:
            outage.over()
            return result
    return None


async def poll(bot: Bot, take: Take, stop: asyncio.Event) -> None:
    """Take updates one after the other until `stop`. Raises BadToken when the token is taken back."""
    offset = 0
    outage = Outage()
    while not stop.is_set():
        try:
            updates = await unless_stopped(stop, _get(bot, offset, _POLL_SECONDS))
        except TelegramError as error:
            await pause(stop, outage.delay(error))
            continue
        outage.over()
        for update in updates or ():
            if not await _taken(update, take, stop):
                break
            offset = update.update_id + 1
    if offset:
        await _confirm(bot, offset)


async def _get(bot: Bot, offset: int, seconds: int) -> tuple[Update, ...]:
    return await bot.get_updates(offset, timeout=seconds, allowed_updates=ALLOWED_UPDATES, read_timeout=_SLACK_SECONDS)


async def _taken(update: Update, take: Take, stop: asyncio.Event) -> bool:
    """Go on until `update` is committed; False when `stop` came first, and Telegram has to keep it."""
    delay = FIRST_DELAY
    while True:
        try:
            await take(update)
            return True
        except Exception as error:
            _log.error("An update could not be stored, trying again: %s", without_texts(error))
        await pause(stop, delay)
        if stop.is_set():
            return False
        delay = min(2 * delay, LONGEST_DELAY)


async def _confirm(bot: Bot, offset: int) -> None:
    """So that Telegram does not send again what was taken; were it to, nobody would be answered twice."""
    try:
        async with asyncio.timeout(_LAST_WORD_SECONDS):
            await _get(bot, offset, 0)
    except (TelegramError, TimeoutError) as error:
        _log.info("The last updates were not confirmed (%s).", type(error).__name__)
