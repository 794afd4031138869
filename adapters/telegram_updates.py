"""Telegram's updates in the bot's words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from telegram import (
    ChatMemberUpdated,
    Message,
    MessageReactionUpdated,
    ReactionType,
    ReactionTypeEmoji,
    Update,
    User,
)
from telegram.constants import ChatMemberStatus

from adapters.telegram_addressing import is_addressed, without_mention
from adapters.telegram_conversations import conversation, is_group
from adapters.telegram_presses import Press, read_press
from adapters.telegram_settings import PLATFORM
from bot.messages import ConversationKey, Feedback, IncomingMessage, Judgement, Kind

# Channels, business accounts and guest queries are not asked for: those people have not agreed to anything.
ALLOWED_UPDATES = (
    Update.MESSAGE,
    Update.EDITED_MESSAGE,
    Update.CALLBACK_QUERY,
    Update.MESSAGE_REACTION,
    Update.MY_CHAT_MEMBER,
)

_UP = frozenset("👍❤🔥🥰👏🎉🤩😍💯👌🏆💘🤗") | {"❤\u200d🔥"}
_DOWN = frozenset("👎🤬🤮💩😡🖕🥱")
_PLAIN_OR_COLOURED = "\ufe0f"


@dataclass(frozen=True, slots=True)
class Moved:
    """A group became a supergroup, which has another id."""

    old_chat_id: str
    new_chat_id: str


@dataclass(frozen=True, slots=True)
class Membership:
    """What the bot is in a chat from now on: `here`, or blocked or removed."""

    here: bool


Event = IncomingMessage | Feedback | Moved | Membership | Press


def read_update(update: Update, bot: User, commands: frozenset[str], now: datetime) -> Event | None:
    """What `update` means to the bot, None for nothing. `now` is when a press is taken to have happened."""
    event_id = f"{bot.id}:{update.update_id}"
    if update.message is not None:
        return _read_message(update.message, bot, commands, event_id)
    if (edited := update.edited_message) is not None:
        # Media are edited at every step of a live location, and cannot be understood anyway.
        return None if edited.text is None else _read_words(edited, bot, commands, event_id, Kind.EDIT)
    if update.callback_query is not None:
        return read_press(update.callback_query, event_id, now)
    if update.message_reaction is not None:
        return _read_reaction(update.message_reaction)
    return _read_membership(update.my_chat_member) if update.my_chat_member is not None else None


def _read_message(
    message: Message, bot: User, commands: frozenset[str], event_id: str
) -> IncomingMessage | Moved | None:
    chat = str(message.chat.id)
    if message.migrate_to_chat_id is not None:
        return Moved(chat, str(message.migrate_to_chat_id))
    if message.migrate_from_chat_id is not None:
        return Moved(str(message.migrate_from_chat_id), chat)
    if message.text is not None:
        return _read_words(message, bot, commands, event_id, Kind.TEXT)
    if message.effective_attachment is None and message.checklist is None:
        return None  # somebody came, left, or pinned a message
    if message.media_group_id is not None:
        # An album arrives as a message for each of its pictures: one of them is answered.
        event_id = f"{bot.id}:album:{message.media_group_id}"
    return _read_words(message, bot, commands, event_id, Kind.MEDIA)


def _read_words(
    message: Message, bot: User, commands: frozenset[str], event_id: str, kind: Kind
) -> IncomingMessage | None:
    author = _author(message)
    in_group = is_group(message)
    if author is None or (in_group and not is_addressed(message, bot, commands)):
        return None
    text = message.text or message.caption or ""
    return IncomingMessage(
        key=conversation(message),
        message_id=str(message.message_id),
        user_id=author[0],
        user_name=author[1],
        text=without_mention(text, bot) if in_group else text,
        sent_at=message.date,
        is_group=in_group,
        kind=kind,
        event_id=event_id,
    )


def _author(message: Message) -> tuple[str, str] | None:
    """Id and name; None for bots, whom the bot never answers.

    Who writes as an anonymous admin or as a channel looks like a bot that all such people share: the chat they write
    as stands for them.
    """
    if (chat := message.sender_chat) is not None:
        return str(chat.id), chat.effective_name or ""
    user = message.from_user
    return None if user is None or user.is_bot else (str(user.id), user.full_name)


def _read_reaction(reaction: MessageReactionUpdated) -> Feedback | None:
    """The judgement in what somebody added; taking a reaction back judges nothing."""
    actor = reaction.user or reaction.actor_chat
    if actor is None or (reaction.user is not None and reaction.user.is_bot):
        return None
    added = _emoji(reaction.new_reaction) - _emoji(reaction.old_reaction)
    if added & _UP:
        judgement = Judgement.UP
    elif added & _DOWN:
        judgement = Judgement.DOWN
    else:
        return None
    # Telegram does not tell the topic.
    key = ConversationKey(PLATFORM, str(reaction.chat.id))
    return Feedback(key, str(actor.id), judgement, message_id=str(reaction.message_id))


def _emoji(reactions: tuple[ReactionType, ...]) -> frozenset[str]:
    return frozenset(
        reaction.emoji.replace(_PLAIN_OR_COLOURED, "")
        for reaction in reactions
        if isinstance(reaction, ReactionTypeEmoji)
    )


def _read_membership(change: ChatMemberUpdated) -> Membership:
    return Membership(change.new_chat_member.status not in (ChatMemberStatus.BANNED, ChatMemberStatus.LEFT))
