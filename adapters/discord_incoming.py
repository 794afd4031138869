"""From what Discord delivers to messages for the bot: what is meant for it, in which conversation, answered where."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field

import discord

from bot.messages import ConversationKey, IncomingMessage, Kind

PLATFORM = "discord"

_TALK = (discord.MessageType.default, discord.MessageType.reply)
# What changes a channel for everybody in it; the first two only when something is written behind them.
_CHANGES = ("persona", "speech")
_ALWAYS_CHANGES = ("reset",)


@dataclass(frozen=True, slots=True)
class Place:
    """A conversation, and whether others than the person and the bot are in it."""

    key: ConversationKey
    is_group: bool


@dataclass(frozen=True, slots=True)
class Hook:
    """The way back to an interaction, open for 15 minutes; `expires_at` is in seconds since 1970.

    `ephemeral` says who sees the answer, `present` whether the bot itself can write in the channel.
    """

    application_id: int
    token: str = field(repr=False)
    expires_at: float
    ephemeral: bool
    present: bool


@dataclass(frozen=True, slots=True)
class Address:
    """Where to answer something that is not a message: below the message `reply_to`, or through `hook`."""

    reply_to: int | None = None
    hook: Hook | None = None

    def to_text(self) -> str:
        """JSON, to be kept with the message."""
        return json.dumps(asdict(self))


def read_address(message: IncomingMessage) -> Address:
    """Where to answer; a plain message is replied to in a group, so that it is clear to whom."""
    if not message.address:
        return Address(reply_to=int(message.message_id) if message.is_group else None)
    known = json.loads(message.address)
    hook = known["hook"]
    return Address(reply_to=known["reply_to"], hook=None if hook is None else Hook(**hook))


def place_of(channel: object) -> Place | None:
    """The conversation of a channel; None where the library does not know what kind of channel it is."""
    if isinstance(channel, discord.Thread):
        return Place(ConversationKey(PLATFORM, str(channel.parent_id), str(channel.id)), is_group=True)
    if isinstance(channel, discord.DMChannel):
        return Place(ConversationKey(PLATFORM, str(channel.id)), is_group=False)
    if isinstance(channel, discord.abc.GuildChannel | discord.GroupChannel):
        return Place(ConversationKey(PLATFORM, str(channel.id)), is_group=True)
    return None


def is_for_bot(message: discord.Message, bot_id: int, is_group: bool) -> bool:
    """Whether the bot is meant: not in talk among others, nor by another bot or a notice of Discord."""
    if message.author.bot or message.webhook_id is not None or message.type not in _TALK:
        return False
    # A reply that pings the bot has it among its mentions too.
    return not is_group or any(user.id == bot_id for user in message.mentions)


def to_incoming(message: discord.Message, bot_id: int, place: Place) -> IncomingMessage:
    """A message that is for the bot."""
    return IncomingMessage(
        key=place.key,
        message_id=str(message.id),
        user_id=str(message.author.id),
        user_name=message.author.display_name,
        text=_without_mention(message.content, bot_id),
        sent_at=message.created_at,
        is_group=place.is_group,
        kind=Kind.MEDIA if _has_media(message) else Kind.TEXT,
        event_id=str(message.id),
    )


def to_edit(message: discord.Message, bot_id: int, place: Place) -> IncomingMessage:
    """A message for the bot that its author has changed. Each change is an event of its own."""
    changed_at = message.edited_at or message.created_at
    return IncomingMessage(
        key=place.key,
        message_id=str(message.id),
        user_id=str(message.author.id),
        user_name=message.author.display_name,
        text=_without_mention(message.content, bot_id),
        sent_at=changed_at,
        is_group=place.is_group,
        kind=Kind.EDIT,
        event_id=f"{message.id}@{changed_at.timestamp():.6f}",
    )


def from_interaction(
    interaction: discord.Interaction,
    place: Place,
    text: str,
    address: Address,
    kind: Kind = Kind.TEXT,
    about: int | None = None,
) -> IncomingMessage:
    """What a command or a press says for a person."""
    return IncomingMessage(
        key=place.key,
        message_id=str(interaction.id),
        user_id=str(interaction.user.id),
        user_name=interaction.user.display_name,
        text=text,
        sent_at=interaction.created_at,
        is_group=place.is_group,
        kind=kind,
        event_id=str(interaction.id),
        about=about,
        address=address.to_text(),
    )


def place_of_interaction(interaction: discord.Interaction) -> Place | None:
    """Where an interaction happened. A person's own installation works in channels where the bot is not."""
    place = place_of(interaction.channel)
    if place is not None and not place.is_group and interaction.context.private_channel:
        # A conversation of two people, one of whom has called the bot.
        return Place(place.key, is_group=True)
    return place


def hook_of(interaction: discord.Interaction, ephemeral: bool) -> Hook:
    """The way back to an interaction."""
    return Hook(
        application_id=interaction.application_id,
        token=interaction.token,
        expires_at=interaction.expires_at.timestamp(),
        ephemeral=ephemeral,
        present=is_present(interaction),
    )


def is_present(interaction: discord.Interaction) -> bool:
    """Whether the bot is a member of where it was called."""
    return interaction.is_guild_integration() or (interaction.guild_id is None and interaction.context.dm_channel)


def needs_manager(text: str, is_group: bool) -> bool:
    """Whether a command changes a channel for all who are in it."""
    word, *rest = text.split(maxsplit=1)[:2] or [""]
    name = word.removeprefix("/").partition("@")[0].casefold()
    if not is_group or not word.startswith("/"):
        return False
    return name in _ALWAYS_CHANGES or (name in _CHANGES and bool(rest))


def may_manage(message: discord.Message) -> bool:
    """Whether the author may manage the channel; False where Discord has not told."""
    channel = message.channel
    if not isinstance(message.author, discord.Member) or not isinstance(
        channel, discord.abc.GuildChannel | discord.Thread
    ):
        return False
    try:
        return channel.permissions_for(message.author).manage_channels
    except discord.ClientException:
        # A thread whose channel is not known.
        return False


def _has_media(message: discord.Message) -> bool:
    return bool(message.attachments or message.stickers or message.message_snapshots or message.poll)


def _without_mention(text: str, bot_id: int) -> str:
    return re.sub(rf"<@!?{bot_id}>", "", text).strip()
