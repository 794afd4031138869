"""Which of Discord's refusals pass with time, and which are for good."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import discord

from bot.messages import Undeliverable

# https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
UNKNOWN_CHANNEL = 10003
UNKNOWN_MESSAGE = 10008
UNKNOWN_WEBHOOK = 10015
UNKNOWN_INTERACTION = 10062
ALREADY_ACKNOWLEDGED = 40060
CANNOT_MESSAGE_USER = 50007
INVALID_WEBHOOK_TOKEN = 50027
THREAD_ARCHIVED = 50083
CANNOT_REPLY = 160002

# Everything that a request can raise.
REQUEST_ERRORS = (OSError, aiohttp.ClientError, discord.DiscordException)

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 60.0
_GONE = frozenset({UNKNOWN_CHANNEL, CANNOT_MESSAGE_USER, THREAD_ARCHIVED})
_TOKEN_GONE = frozenset({UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION, INVALID_WEBHOOK_TOKEN})

_log = logging.getLogger(__name__)

T = TypeVar("T")


def passes(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, discord.HTTPException):
        # 401: the token was changed under way, the gateway will say so; 429: refused before Discord itself.
        return error.status >= 500 or (error.status in (401, 408, 429) and not token_gone(error))
    return isinstance(error, OSError | aiohttp.ClientError | discord.RateLimited)


def token_gone(error: BaseException) -> bool:
    """Whether an interaction can no longer be answered through its own token."""
    return isinstance(error, discord.HTTPException) and error.code in _TOKEN_GONE


def is_final(error: BaseException) -> bool:
    """Whether nothing will ever be taken there."""
    if not isinstance(error, discord.HTTPException) or error.code == CANNOT_REPLY:
        return False
    return error.status == 403 or error.code in _GONE


async def insist(request: Callable[[], Awaitable[T]]) -> T:
    """Make a request until Discord answers it; the library itself waits where Discord asks for it.

    Raises Undeliverable, and discord.HTTPException for any other refusal that does not pass.
    """
    delay = _FIRST_DELAY
    while True:
        try:
            return await request()
        except REQUEST_ERRORS as error:
            if is_final(error):
                raise Undeliverable(type(error).__name__) from error
            if not passes(error):
                raise
            _log.warning("Discord did not take a request (%s); again in %.1f s.", type(error).__name__, delay)
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY)
