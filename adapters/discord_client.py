"""The connection to Discord: its events, each handed to who deals with it."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import discord
import yarl
from discord.gateway import DiscordWebSocket

from adapters.discord_buttons import ChoiceButton, ReplyButton
from adapters.discord_commands import Tree, fill_tree
from adapters.discord_errors import REQUEST_ERRORS, insist
from adapters.discord_hook import HookSurface
from adapters.discord_incoming import (
    PLATFORM,
    Place,
    is_for_bot,
    may_manage,
    needs_manager,
    place_of,
    read_address,
    to_edit,
    to_incoming,
)
from adapters.discord_intake import Intake
from adapters.discord_presses import NOT_ALLOWED, InteractionPresses
from adapters.discord_settings import DiscordSettings
from adapters.discord_surface import ChannelSurface
from adapters.errors import without_texts
from bot.messages import ConversationKey, IncomingMessage, Judgement, Reception, Surface, Undeliverable

_REACTIONS = {"👍": Judgement.UP, "👎": Judgement.DOWN}

_log = logging.getLogger(__name__)


class Client(discord.Client):
    """Hands events to `intake` and `presses`; keeps no messages. Also the `Platform` that answers them."""

    name = PLATFORM

    def __init__(self, settings: DiscordSettings, reception: Reception) -> None:
        intents = discord.Intents(
            guilds=True, guild_messages=True, dm_messages=True, guild_reactions=True, dm_reactions=True
        )
        super().__init__(
            intents=intents,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            heartbeat_timeout=settings.heartbeat_timeout,
        )
        self._settings = settings
        self.intake = Intake(reception, self._missed, settings.backfill.conversations)
        self.presses = InteractionPresses(reception, self.intake, settings.private_commands)
        self.tree = Tree(self)

    def surface(self, message: IncomingMessage, entry_id: int) -> Surface:
        """Where to answer `message`, also one accepted before a restart."""
        address = read_address(message)
        channel = ChannelSurface(self, message, address, entry_id)
        return channel if address.hook is None else HookSurface(self, address.hook, channel)

    async def setup_hook(self) -> None:
        """Called by the library after login, before anything is received."""
        self.add_dynamic_items(ReplyButton, ChoiceButton)
        await fill_tree(self.tree, self._settings.commands, self.presses)

    async def on_connect(self) -> None:
        """A session began that does not continue another; a resumed one brings what was missed by itself."""
        self.intake.fall_behind()

    async def on_message(self, message: discord.Message) -> None:
        """Queue it. Nothing is awaited here, so that messages keep their order."""
        # Of a server that is not known yet the library says that there is none.
        is_group = not isinstance(message.channel, discord.DMChannel)
        if self.user is not None and is_for_bot(message, self.user.id, is_group):
            self.intake.accept(message.channel.id, partial(self._read, message, edited=False))

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        """Queue the new text, where its author has changed it; Discord tells of previews of links as well."""
        message = event.message
        if self.user is None or message.edited_at is None or not event.data.get("content"):
            return
        if is_for_bot(message, self.user.id, event.guild_id is not None):
            self.intake.accept(event.channel_id, partial(self._read, message, edited=True))

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        """👍 and 👎 on messages of the bot are judgements; other reactions are not looked at."""
        # Skin tones follow the thumb.
        judgement = _REACTIONS.get((event.emoji.name or "")[:1])
        by_bot = event.member is not None and event.member.bot
        if judgement is None or self.user is None or by_bot or event.user_id == self.user.id:
            return
        if event.message_author_id == self.user.id and (place := await self._place(event.channel_id)):
            await self.presses.reacted(place, event.user_id, event.message_id, judgement)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Forms, which the library forgets at a restart; commands and buttons reach `presses` another way."""
        await self.presses.form_returned(interaction)

    async def on_error(self, event_method: str, /, *args: object, **kwargs: object) -> None:
        """Called while the error is handled; the library would log it with its message."""
        error = sys.exception()
        if error is not None:
            _log.error("The event %s failed: %s", event_method, without_texts(error))

    async def _read(self, message: discord.Message, edited: bool) -> IncomingMessage | None:
        assert self.user is not None
        place = place_of(message.channel) or await self._place(message.channel.id)
        if place is None:
            return None
        incoming = to_edit(message, self.user.id, place) if edited else to_incoming(message, self.user.id, place)
        if needs_manager(incoming.text, incoming.is_group) and not may_manage(message):
            await self._refuse(message)
            return None
        return incoming

    async def _refuse(self, message: discord.Message) -> None:
        try:
            await message.reply(NOT_ALLOWED, nonce=f"{message.id}-no")
        except REQUEST_ERRORS as error:
            _log.info("A refusal was not sent: %s", type(error).__name__)

    async def _missed(self, key: ConversationKey, after: int) -> AsyncIterator[IncomingMessage]:
        """What came after the message `after` and is for the bot.

        History does not tell who may manage a channel, so commands that need it are left out.
        """
        assert self.user is not None
        backfill = self._settings.backfill
        oldest = discord.utils.time_snowflake(datetime.now(UTC) - timedelta(hours=backfill.hours))
        channel = self.get_partial_messageable(int(key.thread_id or key.chat_id))
        place: Place | None = None
        try:
            history = channel.history(
                limit=backfill.messages, after=discord.Object(max(after, oldest)), oldest_first=True
            )
            async for message in history:
                if not is_for_bot(message, self.user.id, is_group=False):
                    continue
                # Asked only where something came: most conversations are as they were.
                place = place or await self._place(channel.id)
                if place is None or not is_for_bot(message, self.user.id, place.is_group):
                    continue
                incoming = to_incoming(message, self.user.id, place)
                if not needs_manager(incoming.text, incoming.is_group):
                    yield incoming
        except (discord.Forbidden, discord.NotFound):
            _log.debug("A conversation can no longer be read.")

    async def _place(self, channel_id: int) -> Place | None:
        """The conversation of a channel that may have to be asked for; None where it is not to be seen."""
        place = place_of(self.get_channel(channel_id))
        if place is not None:
            return place
        try:
            return place_of(await insist(lambda: self.fetch_channel(channel_id)))
        except (discord.NotFound, Undeliverable):
            return None


class ShardedClient(Client, discord.AutoShardedClient):
    """The same over as many connections as Discord recommends."""

    async def launch_shard(self, gateway: yarl.URL, shard_id: int, *, initial: bool = False) -> None:
        """The library would take the address that Discord recommends, and not the one it was given."""
        await super().launch_shard(DiscordWebSocket.DEFAULT_GATEWAY, shard_id, initial=initial)


def make_client(settings: DiscordSettings, reception: Reception) -> Client:
    """A client that is not connected yet."""
    kind: Any = ShardedClient if settings.sharded else Client
    client: Client = kind(settings, reception)
    return client
