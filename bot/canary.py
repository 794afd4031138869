"""Trying a candidate out: it answers a share of the conversations, the same ones each time, before it answers all.

The pointer `candidate` in the models folder names it (`python -m training.promote --canary` sets it); what people think
of either model shows in `python -m bot status`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from bot.messages import ConversationKey
from model.dialogue import Responder
from model.manifest import CANDIDATE, current

StartCandidate = Callable[[Path], AbstractAsyncContextManager[Responder]]


def is_chosen(key: ConversationKey, share: float) -> bool:
    """Whether a conversation belongs to the share: evenly spread, and always the same answer."""
    name = "\0".join((key.platform, key.chat_id, key.thread_id)).encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") < share * 2**64


class Canary:
    """The candidate's engine, while the pointer names one. `start` makes an engine over a model folder."""

    def __init__(self, models: Path, share: float, start: StartCandidate) -> None:
        self._models = models
        self._share = share
        self._start = start
        self._engine: Responder | None = None
        self._closing = AsyncExitStack()
        self._folder: Path | None = None

    def responder(self, key: ConversationKey) -> Responder | None:
        """Who answers this conversation, None for the model that answers all others."""
        return self._engine if self._engine is not None and is_chosen(key, self._share) else None

    async def follow(self) -> str | None:
        """Start, exchange or end the candidate's engine as the pointer says; a sentence where that changed anything.

        Raises ModelError for a candidate that cannot be loaded; it is not tried again until the pointer changes.
        """
        wanted = current(self._models, CANDIDATE) if self._share > 0 else None
        if wanted == self._folder:
            return None
        await self.close()
        self._folder = wanted
        if wanted is None:
            return "시험하던 모델을 거두었어요."
        self._engine = await self._closing.enter_async_context(self._start(wanted))
        return f"{wanted.name} 모델이 대화의 {self._share:.0%}에서 먼저 대답해요."

    async def close(self) -> None:
        """End the candidate's engine, its replies first; everybody is answered by the other model again."""
        self._engine, self._folder = None, None
        closing, self._closing = self._closing, AsyncExitStack()
        await closing.aclose()
