"""Where one message of Telegram is answered."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from telegram import Bot, InlineKeyboardMarkup, InputFile, Message, ReplyParameters
from telegram.constants import ChatAction, MessageLimit
from telegram.error import BadRequest, ChatMigrated

from adapters.telegram_buttons import keyboard
from adapters.telegram_calls import Calls, given_up
from adapters.telegram_drafts import PRIVATE_SECONDS, GroupPace
from adapters.telegram_settings import PLATFORM
from adapters.text_limits import split_text
from bot.messages import Answer, IncomingMessage, Kind, Reception

NOT_HERE = "(파일은 저와 둘이 이야기하는 방에서만 드릴 수 있어요. 거기서 다시 말해 주세요.)"

# Draft ids are 31 bits wide and not 0.
_DRAFT_IDS = 2**31 - 1

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


class TelegramPlatform:
    """Telegram, connected: what the surfaces of all messages share."""

    name = PLATFORM

    def __init__(self, bot: Bot, calls: Calls, reception: Reception) -> None:
        self.bot = bot
        self.calls = calls
        self.pace = GroupPace()
        self.previews: dict[int, int] = {}
        """Of inbox entries that are being answered in groups, the message that grows."""
        self._reception = reception

    def surface(self, message: IncomingMessage, entry_id: int) -> TelegramSurface:
        """Where to answer `message`, again after a failure or a restart too."""
        return TelegramSurface(self, message, entry_id)

    async def moved(self, old_chat_id: int, new_chat_id: int) -> None:
        """A group goes on under another id."""
        await self._reception.move(PLATFORM, str(old_chat_id), str(new_chat_id))


class TelegramSurface:
    """In its chat and topic; in a group as a reply, so that it is clear to whom.

    Drafts are previews in private chats. In groups, where Telegram has none, they are one message that grows at the
    pace Telegram allows, and becomes the answer. A group has nothing that only one of its members sees: the text of a
    private answer is shown to all, its attachment is not.
    """

    def __init__(self, platform: TelegramPlatform, message: IncomingMessage, entry_id: int) -> None:
        self._platform = platform
        self._bot = platform.bot
        self._message = message
        self._entry_id = entry_id
        self._chat_id = int(message.key.chat_id)
        self._topic = int(message.key.thread_id) if message.key.thread_id else None
        # A draft that is under way must not arrive after the answer.
        self._one_at_a_time = asyncio.Lock()
        # An answer to these mostly takes the place of an older one, which a message that grows would stand beside.
        self._drafts = not (message.is_group and message.kind in (Kind.EDIT, Kind.RETRY))
        self._drafted = ""
        self._next_draft = 0.0

    async def typing(self) -> None:
        """Show for five seconds that an answer is being made."""
        await self._attempt(
            lambda: self._bot.send_chat_action(self._chat_id, ChatAction.TYPING, message_thread_id=self._topic)
        )

    async def notice(self, text: str) -> None:
        """Say something beside the answer."""
        await self._attempt(lambda: self._post(text, reply=True))

    async def draft(self, text: str) -> None:
        """Show the reply so far, where its time has come and Telegram takes it."""
        async with self._one_at_a_time:
            pieces = split_text(text, MessageLimit.MAX_TEXT_LENGTH)
            if not pieces or pieces[0] == self._drafted or not self._may_draft():
                return
            self._drafted = pieces[0]
            if self._message.is_group:
                await self._grow(pieces[0])
            else:
                await self._attempt(lambda: self._preview(pieces[0]))

    def _may_draft(self) -> bool:
        now = asyncio.get_running_loop().time()
        if not self._drafts or now < self._next_draft:
            return False
        self._next_draft = now + PRIVATE_SECONDS
        return not self._message.is_group or self._platform.pace.allows(self._chat_id, now)

    def _preview(self, text: str) -> Awaitable[bool]:
        draft_id = self._entry_id % _DRAFT_IDS or _DRAFT_IDS
        return self._bot.send_message_draft(self._chat_id, draft_id, text, message_thread_id=self._topic)

    async def _grow(self, text: str) -> None:
        shown = self._platform.previews.get(self._entry_id)
        if shown is not None:
            await self._attempt(lambda: self._edit(shown, text, None))
            return
        sent = await self._attempt(lambda: self._post(text, reply=True))
        if sent is None:
            # It may be there all the same: another try might show it twice.
            self._drafts = False
        else:
            self._platform.previews[self._entry_id] = sent.message_id

    async def send(self, answer: Answer) -> tuple[str, ...]:
        """Show the answer, in several messages where it is longer than Telegram takes; returns their ids.

        Raises Undeliverable, and MessageRefused when Telegram would take another answer, but not this one.
        """
        async with self._one_at_a_time:
            self._drafts = False
            try:
                return await self._send(answer)
            except BadRequest as error:
                raise given_up(error) from None

    async def _send(self, answer: Answer) -> tuple[str, ...]:
        withheld = answer.attachment is not None and answer.private and self._message.is_group
        text = f"{answer.text}\n\n{NOT_HERE}" if withheld else answer.text
        pieces = split_text(text, MessageLimit.MAX_TEXT_LENGTH)
        places = deque(int(place) for place in answer.replaces)
        if (preview := self._platform.previews.get(self._entry_id)) is not None:
            places.append(preview)
        shown = []
        in_place = True
        for number, piece in enumerate(pieces, 1):
            buttons = keyboard(answer) if number == len(pieces) else None
            place = places.popleft() if places and in_place else None
            shown.append(await self._show(piece, buttons, place, first=number == 1))
            # What follows a new message has to be new too, to stand below it.
            in_place = shown[-1] == place
        for place in places:
            await self._delete(place)
        self._platform.previews.pop(self._entry_id, None)
        if answer.attachment is not None and not withheld:
            file = InputFile(answer.attachment.content.encode(), filename=answer.attachment.name)
            sent = await self._persist(
                lambda: self._bot.send_document(self._chat_id, file, message_thread_id=self._topic)
            )
            shown.append(sent.message_id)
        return tuple(str(message_id) for message_id in shown)

    async def _show(self, text: str, buttons: InlineKeyboardMarkup | None, place: int | None, *, first: bool) -> int:
        """In the message `place`, where that can be, else in a new one; its id."""
        if place is not None:
            try:
                await self._persist(lambda: self._edit(place, text, buttons))
                return place
            except BadRequest as error:
                if "not modified" in error.message.lower():
                    return place
                _log.info("A message could not be edited and is sent anew.")
        sent = await self._persist(lambda: self._post(text, buttons, reply=first))
        return sent.message_id

    def _post(self, text: str, buttons: InlineKeyboardMarkup | None = None, *, reply: bool) -> Awaitable[Message]:
        to = ReplyParameters(int(self._message.message_id), allow_sending_without_reply=True)
        return self._bot.send_message(
            self._chat_id,
            text,
            message_thread_id=self._topic,
            reply_parameters=to if reply and self._message.is_group else None,
            reply_markup=buttons,
        )

    def _edit(self, message_id: int, text: str, buttons: InlineKeyboardMarkup | None) -> Awaitable[Message | bool]:
        return self._bot.edit_message_text(text, self._chat_id, message_id, reply_markup=buttons)

    async def _delete(self, message_id: int) -> None:
        await self._attempt(lambda: self._bot.delete_message(self._chat_id, message_id))

    async def _attempt(self, call: Callable[[], Awaitable[_Result]]) -> _Result | None:
        return await self._platform.calls.attempt(self._chat_id, call)

    async def _persist(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        while True:
            try:
                return await self._platform.calls.persist(self._chat_id, call)
            except ChatMigrated as error:
                await self._platform.moved(self._chat_id, error.new_chat_id)
                self._chat_id = error.new_chat_id
