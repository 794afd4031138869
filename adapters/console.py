"""The terminal: a chat with rich where there is a person, plain lines where there is a pipe."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from bot.messages import Answer, ConversationKey, IncomingMessage, Surface

Handle = Callable[[IncomingMessage, Surface], Awaitable[None]]

KEY = ConversationKey("console", "local")


class _LocalSurface:
    """What a terminal needs nothing for."""

    async def typing(self) -> None:
        """A terminal shows its own sign."""

    async def notice(self, text: str) -> None:
        """Nobody else is served here, so there is nothing to wait for."""


class PlainSurface(_LocalSurface):
    """Final messages on standard output, nothing else."""

    async def draft(self, text: str) -> None:
        """Drafts are for people who watch."""

    async def send(self, answer: Answer) -> Sequence[str]:
        """Print the message."""
        sys.stdout.write(whole_text(answer) + "\n")
        sys.stdout.flush()
        return ()


class RichSurface(_LocalSurface):
    """A message that grows on the terminal while it is made. One surface shows one answer."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._shown = ""

    async def draft(self, text: str) -> None:
        """Add what is new of `text` to what stands there."""
        if not self._shown:
            self._console.print(Text(f"{self._name} › ", "bold magenta"), end="")
        self._console.print(Text(text[len(self._shown) :]), end="", soft_wrap=True)
        self._shown = text

    async def send(self, answer: Answer) -> Sequence[str]:
        """Complete the draft; where it went another way, write the message anew."""
        text = whole_text(answer)
        if self._shown and not text.startswith(self._shown):
            self._console.print()
            self._shown = ""
        await self.draft(text)
        self._console.print()
        return ()


def whole_text(answer: Answer) -> str:
    """The answer with what other platforms show in buttons and files."""
    choices = [f"· {choice.label}: {choice.says}" for choice in answer.choices]
    return "\n".join([answer.text, *choices, *([answer.attachment.content] if answer.attachment else [])])


async def chat_lines(handle: Handle, lines: AsyncIterator[str]) -> None:
    """Answer each of `lines`, one reply a line on standard output."""
    numbers = itertools.count(1)
    async for line in lines:
        await handle(_message(line, next(numbers)), PlainSurface())


async def chat_terminal(handle: Handle, name: str, greeting: str) -> None:
    """Talk with a person until Ctrl-D or Ctrl-C."""
    console = Console()
    console.print(Text(greeting, "dim"))
    numbers = itertools.count(1)
    lines = aiter(stdin_lines())
    while True:
        console.print(Text("나 › ", "bold cyan"), end="")
        line = await anext(lines, None)
        if line is None:
            break
        if not line.strip():
            continue
        surface = RichSurface(console, name)
        with console.status("생각하는 중…") if console.is_terminal else nullcontext() as status:
            await handle(_message(line, next(numbers)), _Unveiling(surface, status.stop if status else lambda: None))
    console.print()


class _Unveiling(_LocalSurface):
    """A surface that takes the waiting sign away before anything is shown."""

    def __init__(self, surface: RichSurface, unveil: Callable[[], None]) -> None:
        self._surface = surface
        self._unveil = unveil

    async def draft(self, text: str) -> None:
        self._unveil()
        await self._surface.draft(text)

    async def send(self, answer: Answer) -> Sequence[str]:
        self._unveil()
        return await self._surface.send(answer)


async def given_lines(lines: list[str]) -> AsyncIterator[str]:
    """Lines that are known already, as a stream."""
    for line in lines:
        yield line


async def stdin_lines() -> AsyncIterator[str]:
    """Lines of standard input as they come.

    A daemon thread reads the descriptor itself: unlike a reader of sys.stdin it never holds up leaving the program.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        rest = b""
        try:
            while block := os.read(sys.stdin.fileno(), 1 << 16):
                *whole, rest = (rest + block).split(b"\n")
                for line in whole:
                    loop.call_soon_threadsafe(queue.put_nowait, line.decode("utf-8", "replace").rstrip("\r"))
            if rest:
                loop.call_soon_threadsafe(queue.put_nowait, rest.decode("utf-8", "replace"))
            loop.call_soon_threadsafe(queue.put_nowait, None)
        except RuntimeError:
            return  # the loop is closed: nobody reads any more

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line


def _message(text: str, number: int) -> IncomingMessage:
    return IncomingMessage(
        key=KEY,
        message_id=str(number),
        user_id="local",
        user_name="나",
        text=text,
        sent_at=datetime.now(UTC),
    )
