"""Whether a message of a group is for the bot, and what it says once the bot's name is taken out. Pure."""

from __future__ import annotations

import re

from telegram import Message, MessageEntity, User


def is_addressed(message: Message, bot: User, commands: frozenset[str]) -> bool:
    """A reply to the bot, a mention of it, or one of its `commands`: Telegram sends bare ones to every bot of a group.

    What somebody forwards was said elsewhere, by people who did not speak to the bot.
    """
    if message.forward_origin is not None or message.is_automatic_forward:
        return False
    return _is_reply_to(message, bot) or any(
        _names_bot(entity, words, bot, commands) for entity, words in _entities(message).items()
    )


def without_mention(text: str, bot: User) -> str:
    """The text without @name, also behind a command; a Korean particle may follow the name."""
    return re.sub(rf"@{bot.username}(?![A-Za-z0-9_])", "", text, flags=re.IGNORECASE | re.ASCII).strip()


def _is_reply_to(message: Message, bot: User) -> bool:
    replied = message.reply_to_message
    # In a topic that the bot opened every message replies to the opening.
    if replied is None or replied.from_user is None or replied.forum_topic_created is not None:
        return False
    return replied.from_user.id == bot.id


def _entities(message: Message) -> dict[MessageEntity, str]:
    return message.parse_entities() if message.text is not None else message.parse_caption_entities()


def _names_bot(entity: MessageEntity, words: str, bot: User, commands: frozenset[str]) -> bool:
    match entity.type:
        case MessageEntity.MENTION:
            return words.casefold() == f"@{bot.username}".casefold()
        case MessageEntity.TEXT_MENTION:
            return entity.user is not None and entity.user.id == bot.id
        case MessageEntity.BOT_COMMAND:
            command, _, name = words.removeprefix("/").partition("@")
            if name:
                return name.casefold() == (bot.username or "").casefold()
            return entity.offset == 0 and command.casefold() in commands
    return False
