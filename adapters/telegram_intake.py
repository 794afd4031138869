"""From an update to the bot: what it brings is committed first, what can be seen of that comes after."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from telegram import Bot, InlineKeyboardMarkup, Update

from adapters.errors import without_texts
from adapters.telegram_buttons import Action, with_chosen, without_choices
from adapters.telegram_calls import Calls
from adapters.telegram_conversations import is_group
from adapters.telegram_presses import Press
from adapters.telegram_settings import PLATFORM
from adapters.telegram_updates import Event, Membership, Moved, read_update
from bot.messages import Feedback, IncomingMessage, Reception

THANKS = {
    Action.UP: "고마워요! 앞으로도 잘해 볼게요.",
    Action.DOWN: "알려 줘서 고마워요. 더 나아질게요.",
    Action.AGAIN: "다시 생각해 볼게요.",
}
TOO_OLD = "오래된 버튼이라 이제 쓸 수 없어요. 새로 말을 걸어 주세요."
NOT_NOW = "조금 전에 눌러 주신 걸 아직 생각하고 있어요. 잠깐만요."

# Nobody waits longer for a sign that a press was seen.
_ERRAND_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Intake:
    """Takes updates. Leaving the context gives the signs that presses were seen a few seconds to be shown."""

    def __init__(self, bot: Bot, calls: Calls, reception: Reception, commands: frozenset[str]) -> None:
        self._bot = bot
        self._calls = calls
        self._reception = reception
        self._commands = commands
        self._errands: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Each has a time limit of its own.
        await asyncio.gather(*self._errands)

    async def take(self, update: Update) -> None:
        """On return, what `update` brings is committed. Raises what the reception raises."""
        try:
            event = read_update(update, self._bot.bot, self._commands, datetime.now(UTC))
        except Exception as error:
            # It would fail again, and with it all that comes after.
            _log.error("An update could not be read and is left out: %s", without_texts(error))
            return
        if event is not None:
            await self._take(event)

    async def _take(self, event: Event) -> None:
        match event:
            case IncomingMessage():
                await self._reception.put(event)
            case Feedback():
                await self._reception.judge(event)
            case Moved():
                await self._reception.move(PLATFORM, event.old_chat_id, event.new_chat_id)
            case Membership():
                _log.info("The bot %s a chat.", "is in" if event.here else "was blocked in or removed from")
            case Press():
                await self._take_press(event)

    async def _take_press(self, press: Press) -> None:
        match press.meaning:
            case IncomingMessage() as message:
                taken = await self._reception.put(message)
            case Feedback() as feedback:
                taken = await self._reception.judge(feedback)
            case None:
                taken = False
        self._begin(self._show_press(press, taken))

    async def _show_press(self, press: Press, taken: bool) -> None:
        """Telegram's clients show a press as under way until it is answered."""
        waiting = not taken and isinstance(press.meaning, IncomingMessage)
        line = THANKS.get(press.action) if taken and press.action else NOT_NOW if waiting else TOO_OLD
        chat_id = press.message.chat.id if press.message is not None else 0
        await self._calls.attempt(chat_id, lambda: self._bot.answer_callback_query(press.query_id, line))
        message = press.message
        if not taken or message is None or message.reply_markup is None:
            return
        markup: InlineKeyboardMarkup | None
        match press.action:
            case Action.SAY | Action.LABEL:
                markup = without_choices(message.reply_markup)
            # What one person of a group thinks is not marked for all to see.
            case Action.UP | Action.DOWN if not is_group(message):
                markup = with_chosen(message.reply_markup, press.action)
            case _:
                return
        if markup != message.reply_markup:
            await self._calls.attempt(
                message.chat.id,
                lambda: self._bot.edit_message_reply_markup(message.chat.id, message.message_id, reply_markup=markup),
            )

    def _begin(self, errand: Coroutine[None, None, None]) -> None:
        """Do it beside: whoever reads updates does not wait for calls."""
        task = asyncio.create_task(_in_time(errand))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)


async def _in_time(errand: Coroutine[None, None, None]) -> None:
    try:
        async with asyncio.timeout(_ERRAND_SECONDS):
            await errand
    except Exception as error:
        _log.info("A press was not shown as seen: %s", without_texts(error))
