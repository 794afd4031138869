"""The bot with a responder that repeats what was said: everything but the model is real.

Started as a process by `benchmarks.crash` with the environment of a bot: `python -m benchmarks.echo_bot`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot import app
from bot.settings import Settings, load_settings
from model.dialogue import DialogueContext, Finish, Reply, Sampling, Source

# So long a reply takes; something has to be under way when the process is killed.
REPLY_SECONDS = 0.02


def answer_to(text: str) -> str:
    """What is replied to `text`."""
    return f"{text}!"


class Echo:
    """Repeats what was said, a little later."""

    pid: int | None = os.getpid()
    model_version = "echo"
    running = 0
    waiting = 0

    async def swap(self, model: Path) -> None:
        """There is no model."""

    async def reply(self, context: DialogueContext, sampling: Sampling) -> Reply:
        """What was said, with an exclamation mark."""
        await asyncio.sleep(REPLY_SECONDS)
        return Reply(answer_to(context.turns[-1].text), Source.GENERATOR, "echo", Finish.STOP, REPLY_SECONDS)

    async def stream(self, context: DialogueContext, sampling: Sampling) -> AsyncIterator[str | Reply]:
        """The same in one piece."""
        reply = await self.reply(context, sampling)
        yield reply.text
        yield reply


@asynccontextmanager
async def start_echo(settings: Settings) -> AsyncIterator[app.RunningEngine]:
    """In the place of `bot.app.start_engine`."""
    yield Echo()


if __name__ == "__main__":
    asyncio.run(app.run(load_settings(), start_echo))
