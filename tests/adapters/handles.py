"""A handle to test adapters with, and a way to run one of them."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager

from bot.messages import ConversationKey, IncomingMessage, Surface
from tests.stand_ins import DEADLINE_SECONDS

ECHO = "들었어요: "


class Echo:
    """Answers with what was said, one message at a time in each conversation, as the conversation manager does.

    Texts in `held` are answered once their event is set; those in `answers` with something else; those in `failing`
    with an error that quotes them.
    """

    def __init__(self) -> None:
        self.seen: list[IncomingMessage] = []
        self.held: dict[str, asyncio.Event] = {}
        self.answers: dict[str, str] = {}
        self.failing: set[str] = set()
        self._locks: defaultdict[ConversationKey, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def __call__(self, message: IncomingMessage, surface: Surface) -> None:
        self.seen.append(message)
        async with self._locks[message.key]:
            if message.text in self.held:
                await self.held[message.text].wait()
            if message.text in self.failing:
                raise RuntimeError(message.text)
            await surface.send(self.answers.get(message.text, ECHO + message.text))


class Heard(logging.Handler):
    """A log handler whose event is set once a line contains `text`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._text in record.getMessage():
            self.event.set()


@contextmanager
def hearing(logger: str, text: str) -> Iterator[asyncio.Event]:
    """An event that is set when `logger` says `text`; it does so in the loop's own thread."""
    heard = Heard(text)
    logging.getLogger(logger).addHandler(heard)
    try:
        yield heard.event
    finally:
        logging.getLogger(logger).removeHandler(heard)


@asynccontextmanager
async def serving(serve: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> AsyncIterator[asyncio.Event]:
    """Run an adapter inside the block; afterwards it has to stop within the deadline, without an error."""
    stop = asyncio.Event()
    task = asyncio.create_task(serve(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await task
