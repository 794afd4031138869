"""The durable inbox and its dispatcher.

Accepted means committed: what a platform was told is received gets its answer, also when the process dies in between.
Messages of a conversation are answered one after another in the order they came, many conversations at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from bot import commands
from bot.errors import BotError, StorageFailed, WrongKey
from bot.limits import SLOW_DOWN, FloodLimit, Verdict
from bot.messages import Answer, ConversationKey, Feedback, IncomingMessage, Kind, Platform, Surface, Undeliverable
from bot.metrics import Metrics
from bot.store.entries import Entry, State
from bot.store.store import Store
from bot.surfaces import WatchedSurface, after, typing_sign
from model.errors import EngineBusy, EngineClosed

AnswerMessage = Callable[[IncomingMessage, Surface, int], Awaitable[Answer | None]]

MAX_TRIES = 3
# A message has at most some thousand characters; beyond so many of them memory is better spent on other things.
_HELD_MESSAGES = 1000

_log = logging.getLogger(__name__)


class _TryAgain(Exception):
    """The message failed, and has tries left."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds, and how much goes on at once.

    `at_once` messages are being answered together, the others wait their turn; one that waits longer than `notice`
    is told so. `between_tries` is doubled at each. `drain` is what leaving allows for answers under way.
    """

    at_once: int = 32
    notice: float = 8.0
    between_tries: float = 0.2
    longest_between_tries: float = 5.0
    drain: float = 8.0


class Inbox:
    """The reception of all platforms (`bot.messages.Reception`)."""

    def __init__(
        self,
        store: Store,
        answer: AnswerMessage,
        limit: FloodLimit,
        metrics: Metrics,
        patience: Patience | None = None,
        always_heard: Callable[[str], bool] = commands.is_right,
        moved: Callable[[str, str], None] = lambda platform, chat_id: None,
    ) -> None:
        self._store = store
        self._answer = answer
        self._limit = limit
        self._metrics = metrics
        self._patience = patience or Patience()
        self._always_heard = always_heard
        self._moved = moved
        self._passed: set[tuple[str, str]] = set()
        self._unstored: set[tuple[str, str]] = set()
        self._asides: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(self._patience.at_once)
        self._platforms: dict[str, Platform] = {}
        self._lanes: dict[ConversationKey, deque[Entry | int]] = {}
        self._tasks: dict[ConversationKey, asyncio.Task[None]] = {}
        self._since: dict[int, float] = {}

    @property
    def waiting(self) -> int:
        """Accepted messages that are not answered yet."""
        return len(self._since)

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest of them has waited; 0 when none does."""
        return time.monotonic() - next(iter(self._since.values())) if self._since else 0.0

    def serves(self, platform: str) -> bool:
        """Whether a platform is connected."""
        return platform in self._platforms

    def seconds_since(self, entry_id: int | None) -> float:
        """How long ago a message that waits was accepted; 0 for one that did not come this way."""
        if entry_id is None:
            return 0.0
        return time.monotonic() - self._since.get(entry_id, time.monotonic())

    async def put(self, message: IncomingMessage) -> bool:
        """Accept a message (see `Reception.put`)."""
        if message.kind is Kind.EDIT and await self._amended(message):
            return False
        event = (message.key.platform, message.event_id)
        # An event that passed and could not be stored comes again; that is not its author's doing.
        if event not in self._passed and not await self._passes(message):
            return False
        self._passed.add(event)
        try:
            entry_id = await self._store.accept(message)
        except StorageFailed as error:
            self._metrics.failed(error)
            if event not in self._unstored:
                self._unstored.add(event)
                self._tell(message, commands.STORAGE)
            raise
        self._passed.discard(event)
        self._unstored.discard(event)
        if entry_id is None:
            self._limit.give_back((message.key.platform, message.user_id))
            return False
        if message.key.platform in self._platforms:
            self._enqueue(entry_id, message.key, message)
        return True

    async def judge(self, feedback: Feedback) -> bool:
        """Store a judgement (see `Reception.judge`)."""
        known = await self._store.judge(feedback)
        if known:
            self._metrics.judged(feedback.judgement)
        return known

    async def newest(self, platform: str) -> dict[ConversationKey, str]:
        """Where to catch up from (see `Reception.newest`)."""
        return await self._store.newest(platform)

    async def move(self, platform: str, old_chat_id: str, new_chat_id: str) -> None:
        """A group goes on under another id (see `Reception.move`)."""
        await self._store.move(platform, old_chat_id, new_chat_id)
        self._moved(platform, old_chat_id)

    @asynccontextmanager
    async def serving(self, platform: Platform) -> AsyncIterator[None]:
        """Answer what `platform` accepted (see `Reception.serving`)."""
        await self._store.purge()
        for entry_id, key in await self._store.waiting(platform.name):
            self._enqueue(entry_id, key)
        self._platforms[platform.name] = platform
        # Waits for the first step of no task: what came before is ahead of what comes now in each lane.
        for key in self._lanes:
            self._start(key)
        try:
            yield
        finally:
            await self._leave(platform)

    async def _leave(self, platform: Platform) -> None:
        tasks = [task for key, task in self._tasks.items() if key.platform == platform.name] + list(self._asides)
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=self._patience.drain)
        finally:
            del self._platforms[platform.name]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for key in [key for key in self._lanes if key.platform == platform.name]:
                for waiting in self._lanes.pop(key):
                    self._since.pop(_id(waiting), None)

    def _enqueue(self, entry_id: int, key: ConversationKey, message: IncomingMessage | None = None) -> None:
        """Put an entry in its lane: the message itself while few wait, else its id alone, to be read again."""
        known = message is not None and len(self._since) < _HELD_MESSAGES
        self._since[entry_id] = time.monotonic()
        self._lanes.setdefault(key, deque()).append(Entry(entry_id, message) if known and message else entry_id)
        if key.platform in self._platforms:
            self._start(key)

    def _start(self, key: ConversationKey) -> None:
        if key not in self._tasks and key.platform in self._platforms:
            self._tasks[key] = asyncio.create_task(self._work(key), name="conversation")

    async def _work(self, key: ConversationKey) -> None:
        """Answer a conversation's messages until none is left."""
        lane = self._lanes[key]
        try:
            while lane:
                await self._until_settled(lane[0])
                self._since.pop(_id(lane.popleft()), None)
            del self._lanes[key]
        finally:
            del self._tasks[key]

    async def _until_settled(self, waiting: Entry | int) -> None:
        """Try until the entry is answered or given up. Trouble that is not the message's own does not count."""
        wait = self._patience.between_tries
        entry_id = _id(waiting)
        while True:
            try:
                entry = waiting if isinstance(waiting, Entry) else await self._store.entry(entry_id)
                waiting = entry_id  # what a failed try has decided is in the store
                if entry is not None:
                    await self._settle(entry)
                return
            except EngineBusy:
                _log.info("The engine is saturated; a message waits for its turn.")
            except _TryAgain:
                pass
            except WrongKey as error:
                _log.error("A message in the inbox cannot be read and is given up: %s", error)
                await self._store.bury(entry_id)
                return
            except EngineClosed:
                _log.info("The engine is closed; a message is left for the next start.")
                await asyncio.Event().wait()  # until cancelled by whoever closes
            except BotError as error:
                self._metrics.failed(error)
                _log.error("The inbox could not be read or written; trying again: %s", error)
            await asyncio.sleep(wait)
            wait = min(2 * wait, self._patience.longest_between_tries)

    async def _settle(self, entry: Entry) -> None:
        platform = self._platforms[entry.message.key.platform]
        shown_first = partial(self._first_shown, entry)
        surface = WatchedSurface(platform.surface(entry.message, entry.id), shown_first)
        async with typing_sign(surface):
            try:
                answer = entry.answer or await self._make(entry, surface)
                shown = await surface.send(answer) if answer is not None else ()
            except Undeliverable as error:
                _log.info("An answer cannot be delivered: %s", error)
                await self._store.settle(entry, State.DEAD, None, [])
                return
            except (EngineBusy, EngineClosed, StorageFailed):
                raise
            except Exception as error:
                await self._failed(entry, surface, error)
                return
        reply_id = answer.reply_id if answer is not None else None
        await self._store.settle(entry, State.DONE, reply_id, list(shown))

    def _first_shown(self, entry: Entry) -> None:
        self._metrics.first_shown(entry.message.key.platform, self.seconds_since(entry.id))

    async def _make(self, entry: Entry, surface: Surface) -> Answer | None:
        """Decide the answer, and commit it before anything is sent."""
        async with self._slot(surface):
            answer = await self._answer(entry.message, surface, entry.id)
        # A reply of the model was committed together with its exchange.
        if answer is not None and answer.reply_id is None:
            await self._store.keep_answer(entry.id, answer)
        return answer

    async def _failed(self, entry: Entry, surface: Surface, error: Exception) -> None:
        """Count a failure that is the message's own; after the last one tell its author, and go on without it."""
        # Neither its text nor its arguments: they may quote what was said.
        _log.error("A message failed: %s", type(error).__name__)
        self._metrics.failed(error)
        if await self._store.fail(entry.id) < MAX_TRIES:
            raise _TryAgain from None
        self._metrics.dead_lettered(entry.message.key.platform)
        with contextlib.suppress(Exception):
            await surface.send(Answer(commands.GIVEN_UP))
        await self._store.settle(entry, State.DEAD, None, [])

    @asynccontextmanager
    async def _slot(self, surface: Surface) -> AsyncIterator[None]:
        """One of the places at once; whoever waits long for it is told."""
        async with after(self._patience.notice, lambda: surface.notice(commands.WAIT)):
            await self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()

    async def _amended(self, edit: IncomingMessage) -> bool:
        """Whether an edit changed a message that still waits; then there is nothing else to do about it."""
        earlier = await self._store.amend(edit)
        if earlier is None or earlier.state is not State.WAITING:
            return False
        lane = self._lanes.get(edit.key, deque())
        for place, waiting in enumerate(lane):
            lane[place] = _id(waiting)  # to be read again
        return True

    async def _passes(self, message: IncomingMessage) -> bool:
        """Flood control. Whoever needs help, or wants their data gone, is always heard."""
        if message.kind is Kind.CHECK_IN or self._always_heard(message.text):
            return True
        verdict = self._limit.check((message.key.platform, message.user_id))
        if verdict is Verdict.OK:
            return True
        self._metrics.flooded(message.key.platform)
        if verdict is Verdict.SLOW_DOWN:
            self._tell(message, SLOW_DOWN)
        return False

    def _tell(self, message: IncomingMessage, text: str) -> None:
        """Say something about a message that was not accepted, beside everything else; no other message waits."""

        async def tell(surface: Surface) -> None:
            with contextlib.suppress(Exception):
                await surface.notice(text)

        platform = self._platforms.get(message.key.platform)
        if platform is not None and message.kind is not Kind.EDIT:
            task = asyncio.create_task(tell(platform.surface(message, 0)), name="aside")
            self._asides.add(task)
            task.add_done_callback(self._asides.discard)


def _id(waiting: Entry | int) -> int:
    return waiting.id if isinstance(waiting, Entry) else waiting
