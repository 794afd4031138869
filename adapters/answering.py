"""Messages being answered: what both platforms share between receiving a message and sending its answer."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from adapters.errors import without_texts
from bot.messages import ConversationKey, IncomingMessage, Surface

Handle = Callable[[IncomingMessage, Surface], Awaitable[None]]

# Telegram shows a typing action for 5 seconds, Discord for 10.
TYPING_SECONDS = 4.0

_log = logging.getLogger(__name__)


class Answering:
    """Owns the tasks that answer messages.

    Messages reach `handle` in the order of `start`; none waits for another, and an error ends only its own task.
    Leaving the context waits for what is being answered; leaving it by cancellation cancels that too.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: Counter[ConversationKey] = Counter()
        self._typing: dict[ConversationKey, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while self._tasks and not isinstance(error, asyncio.CancelledError):
                await asyncio.wait(self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, message: IncomingMessage, surface: Surface, type_once: Callable[[], Awaitable[object]]) -> None:
        """Begin to answer `message`; `type_once` shows the typing sign for some seconds."""
        # Tasks begin in the order they are made, and this one calls `handle` before it first waits.
        task = asyncio.create_task(self._answer(message, surface, type_once))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(
        self, message: IncomingMessage, surface: Surface, type_once: Callable[[], Awaitable[object]]
    ) -> None:
        async with self._typing_sign(message.key, type_once):
            try:
                await self._handle(message, surface)
            except Exception as error:
                _log.error("A message on %s was not answered: %s", message.key.platform, without_texts(error))

    @asynccontextmanager
    async def _typing_sign(
        self, key: ConversationKey, type_once: Callable[[], Awaitable[object]]
    ) -> AsyncIterator[None]:
        """One sign a conversation, however many of its messages wait."""
        self._waiting[key] += 1
        if key not in self._typing:
            self._typing[key] = asyncio.create_task(_keep_typing(type_once))
        try:
            yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
                sign = self._typing.pop(key)
                sign.cancel()
                await asyncio.wait([sign])


async def _keep_typing(type_once: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await type_once()
        except Exception as error:
            # Only a sign: the answer itself says whether the platform works.
            _log.debug("The typing sign was not shown: %s", type(error).__name__)
        await asyncio.sleep(TYPING_SECONDS)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until `stop`."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
