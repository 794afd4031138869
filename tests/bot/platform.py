"""A platform that is a list of what it was sent, and an inbox over a real database, for tests of the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from bot.inbox import Inbox, Patience
from bot.limits import FloodLimit
from bot.messages import Answer, ConversationKey, IncomingMessage, Surface
from bot.metrics import Metrics
from bot.store.cipher import Cipher
from bot.store.store import Store
from tests.bot.fakes import message

CIPHER = Cipher(bytes(32))
AT = datetime(2026, 1, 1, tzinfo=UTC)
DEADLINE = 20.0
QUICK = Patience(between_tries=0.001, longest_between_tries=0.01, drain=5.0)
Make = Callable[[IncomingMessage, Surface, int], Awaitable[Answer | None]]


class FakePlatform:
    """Keeps what is sent, by conversation. `broken` is raised by sending, `held` holds it back."""

    name = "telegram"

    def __init__(self) -> None:
        self.sent: list[tuple[ConversationKey, str]] = []
        self.notices: list[str] = []
        self.broken: Exception | None = None
        self.held: asyncio.Event | None = None
        self._changed = asyncio.Condition()

    def surface(self, incoming: IncomingMessage, entry_id: int) -> Surface:
        return FakeSurface(self, incoming)

    def to(self, key: ConversationKey) -> list[str]:
        return [text for where, text in self.sent if where == key]

    async def keep(self, key: ConversationKey, answer: Answer) -> str:
        if self.broken is not None:
            raise self.broken
        self.sent.append((key, answer.text))
        async with self._changed:
            self._changed.notify_all()
        if self.held is not None:
            await self.held.wait()
        return f"m{len(self.sent)}"

    async def until(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(lambda: len(self.sent) >= count)


class FakeSurface:
    def __init__(self, platform: FakePlatform, incoming: IncomingMessage) -> None:
        self._platform = platform
        self._incoming = incoming

    async def typing(self) -> None: ...

    async def draft(self, text: str) -> None: ...

    async def notice(self, text: str) -> None:
        self._platform.notices.append(text)

    async def send(self, answer: Answer) -> Sequence[str]:
        return [await self._platform.keep(self._incoming.key, answer)]


def chat(number: int) -> ConversationKey:
    return ConversationKey("telegram", str(number))


def said(number: int, text: str, event: str, **more: object) -> IncomingMessage:
    return message(text, chat(number), f"u{number}", event_id=event, message_id=event, **more)  # type: ignore[arg-type]


async def echo(incoming: IncomingMessage, surface: Surface, entry_id: int) -> Answer:
    return Answer(f"{incoming.text}!")


def limit(burst: int = 1000) -> FloodLimit:
    return FloodLimit(burst, per_minute=1, now=lambda: 0.0, total_per_second=1e6)


@asynccontextmanager
async def opened(
    path: Path, make: Make = echo, patience: Patience = QUICK, burst: int = 1000
) -> AsyncIterator[tuple[Inbox, Store]]:
    async with Store.open(path / "m.db", CIPHER) as store:
        yield Inbox(store, make, limit(burst), Metrics(), patience), store
