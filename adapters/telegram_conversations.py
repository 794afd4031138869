"""Which conversation a message of Telegram belongs to. Pure."""

from __future__ import annotations

from telegram import Message
from telegram.constants import ChatType

from adapters.telegram_settings import PLATFORM
from bot.messages import ConversationKey


def conversation(message: Message) -> ConversationKey:
    """A topic of a forum or private chat is a conversation. In other groups a thread is only a chain of replies."""
    topic = message.message_thread_id if message.is_topic_message else None
    return ConversationKey(PLATFORM, str(message.chat.id), str(topic or ""))


def is_group(message: Message) -> bool:
    """Whether others read along."""
    return message.chat.type != ChatType.PRIVATE
