"""Tests of adapters/answering.py."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from adapters import answering as module
from adapters.answering import Answering, pause
from bot.messages import ConversationKey, IncomingMessage, Surface


class Silent:
    """A surface and its typing sign."""

    def __init__(self) -> None:
        self.typed = 0
        self.typed_often = asyncio.Event()

    async def draft(self, text: str) -> None:
        raise NotImplementedError

    async def send(self, text: str) -> None:
        raise NotImplementedError

    async def type_once(self) -> None:
        self.typed += 1
        if self.typed == 3:
            self.typed_often.set()
        raise ConnectionError("only a sign")


def message(number: int, chat: str = "1") -> IncomingMessage:
    sent_at = datetime(2026, 1, 1, tzinfo=UTC)
    return IncomingMessage(ConversationKey("test", chat), str(number), "1", "민지", "안녕", sent_at)


async def test_messages_reach_the_handle_in_order() -> None:
    seen: list[str] = []

    async def handle(message: IncomingMessage, surface: Surface) -> None:
        seen.append(message.message_id)
        await asyncio.sleep(0)

    surface = Silent()
    async with Answering(handle) as answering:
        for number in range(100):
            answering.start(message(number, str(number % 7)), surface, surface.type_once)
    assert seen == [str(number) for number in range(100)]


async def test_the_typing_sign_is_repeated_once_a_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TYPING_SECONDS", 0.01)
    first, second = Silent(), Silent()

    async def handle(message: IncomingMessage, surface: Surface) -> None:
        await first.typed_often.wait()

    async with asyncio.timeout(10), Answering(handle) as answering:
        answering.start(message(1), first, first.type_once)
        answering.start(message(2), second, second.type_once)
    assert first.typed >= 3
    assert second.typed == 0


async def test_cancellation_cancels_the_answers() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(message: IncomingMessage, surface: Surface) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def serve() -> None:
        surface = Silent()
        async with Answering(handle) as answering:
            answering.start(message(1), surface, surface.type_once)
            await asyncio.Event().wait()

    task = asyncio.create_task(serve())
    async with asyncio.timeout(10):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert cancelled.is_set()


async def test_a_pause_ends_with_stop() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_soon(stop.set)
    async with asyncio.timeout(10):
        await pause(stop, 3600)
