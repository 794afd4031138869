"""Bots for tests: the adapter over the real library, connected to a local Discord."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from discord.gateway import DiscordWebSocket
from discord.http import Route

from adapters import discord_bot
from adapters.discord_settings import DiscordSettings
from bot.messages import CommandInfo, Reception
from tests.stand_ins import DEADLINE_SECONDS
from tests.stand_ins.discord import TOKEN, DiscordStandIn

COMMANDS = (
    CommandInfo("help", "할 수 있는 것들을 알려 드려요"),
    CommandInfo("persona", "제가 누구인지 보거나 바꿔요", "인물 소개"),
    CommandInfo("reset", "새로 시작해요"),
)


@asynccontextmanager
async def local_discord() -> AsyncIterator[DiscordStandIn]:
    """A local Discord; afterwards the library has its own addresses again."""
    addresses = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    try:
        async with DiscordStandIn() as discord:
            yield discord
    finally:
        Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = addresses


def settings(discord: DiscordStandIn, **changes: Any) -> DiscordSettings:
    """Settings for the local Discord."""
    told = {"token": TOKEN, "commands": COMMANDS, "api_url": discord.api_url, "gateway_url": discord.gateway_url}
    return DiscordSettings(**{**told, **changes})


@asynccontextmanager
async def running(discord: DiscordStandIn, reception: Reception, **changes: Any) -> AsyncIterator[asyncio.Event]:
    """A bot inside the block; afterwards it has to stop within the deadline, without an error."""
    stop = asyncio.Event()
    task = asyncio.create_task(discord_bot.serve(settings(discord, **changes), reception, stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await task


@contextmanager
def hearing(text: str) -> Iterator[asyncio.Event]:
    """An event that is set when the adapter logs `text`."""

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if text in record.getMessage():
                heard.set()

    heard, ear, logger = asyncio.Event(), Ear(), logging.getLogger("adapters")
    logger.addHandler(ear)
    try:
        yield heard
    finally:
        logger.removeHandler(ear)
