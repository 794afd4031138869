"""Writing first: only to who asked for it, once a silence, through the inbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot import commands
from bot.check_ins import CheckIns, line
from bot.conversation import ConversationManager
from bot.messages import Answer, ConversationKey, IncomingMessage
from bot.store.cipher import Cipher
from bot.store.store import Store
from model.dialogue import Sampling, SpeechLevel
from model.speech_level import speech_level_of
from tests.bot.fakes import MemorySurface, ScriptedResponder, message

CHAT = ConversationKey("telegram", "1")
OTHER = ConversationKey("discord", "2")


class Evening:
    """A bot with a clock, whose check-ins are answered at once, each event once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = datetime(2026, 11, 20, 12, tzinfo=UTC)
        self.manager = ConversationManager(
            store, ScriptedResponder(lambda context: "네!"), Sampling(), lambda: self.now
        )
        self.said: list[tuple[str, str]] = []

    async def say(self, text: str, key: ConversationKey = CHAT, is_group: bool = False) -> str:
        surface = MemorySurface()
        await self.manager.handle(message(text, key, is_group=is_group), surface)
        return surface.sent[0]

    async def put(self, incoming: IncomingMessage) -> bool:
        if await self.store.accept(incoming) is None:
            return False
        answer = await self.manager.answer(incoming, MemorySurface())
        if answer is not None:
            assert answer == Answer(answer.text)
            self.said.append((incoming.key.platform, answer.text))
        return True

    async def run(self, **later: float) -> str:
        self.now += timedelta(**later)
        return await CheckIns(self.store, self.put, lambda: self.now).run()


@asynccontextmanager
async def evening(folder: Path) -> AsyncIterator[Evening]:
    found: list[Evening] = []
    async with Store.open(folder / "m.db", Cipher(bytes(32)), lambda: found[0].now) as store:
        found.append(Evening(store))
        yield found[0]


async def test_who_asked_is_greeted_once_in_a_silence(tmp_path: Path) -> None:
    async with evening(tmp_path) as it:
        assert await it.say("/checkin") == commands.CHECK_IN_IS[False]
        assert await it.say("/checkin 켜기") == commands.CHECK_IN_SET[True]
        assert await it.say("/checkin") == commands.CHECK_IN_IS[True]
        await it.say("안녕", OTHER)
        assert "0명" in await it.run(hours=19)
        assert "1명" in await it.run(hours=2)
        assert "0명" in await it.run(hours=20)
        assert "0명" in await it.run(hours=24)
        assert [platform for platform, _ in it.said] == ["telegram"]
        await it.say("안녕")
        assert "1명" in await it.run(hours=24)


async def test_whoever_wants_quiet_has_it(tmp_path: Path) -> None:
    async with evening(tmp_path) as it:
        await it.say("/checkin 켜기")
        assert await it.say("/checkin 끄기") == commands.CHECK_IN_SET[False]
        await it.run(hours=24)
        await it.say("/checkin 켜기")
        await it.say("/forget 예")
        await it.run(hours=24)
        assert it.said == []


async def test_groups_and_the_terminal_are_not_written_to(tmp_path: Path) -> None:
    async with evening(tmp_path) as it:
        group, terminal = ConversationKey("telegram", "-1"), ConversationKey("console", "1")
        assert await it.say("/checkin 켜기", group, is_group=True) == commands.CHECK_IN_ALONE
        assert await it.say("/checkin 켜기", terminal) == commands.CHECK_IN_ALONE
        await it.run(hours=24)
        assert it.said == []


@pytest.mark.parametrize("level", list(SpeechLevel))
def test_the_line_keeps_to_the_speech_level(level: SpeechLevel) -> None:
    lines = {line(message("", event_id=str(number)), level) for number in range(50)}
    assert len(lines) == 4
    assert {speech_level_of(each) for each in lines} <= {level, None}
    assert line(message("", event_id="1"), level) == line(message("", event_id="1"), level)
