"""What goes on around an answer while it is made: the typing sign, a word to whoever waits, and the clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from bot.messages import Answer, Surface

# Telegram shows a typing action for 5 seconds, Discord for 10.
TYPING_SECONDS = 4.0
# Most commands are answered sooner, and need no sign.
_BEFORE_TYPING_SECONDS = 0.3


class WatchedSurface:
    """A surface that tells when the first text of the answer is shown."""

    def __init__(self, surface: Surface, shown: Callable[[], None]) -> None:
        self._surface = surface
        self._shown = shown
        self._silent = True

    async def typing(self) -> None:
        """Passed on."""
        await self._surface.typing()

    async def draft(self, text: str) -> None:
        """Passed on."""
        self._first()
        await self._surface.draft(text)

    async def notice(self, text: str) -> None:
        """Passed on; not a part of the answer."""
        await self._surface.notice(text)

    async def send(self, answer: Answer) -> Sequence[str]:
        """Passed on."""
        sent = await self._surface.send(answer)
        self._first()
        return sent

    def _first(self) -> None:
        if self._silent:
            self._silent = False
            self._shown()


@asynccontextmanager
async def typing_sign(surface: Surface) -> AsyncIterator[None]:
    """Keep the typing sign alive."""

    async def keep() -> None:
        await asyncio.sleep(_BEFORE_TYPING_SECONDS)
        while True:
            with contextlib.suppress(Exception):
                await surface.typing()
            await asyncio.sleep(TYPING_SECONDS)

    async with _beside(keep()):
        yield


@asynccontextmanager
async def after(seconds: float, act: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Do something once the block has taken so long."""

    async def wait() -> None:
        await asyncio.sleep(seconds)
        with contextlib.suppress(Exception):
            await act()

    async with _beside(wait()):
        yield


@asynccontextmanager
async def _beside(work: Awaitable[None]) -> AsyncIterator[None]:
    """Run something for as long as the block lasts."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
