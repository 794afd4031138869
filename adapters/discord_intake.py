"""Accepting what Discord delivers: stored in order, nothing left out, also what came while the bot was away."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

from adapters.discord_incoming import PLATFORM
from adapters.errors import without_texts
from bot.messages import ConversationKey, IncomingMessage, Reception

Make = Callable[[], Awaitable[IncomingMessage | None]]
"""Makes the message of an event, or None where there is nothing to answer."""
Missed = Callable[[ConversationKey, int], AsyncIterator[IncomingMessage]]
"""What came in a conversation after the message of this id, oldest first."""

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 60.0
_CATCH_UP_TRIES = 6
# Requests for old messages share a rate limit with everything else.
_CATCH_UPS_AT_ONCE = 4

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class _Lane:
    """What is to be stored for one channel: first what was missed after `behind`, then what waits."""

    behind: tuple[ConversationKey, int] | None = None
    waiting: deque[Make] = field(default_factory=deque)


class Intake:
    """Stores messages channel by channel, in the order of `accept`.

    Where the bot catches up with a channel from is its newest stored message, so none may be stored before an older
    one: a channel's messages wait for each other, and for what was missed before them. Leaving the context leaves
    what is not stored yet to the next start.
    """

    def __init__(self, reception: Reception, missed: Missed, conversations: int) -> None:
        self._reception = reception
        self._missed = missed
        self._conversations = conversations
        self._lanes: dict[int, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = False
        self._listed = asyncio.Event()
        self._listing: asyncio.Task[None] | None = None
        self._catch_ups = asyncio.Semaphore(_CATCH_UPS_AT_ONCE)

    async def __aenter__(self) -> Self:
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def accept(self, channel_id: int, make: Make) -> None:
        """Store a message once those before it in its channel are."""
        if self._open:
            self._lane(channel_id).waiting.append(make)

    def fall_behind(self) -> None:
        """A connection begins that does not continue the last one: look for what came in between.

        Returns at once; what is accepted from now on waits until it is its turn.
        """
        if not self._open:
            return
        self._listed.clear()
        if self._listing is not None:
            self._listing.cancel()
        self._listing = self._start(self._list())

    async def _list(self) -> None:
        newest = {key: int(message_id) for key, message_id in (await self._newest()).items()}
        for key in sorted(newest, key=newest.__getitem__, reverse=True)[: self._conversations]:
            self._lane(int(key.thread_id or key.chat_id)).behind = key, newest[key]
        self._listed.set()

    def _lane(self, channel_id: int) -> _Lane:
        if channel_id not in self._lanes:
            self._lanes[channel_id] = _Lane()
            self._start(self._work(channel_id))
        return self._lanes[channel_id]

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _work(self, channel_id: int) -> None:
        lane = self._lanes[channel_id]
        while True:
            await self._listed.wait()
            if lane.behind is not None:
                behind, lane.behind = lane.behind, None
                await self._catch_up(*behind)
            elif lane.waiting:
                await self._take(lane.waiting.popleft())
            else:
                del self._lanes[channel_id]
                return

    async def _take(self, make: Make) -> None:
        try:
            message = await make()
        except Exception as error:
            _log.error("A message could not be read: %s", without_texts(error))
            return
        if message is not None:
            await self._store(message)

    async def _catch_up(self, key: ConversationKey, after: int) -> None:
        async with self._catch_ups:
            for tried in range(_CATCH_UP_TRIES):
                try:
                    async for message in self._missed(key, after):
                        await self._store(message)
                    return
                except Exception as error:
                    _log.warning("Old messages could not be read: %s", without_texts(error))
                await asyncio.sleep(_FIRST_DELAY * 2**tried)
        # New messages of the channel must not wait for ever.
        _log.error("Old messages of a channel could not be read; any that were missed stay unanswered.")

    async def _store(self, message: IncomingMessage) -> None:
        await until_stored(lambda: self._reception.put(message))

    async def _newest(self) -> dict[ConversationKey, str]:
        return await until_stored(lambda: self._reception.newest(PLATFORM))


async def until_stored(work: Callable[[], Awaitable[T]]) -> T:
    """Try until the storage works; whoever waits for this can be cancelled."""
    delay = _FIRST_DELAY
    while True:
        try:
            return await work()
        except Exception as error:
            _log.error("The storage failed (%s); trying again in %.1f s.", without_texts(error), delay)
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY)
