"""Presses of buttons in the bot's words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from telegram import CallbackQuery, InlineKeyboardMarkup, Message, User

from adapters.telegram_buttons import JUDGEMENTS, Action, Pressed, pressed
from adapters.telegram_conversations import conversation, is_group
from adapters.telegram_settings import PLATFORM
from bot.messages import ConversationKey, Feedback, IncomingMessage, Kind

_NO_BUTTONS = InlineKeyboardMarkup([])


@dataclass(frozen=True, slots=True)
class Press:
    """A button was pressed. `meaning` is None where it means nothing any more.

    `message` is what the button is under, where Telegram still tells.
    """

    query_id: str
    action: Action | None = None
    meaning: IncomingMessage | Feedback | None = None
    message: Message | None = None


def read_press(query: CallbackQuery, event_id: str, now: datetime) -> Press:
    """Who pressed what, under which message; `now` is taken for when."""
    shown, person = query.message, query.from_user
    if shown is None or person.is_bot:
        return Press(query.id)
    # The library makes a Message of one that is too old, too.
    message = shown if isinstance(shown, Message) and shown.is_accessible else None
    button = pressed(query.data or "", None if message is None else message.reply_markup or _NO_BUTTONS)
    if button is None:
        return Press(query.id)
    if button.action in JUDGEMENTS:
        # Of an old message Telegram does not tell the topic; the reply itself says whose it is.
        key = ConversationKey(PLATFORM, str(shown.chat.id)) if message is None else conversation(message)
        judgement = JUDGEMENTS[button.action]
        feedback = Feedback(key, str(person.id), judgement, button.reply_id, str(shown.message_id))
        return Press(query.id, button.action, feedback, message)
    assert message is not None, "only judgements are read without the message"
    return Press(query.id, button.action, _spoken(button, message, person, event_id, now), message)


def _spoken(button: Pressed, message: Message, person: User, event_id: str, now: datetime) -> IncomingMessage:
    again = button.action is Action.AGAIN
    return IncomingMessage(
        key=conversation(message),
        message_id=str(message.message_id),
        user_id=str(person.id),
        user_name=person.full_name,
        text=button.says,
        sent_at=now,
        is_group=is_group(message),
        kind=Kind.RETRY if again else Kind.TEXT,
        event_id=event_id if again else _choice_id(message, person, event_id),
        about=button.reply_id,
    )


def _choice_id(message: Message, person: User, event_id: str) -> str:
    """The same for each press of one person under one version of a message: a double tap is one choice."""
    bot_id = event_id.partition(":")[0]
    version = int(message.edit_date.timestamp()) if message.edit_date is not None else 0
    return f"{bot_id}:choice:{message.chat.id}:{message.message_id}:{version}:{person.id}"
