"""Discord: direct messages, and servers where the bot is mentioned or replied to. No message content intent."""

from __future__ import annotations

import asyncio
import logging
import re
import sys

import aiohttp
import discord
from discord.gateway import DiscordWebSocket
from discord.http import Route
from yarl import URL

from adapters.answering import Answering, Handle, pause
from adapters.errors import BadToken, without_texts
from adapters.text_limits import split_text
from bot.messages import ConversationKey, IncomingMessage

PLATFORM = "discord"
TEXT_LIMIT = 2000
BAD_TOKEN = "디스코드가 DISCORD_TOKEN을 모른다고 해요. 개발자 포털의 Bot 화면에서 토큰을 새로 받아 .env에 적어 주세요."

_FIRST_DELAY, _LONGEST_DELAY = 1.0, 60.0
_SEND_TRIES, _SEND_DELAY = 4, 1.0
_AUTHENTICATION_FAILED = 4004
_TALK = (discord.MessageType.default, discord.MessageType.reply)

_log = logging.getLogger(__name__)


async def serve(
    token: str, handle: Handle, stop: asyncio.Event, api_url: str | None = None, gateway_url: str | None = None
) -> None:
    """Answer messages until `stop`, then finish what is being answered.

    `api_url` (with its version path) and `gateway_url` replace Discord's own, for the whole process: the library has
    one address. While Discord cannot be reached, tries again. Raises BadToken.
    """
    if api_url is not None:
        Route.BASE = api_url
    if gateway_url is not None:
        DiscordWebSocket.DEFAULT_GATEWAY = URL(gateway_url)
    delay = _FIRST_DELAY
    while not stop.is_set():
        try:
            return await _session(token, handle, stop)
        except discord.LoginFailure:
            raise BadToken(BAD_TOKEN) from None
        except discord.ConnectionClosed as error:
            if error.code == _AUTHENTICATION_FAILED:
                raise BadToken(BAD_TOKEN) from None
            reason = f"gateway closed with {error.code}"
        except (OSError, aiohttp.ClientError, discord.DiscordException) as error:
            reason = type(error).__name__
        _log.warning("Discord cannot be reached (%s); trying again in %.0f s.", reason, delay)
        await pause(stop, delay)
        delay = min(2 * delay, _LONGEST_DELAY)
    return None


async def _session(token: str, handle: Handle, stop: asyncio.Event) -> None:
    """One client from login to the end; the library keeps its connection to the gateway alive."""
    # The client stays open until the last answer is sent.
    async with Client() as client, Answering(handle) as answering:
        client.answering = answering
        running = asyncio.create_task(client.start(token))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            running.cancel()
            stopping.cancel()
            await asyncio.gather(running, stopping, return_exceptions=True)


class Client(discord.Client):
    """Hands messages for the bot to `answering`; keeps none."""

    def __init__(self) -> None:
        intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
        super().__init__(intents=intents, allowed_mentions=discord.AllowedMentions.none(), max_messages=None)
        self.answering: Answering | None = None

    async def on_message(self, message: discord.Message) -> None:
        """Start the answer. Nothing is awaited here, so that messages keep their order."""
        if self.answering is None or self.user is None:
            return
        if incoming := to_incoming(message, self.user):
            surface = DiscordSurface(message)
            self.answering.start(incoming, surface, surface.type_once)

    async def on_error(self, event_method: str, /, *args: object, **kwargs: object) -> None:
        """Called while the error is handled; the library would log it with its message."""
        error = sys.exception()
        if error is not None:
            _log.error("The event %s failed: %s", event_method, without_texts(error))


def to_incoming(message: discord.Message, bot: discord.ClientUser) -> IncomingMessage | None:
    """What the bot has to answer, or None: talk that is not for it, a bot's message, or a notice of Discord."""
    if message.author.bot or message.webhook_id is not None or message.type not in _TALK:
        return None
    # A reply that pings the bot has it among its mentions too.
    is_group = message.guild is not None
    if is_group and all(user.id != bot.id for user in message.mentions):
        return None
    return IncomingMessage(
        key=_key(message.channel),
        message_id=str(message.id),
        user_id=str(message.author.id),
        user_name=message.author.display_name,
        text=_without_mention(message.content, bot.id),
        sent_at=message.created_at,
        is_group=is_group,
    )


def _key(channel: discord.abc.MessageableChannel) -> ConversationKey:
    if isinstance(channel, discord.Thread):
        return ConversationKey(PLATFORM, str(channel.parent_id), str(channel.id))
    return ConversationKey(PLATFORM, str(channel.id))


def _without_mention(text: str, bot_id: int) -> str:
    return re.sub(rf"<@!?{bot_id}>", "", text).strip()


class DiscordSurface:
    """Answers one message in its channel; in a server as a reply, so that it is clear to whom."""

    def __init__(self, message: discord.Message) -> None:
        self._channel = message.channel
        self._message_id = message.id
        self._reply_to = None if message.guild is None else message.to_reference(fail_if_not_exists=False)

    async def draft(self, text: str) -> None:
        """Nothing yet: the typing sign shows that an answer is being made."""

    async def send(self, text: str) -> None:
        """Send the answer, in several messages where it is longer than Discord takes.

        Raises discord.HTTPException where Discord refuses it.
        """
        for index, piece in enumerate(split_text(text, TEXT_LIMIT)):
            # Discord drops a nonce it has seen in the last minutes: what is sent again appears once.
            await self._deliver(piece, f"{self._message_id}-{index}", self._reply_to if index == 0 else None)

    async def _deliver(self, text: str, nonce: str, reply_to: discord.MessageReference | None) -> None:
        """The library waits where Discord asks for it; here only a failed connection is tried again."""
        for left in reversed(range(_SEND_TRIES)):
            try:
                if reply_to is None:
                    await self._channel.send(text, nonce=nonce)
                else:
                    await self._channel.send(text, nonce=nonce, reference=reply_to)
                return
            except (OSError, aiohttp.ClientError):
                if not left:
                    raise
            await asyncio.sleep(_SEND_DELAY)

    async def type_once(self) -> None:
        """Show the typing sign for ten seconds."""
        await self._channel.typing()
