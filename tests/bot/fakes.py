"""Stand-ins for what costs weights: a responder that answers from a script, and a surface that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from bot.messages import ConversationKey, IncomingMessage
from model.dialogue import DialogueContext, Finish, Reply, Sampling, Source

KEY = ConversationKey("test", "1")


def reply(text: str) -> Reply:
    """A reply as the engine would give it."""
    return Reply(text, Source.GENERATOR, "fake-1", Finish.STOP, 0.0)


class ScriptedResponder:
    """Answers with `answer(context)`, remembers the contexts; streams one character a piece."""

    def __init__(self, answer: Callable[[DialogueContext], str | Exception]) -> None:
        self._answer = answer
        self.contexts: list[DialogueContext] = []
        self.asked = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def reply(self, context: DialogueContext, sampling: Sampling) -> Reply:
        """The scripted answer, or the scripted error, once the gate (if any) is open."""
        self.contexts.append(context)
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        answer = self._answer(context)
        if isinstance(answer, Exception):
            raise answer
        return reply(answer)

    async def stream(self, context: DialogueContext, sampling: Sampling) -> AsyncIterator[str | Reply]:
        """The same in pieces."""
        whole = await self.reply(context, sampling)
        for character in whole.text:
            yield character
        yield whole


class MemorySurface:
    """Keeps what was shown."""

    def __init__(self) -> None:
        self.drafts: list[str] = []
        self.sent: list[str] = []

    async def draft(self, text: str) -> None:
        """Keep a draft."""
        self.drafts.append(text)

    async def send(self, text: str) -> None:
        """Keep a final message."""
        self.sent.append(text)


def message(text: str, key: ConversationKey = KEY) -> IncomingMessage:
    """A message of one user at a fixed time."""
    return IncomingMessage(key, "1", "u1", "아무개", text, datetime(2026, 1, 1, tzinfo=UTC))
