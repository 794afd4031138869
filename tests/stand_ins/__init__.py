"""Local services in the place of the platforms, spoken to over real sockets by the real libraries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

DEADLINE_SECONDS = 15.0


class StandIn:
    """An HTTP service on a port the system chooses. Tests wait for what it has seen, never for time to pass."""

    def __init__(self) -> None:
        self.app = web.Application()
        self.port = 0
        self._changed = asyncio.Condition()
        # Cancellation lets a long poll end when its client leaves.
        self._runner = web.AppRunner(self.app, handler_cancellation=True, shutdown_timeout=1.0, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def note(self) -> None:
        """Wake whoever waits: something was seen."""
        async with self._changed:
            self._changed.notify_all()

    async def until(self, holds: Callable[[], object], seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until `holds()` is true. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: bool(holds()))


def drop_connection(request: web.Request) -> None:
    """Break the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
