"""Stand-ins for what costs weights: a responder that answers from a script, and a surface that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

from bot.messages import Answer, ConversationKey, IncomingMessage, Kind
from model.dialogue import DialogueContext, Finish, Reply, Sampling, Source

# Where everything is remembered without being asked: one's own terminal.
KEY = ConversationKey("console", "1")


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
        self.notices: list[str] = []
        self.answers: list[Answer] = []

    @property
    def sent(self) -> list[str]:
        """The texts of the final messages."""
        return [answer.text for answer in self.answers]

    async def typing(self) -> None:
        """Nothing to see."""

    async def draft(self, text: str) -> None:
        """Keep a draft."""
        self.drafts.append(text)

    async def notice(self, text: str) -> None:
        """Keep a line beside the answer."""
        self.notices.append(text)

    async def send(self, answer: Answer) -> Sequence[str]:
        """Keep a final message."""
        self.answers.append(answer)
        return (f"m{len(self.answers)}",)


def message(
    text: str,
    key: ConversationKey = KEY,
    user_id: str = "u1",
    *,
    message_id: str = "1",
    event_id: str = "",
    kind: Kind = Kind.TEXT,
    is_group: bool = False,
    about: int | None = None,
) -> IncomingMessage:
    """A message of one user at a fixed time."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return IncomingMessage(
        key, message_id, user_id, "아무개", text, at, is_group=is_group, kind=kind, event_id=event_id, about=about
    )
