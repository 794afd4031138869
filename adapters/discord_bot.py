"""Discord: direct messages, and servers where the bot is mentioned or replied to. No message content intent."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import discord
from discord.gateway import DiscordWebSocket
from discord.http import Route
from yarl import URL

from adapters.discord_client import Client, make_client
from adapters.discord_commands import sync_if_changed
from adapters.discord_errors import REQUEST_ERRORS
from adapters.discord_settings import DiscordSettings as DiscordSettings
from adapters.errors import BadToken, ConnectionDenied
from adapters.waiting import pause, unless_stopped
from bot.messages import Reception, Undeliverable

BAD_TOKEN = "디스코드가 DISCORD_TOKEN을 모른다고 해요. 개발자 포털의 Bot 화면에서 토큰을 새로 받아 .env에 적어 주세요."
NEEDS_SHARDS = "서버가 많아져서 연결을 나누어야 해요. .env에 DISCORD_SHARDED=true 를 적고 다시 시작해 주세요."
DENIED = "디스코드가 연결을 받아 주지 않았어요(코드 {code}). discord.py와 말벗을 새 판으로 올린 뒤 다시 시작해 주세요."

_FIRST_DELAY, _LONGEST_DELAY = 1.0, 60.0
# https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway: closed with these, there is no way back.
_AUTHENTICATION_FAILED, _SHARDING_REQUIRED = 4004, 4011
_DENIED = frozenset({4010, 4011, 4012, 4013})

_log = logging.getLogger(__name__)


class _Unreachable(Exception):
    """The gateway did not take the first connection."""


async def serve(settings: DiscordSettings, reception: Reception, stop: asyncio.Event) -> None:
    """Answer messages until `stop`, then finish what is being answered.

    The addresses in `settings` hold for the whole process: the library has one. While Discord cannot be reached, tries
    again. Raises BadToken and ConnectionDenied.
    """
    if settings.api_url is not None:
        Route.BASE = settings.api_url
    if settings.gateway_url is not None:
        DiscordWebSocket.DEFAULT_GATEWAY = URL(settings.gateway_url)
    _keep_texts_out_of_the_log()
    delay = _FIRST_DELAY
    while not stop.is_set():
        try:
            return await _session(settings, reception, stop)
        except discord.LoginFailure:
            raise BadToken(BAD_TOKEN) from None
        except discord.ConnectionClosed as error:
            _raise_if_final(error.code)
            reason = f"gateway closed with {error.code}"
        except (OSError, aiohttp.ClientError, discord.DiscordException, _Unreachable) as error:
            reason = type(error).__name__
        _log.warning("Discord cannot be reached (%s); trying again in %.0f s.", reason, delay)
        await pause(stop, delay)
        delay = min(2 * delay, _LONGEST_DELAY)
    return None


def _raise_if_final(code: int) -> None:
    if code == _AUTHENTICATION_FAILED:
        raise BadToken(BAD_TOKEN) from None
    if code == _SHARDING_REQUIRED:
        raise ConnectionDenied(NEEDS_SHARDS) from None
    if code in _DENIED:
        raise ConnectionDenied(DENIED.format(code=code)) from None


def _keep_texts_out_of_the_log() -> None:
    """Below this level the library logs everything it sends and receives, the token too."""
    logger = logging.getLogger("discord")
    if logger.getEffectiveLevel() < logging.INFO:
        logger.setLevel(logging.INFO)


async def _session(settings: DiscordSettings, reception: Reception, stop: asyncio.Event) -> None:
    """One client from login to the end; the library keeps its connection to the gateway alive."""
    # Inside out: events are no longer taken, what was taken is answered, the connection ends.
    async with make_client(settings, reception) as client:
        await client.login(settings.token)
        async with reception.serving(client), client.intake:
            syncing = asyncio.create_task(_sync(client))
            try:
                await unless_stopped(stop, _connect(client))
            finally:
                syncing.cancel()
                await asyncio.wait([syncing])


async def _connect(client: Client) -> None:
    try:
        await client.connect()
    except AttributeError as error:
        # The library looks at the connection it had before, where its first one fails.
        raise _Unreachable from error
    # Nobody has asked for an end.
    raise _Unreachable


async def _sync(client: Client) -> None:
    try:
        await sync_if_changed(client.tree)
    except (*REQUEST_ERRORS, Undeliverable) as error:
        _log.error("The command menu could not be updated: %s", type(error).__name__)
