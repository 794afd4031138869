"""A bot as a process of its own, between local services in the place of both platforms."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.stand_ins.discord import TOKEN as DISCORD_TOKEN
from tests.stand_ins.discord import DiscordStandIn
from tests.stand_ins.telegram import TOKEN as TELEGRAM_TOKEN
from tests.stand_ins.telegram import TelegramStandIn

ECHO = ("-m", "benchmarks.echo_bot")
REAL = ("-m", "bot", "run")
PLATFORMS = ("telegram", "discord")
# The bot's, and that of every program that reads its database.
KEY = base64.b64encode(bytes(32)).decode()
_READY_SECONDS = 120.0
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Shown:
    """A message of the bot: in whose private chat, its text, and when it came, in seconds of the loop's clock."""

    person: int
    text: str
    at: float


class Stage:
    """Both stand-ins, which stay, and one bot after another over the same database, `malbeot.db` in `folder`."""

    def __init__(self, telegram: TelegramStandIn, discord: DiscordStandIn, folder: Path) -> None:
        self.telegram = telegram
        self.discord = discord
        self.folder = folder

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Stage]:
        """Start the stand-ins."""
        with TemporaryDirectory() as folder:
            async with TelegramStandIn() as telegram, DiscordStandIn() as discord:
                yield cls(telegram, discord, Path(folder))

    async def start(self, program: tuple[str, ...] = ECHO, **settings: str) -> asyncio.subprocess.Process:
        """Start a bot, and wait until both platforms have it."""
        greeted, identified = len(self.telegram.done["getMe"]), len(self.discord.gateway.identified)
        environment = {
            **os.environ,
            "PYTHONPATH": str(_ROOT),
            "TELEGRAM_TOKEN": TELEGRAM_TOKEN,
            "TELEGRAM_API_URL": self.telegram.url,
            "DISCORD_TOKEN": DISCORD_TOKEN,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
            "MALBEOT_KEY": KEY,
            "MALBEOT_DATABASE": str(self.folder / "malbeot.db"),
            "MALBEOT_HEALTH_PORT": "0",
            "MALBEOT_FLOOD_BURST": "100000",
            "MALBEOT_LOG_LEVEL": "ERROR",
            **settings,
        }
        process = await asyncio.create_subprocess_exec(sys.executable, *program, cwd=self.folder, env=environment)
        await self.telegram.until(lambda: len(self.telegram.done["getMe"]) > greeted, _READY_SECONDS)
        await self.discord.until(lambda: len(self.discord.gateway.identified) > identified, _READY_SECONDS)
        return process

    async def say(self, platform: str, person: int, text: str) -> None:
        """A private message."""
        if platform == "telegram":
            await self.telegram.say(person, text)
        else:
            await self.discord.say(person, text, wait=False)

    def shown(self, platform: str) -> list[Shown]:
        """All that the bot has sent, in order."""
        if platform == "telegram":
            return [Shown(call.chat_id, last_line(call.text), call.at) for call in self.telegram.sent]
        return [Shown(sent.channel_id, last_line(sent.text), sent.at) for sent in self.discord.sent]

    async def until_answered(self, platform: str, answers: Iterable[str], seconds: float) -> bool:
        """Wait until each of `answers` was shown, or for so long; whether it was."""
        expected = Counter(answers)
        stand_in = self.telegram if platform == "telegram" else self.discord
        try:
            await stand_in.until(lambda: not expected - Counter(each.text for each in self.shown(platform)), seconds)
        except TimeoutError:
            return False
        return True


def last_line(text: str) -> str:
    """The answer without the introduction that stands before a person's first."""
    return text.rpartition("\n")[2]
