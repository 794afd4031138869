"""Writing first to who asked for it, once in each silence, in the evening."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from bot.messages import ConversationKey, IncomingMessage, Kind
from bot.store.store import Store
from model.dialogue import SpeechLevel

# Whoever talked today needs no greeting, and after two days of silence they want quiet.
SILENT = timedelta(hours=20)
LET_BE = timedelta(hours=48)
_LINES = {
    SpeechLevel.HAEYO: (
        "오늘 하루는 어땠어요? 문득 생각나서 말 걸어 봤어요.",
        "잘 지내고 있어요? 오늘 기억에 남는 일 하나만 들려줄래요?",
        "저녁은 챙겨 먹었어요? 별일 없는지 궁금했어요.",
        "오늘도 고생 많았어요. 쉬면서 이야기 나누고 싶으면 언제든 불러 주세요.",
    ),
    SpeechLevel.BANMAL: (
        "오늘 하루는 어땠어? 문득 생각나서 말 걸어 봤어.",
        "잘 지내고 있어? 오늘 기억에 남는 일 하나만 들려줄래?",
        "저녁은 챙겨 먹었어? 별일 없는지 궁금했어.",
        "오늘도 고생 많았어. 쉬면서 이야기하고 싶으면 언제든 불러 줘.",
    ),
}
_NOTHING = "0"


def line(message: IncomingMessage, level: SpeechLevel) -> str:
    """What is said; the same for the same silence."""
    return random.Random(message.event_id).choice(_LINES[level])


class CheckIns:
    """The job that finds who has been silent. `put` accepts a message, as `Reception.put`."""

    def __init__(
        self, store: Store, put: Callable[[IncomingMessage], Awaitable[bool]], now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._put = put
        self._now = now

    async def run(self) -> str:
        """Greet everyone who asked for it and has been silent since yesterday."""
        now = self._now()
        silent = await self._store.silent(now - LET_BE, now - SILENT)
        greeted = [await self._put(_check_in(key, since, now)) for key, since in silent]
        return f"{sum(greeted)}명에게 안부를 물었어요."


def _check_in(key: ConversationKey, since: datetime, now: datetime) -> IncomingMessage:
    """It goes through the inbox like what people say: kept over a crash, and done once, as the event is the silence."""
    event = f"check-in {key.chat_id} {key.thread_id} {since.isoformat()}"
    return IncomingMessage(key, _NOTHING, _NOTHING, "", "", now, kind=Kind.CHECK_IN, event_id=event)
