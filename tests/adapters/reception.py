"""A reception without a database, for tests of the adapters alone. What it cannot show is tested on the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bot.messages import Answer, ConversationKey, Feedback, IncomingMessage, Platform, Surface

Reply = Callable[[IncomingMessage, Surface], Awaitable[Answer]]


async def echo(message: IncomingMessage, surface: Surface) -> Answer:
    """An answer that names what it answers."""
    return Answer(f"답: {message.text}")


class FakeReception:
    """Answers in order within a conversation, with what `reply` makes; keeps everything it was told."""

    def __init__(self, reply: Reply = echo) -> None:
        self.reply = reply
        self.accepted: list[IncomingMessage] = []
        self.sent: list[tuple[IncomingMessage, Answer, tuple[str, ...]]] = []
        self.errors: list[Exception] = []
        self.feedback: list[Feedback] = []
        self.known_replies: set[int] = set()
        self.moved: list[tuple[str, str, str]] = []
        self.catch_up: dict[ConversationKey, str] = {}
        self._locks: dict[ConversationKey, asyncio.Lock] = {}
        self._platforms: dict[str, Platform] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def put(self, message: IncomingMessage) -> bool:
        if any(
            (known.key.platform, known.event_id) == (message.key.platform, message.event_id) for known in self.accepted
        ):
            return False
        self.accepted.append(message)
        if message.key.platform in self._platforms:
            self._begin(message, len(self.accepted))
        return True

    async def judge(self, feedback: Feedback) -> bool:
        self.feedback.append(feedback)
        return feedback.reply_id is None or feedback.reply_id in self.known_replies

    async def newest(self, platform: str) -> dict[ConversationKey, str]:
        return {key: message for key, message in self.catch_up.items() if key.platform == platform}

    async def move(self, platform: str, old_chat_id: str, new_chat_id: str) -> None:
        self.moved.append((platform, old_chat_id, new_chat_id))

    @asynccontextmanager
    async def serving(self, platform: Platform) -> AsyncIterator[None]:
        self._platforms[platform.name] = platform
        try:
            yield
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            del self._platforms[platform.name]
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, message: IncomingMessage, entry_id: int) -> None:
        task = asyncio.create_task(self._answer(message, entry_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: IncomingMessage, entry_id: int) -> None:
        surface = self._platforms[message.key.platform].surface(message, entry_id)
        async with self._locks.setdefault(message.key, asyncio.Lock()):
            try:
                await surface.typing()
                answer = await self.reply(message, surface)
                self.sent.append((message, answer, tuple(await surface.send(answer))))
            except Exception as error:
                self.errors.append(error)
