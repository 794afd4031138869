"""Slash commands of the Discord adapter: the menu, acknowledging, answers that only one person sees, late answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from adapters.discord_buttons import CORRECTION_TITLE
from adapters.discord_hook import WHOLE_ANSWER
from adapters.discord_presses import NOT_ALLOWED
from bot.messages import (
    Answer,
    Attachment,
    CommandInfo,
    ConversationKey,
    IncomingMessage,
    Kind,
    Surface,
    Undeliverable,
)
from tests.adapters.reception import FakeReception
from tests.stand_ins.discord import CHANNEL_ID, FOREIGN_CHANNEL_ID, PAIR_CHANNEL_ID, THREAD_ID, DiscordStandIn
from tests.stand_ins.discord_bots import COMMANDS, hearing, local_discord, running
from tests.stand_ins.discord_faults import Fault, broken_after, broken_before, refused, slow
from tests.stand_ins.discord_interactions import MESSAGE, THINKING

SENTENCE = "이 문장은 모두 스무 글자쯤 되는 문장이에요."
LONG = " ".join([SENTENCE] * 150)
ENDLESS = " ".join([SENTENCE] * 700)


@pytest.fixture
async def discord(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordStandIn]:
    monkeypatch.setattr("adapters.discord_errors._FIRST_DELAY", 0.01)
    monkeypatch.setattr("adapters.discord_surface.DRAFT_SECONDS", 0.05)
    async with local_discord() as stand_in:
        yield stand_in


@pytest.fixture
def reception() -> FakeReception:
    return FakeReception()


def always(answer: Answer) -> Callable[[IncomingMessage, Surface], Awaitable[Answer]]:
    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        return answer

    return reply


async def test_the_menu(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        await discord.until(lambda: discord.world.synced)
    commands = {command["name"]: command for command in discord.world.commands}
    assert set(commands) == {"help", "persona", "reset", CORRECTION_TITLE}
    for command in commands.values():
        assert command["integration_types"] == [0, 1]
        assert command["contexts"] == [0, 1, 2]
    persona = commands["persona"]
    assert persona["name_localizations"] == {"ko": "페르소나"}
    assert persona["description_localizations"] == {"ko": "제가 누구인지 보거나 바꿔요"}
    (option,) = persona["options"]
    assert (option["name"], option["type"], option.get("required", False)) == ("text", 3, False)
    assert option["name_localizations"] == {"ko": "인물_소개"}
    assert commands["help"]["options"] == []
    assert commands[CORRECTION_TITLE]["type"] == 3


async def test_the_menu_is_told_only_when_it_has_changed(discord: DiscordStandIn, reception: FakeReception) -> None:
    async def started(*commands: CommandInfo) -> int:
        asked = len(discord.faults.of("commands"))
        async with running(discord, reception, commands=commands):
            await discord.until(lambda: len(discord.faults.of("commands")) > asked)
            await discord.say(11, "안녕")
            count = len(discord.sent)
            await discord.until(lambda: len(discord.sent) > count)
        return discord.world.synced

    assert await started(*COMMANDS) == 1
    assert await started(*COMMANDS) == 1
    assert await started(replace(COMMANDS[0], description="다른 설명"), *COMMANDS[1:]) == 2
    assert await started(*COMMANDS, CommandInfo("talk", "우리말 설명만 있어요", "할 말")) == 3
    assert await started(*COMMANDS[1:]) == 4
    assert await started(*COMMANDS[1:]) == 4


async def test_a_menu_that_discord_refuses_stops_nothing(discord: DiscordStandIn, reception: FakeReception) -> None:
    discord.faults.plan("sync", refused(400, 50035))
    with hearing("command menu could not be updated") as heard:
        async with running(discord, reception):
            await heard.wait()
            await discord.say(11, "안녕")
            await discord.until(lambda: discord.sent)


async def test_a_command_is_text_for_the_bot(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        called = await discord.call(THREAD_ID, "persona", "나는 토리다.", manager=True)
        await discord.until(lambda: called.texts)
    assert called.texts == ["답: /persona 나는 토리다."]
    assert (called.acknowledged, called.ephemeral) == (THINKING, True)
    (message,) = reception.accepted
    assert message.key == ConversationKey("discord", str(CHANNEL_ID), str(THREAD_ID))
    assert (message.kind, message.text, message.is_group) == (Kind.TEXT, "/persona 나는 토리다.", True)
    assert message.event_id == message.message_id == str(called.id)
    assert (message.user_id, message.user_name) == ("7", "민지")
    assert discord.sent == []
    assert called.original is not None
    assert reception.sent[0][2] == (called.original["id"],)


async def test_a_public_command_is_answered_for_all(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        called = await discord.call(11, "reset", user_id=11)
        await discord.until(lambda: called.texts)
    assert (called.acknowledged, called.ephemeral) == (THINKING, False)
    assert reception.accepted[0].key == ConversationKey("discord", "11")
    assert not reception.accepted[0].is_group


async def test_a_command_between_two_people(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        called = await discord.call(PAIR_CHANNEL_ID, "help")
        await discord.until(lambda: called.texts)
    (message,) = reception.accepted
    assert (message.key, message.is_group) == (ConversationKey("discord", str(PAIR_CHANNEL_ID)), True)


async def test_only_managers_change_a_channel_by_command(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        persona = await discord.call(CHANNEL_ID, "persona", "나는 토리다.")
        reset = await discord.call(CHANNEL_ID, "reset")
        await discord.until(lambda: persona.texts == reset.texts == [NOT_ALLOWED])
        for called in (persona, reset):
            assert (called.acknowledged, called.ephemeral) == (MESSAGE, True)
        assert reception.accepted == []
        looked = await discord.call(CHANNEL_ID, "persona")
        await discord.until(lambda: looked.texts == ["답: /persona"])


async def test_an_answer_that_turns_out_private(discord: DiscordStandIn) -> None:
    async with running(discord, FakeReception(always(Answer(LONG, private=True)))):
        called = await discord.call(CHANNEL_ID, "reset", manager=True)
        await discord.until(lambda: len(called.follow_ups) == 2)
    assert called.original is None
    assert " ".join(called.texts) == LONG
    assert [known["flags"] for known in called.follow_ups] == [64, 64]


async def test_a_long_answer_with_a_file(discord: DiscordStandIn) -> None:
    answer = Answer(LONG, attachment=Attachment("mydata.json", "{}"), reply_id=3)
    async with running(discord, FakeReception(always(answer))):
        called = await discord.call(CHANNEL_ID, "help")
        await discord.until(lambda: called.follow_ups)
    assert " ".join(called.texts) == LONG
    (file,) = called.files
    assert discord.world.files[file] == "{}"
    assert called.follow_ups[0]["flags"] == 64


async def test_an_endless_answer_where_follow_ups_are_few(discord: DiscordStandIn) -> None:
    async with running(discord, FakeReception(always(Answer(ENDLESS)))):
        called = await discord.call(FOREIGN_CHANNEL_ID, "help")
        await discord.until(lambda: called.texts)
    (shown,) = called.texts
    assert called.original is not None
    assert ENDLESS.startswith(shown)
    assert called.original["attachments"][0]["filename"] == WHOLE_ANSWER
    assert discord.world.files[called.files[0]] == ENDLESS


async def test_drafts_and_notices_of_a_command(discord: DiscordStandIn) -> None:
    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        await surface.typing()
        await surface.notice("잠깐만요")
        await surface.draft("안")
        await surface.draft("안녕")
        await asyncio.sleep(0.06)
        await surface.draft("안녕하")
        return Answer("안녕하세요")

    async with running(discord, FakeReception(reply)):
        called = await discord.call(CHANNEL_ID, "help")
        await discord.until(lambda: called.texts == ["안녕하세요"])
    assert [edit.text for edit in discord.world.edited] == ["잠깐만요", "안", "안녕하", "안녕하세요"]
    assert called.follow_ups == []


async def test_a_command_that_takes_the_place_of_a_reply(discord: DiscordStandIn) -> None:
    reception = FakeReception(always(Answer("처음 답")))
    async with running(discord, reception):
        await discord.say(11, "안녕")
        await discord.until(lambda: discord.sent)
        reception.reply = always(Answer("다시 한 답", replaces=(str(discord.sent[0].id),)))
        called = await discord.call(11, "reset", user_id=11)
        await discord.until(lambda: discord.world.deleted)
    assert discord.answers(11) == ["다시 한 답"]
    assert (called.original, called.follow_ups) == (None, [])


async def test_a_command_from_before_a_restart_is_answered_in_its_place(discord: DiscordStandIn) -> None:
    class Stuck(FakeReception):
        """Accepts, and answers nothing: as a bot that is killed at once."""

        def _begin(self, message: IncomingMessage, entry_id: int) -> None:
            if entry_id == 4:
                complete.set()

    complete = asyncio.Event()
    stuck = Stuck()
    async with running(discord, stuck):
        called = await discord.call(CHANNEL_ID, "help")
        late = await discord.call(CHANNEL_ID, "help")
        foreign = await discord.call(FOREIGN_CHANNEL_ID, "help", user_id=8)
        await discord.until(lambda: called.acknowledged and late.acknowledged and foreign.acknowledged)
        await discord.say(11, "끝")
        await complete.wait()
    late.expired = foreign.expired = True

    class Restarted(FakeReception):
        async def newest(self, platform: str) -> dict[ConversationKey, str]:
            for number, message in enumerate(stuck.accepted):
                self._begin(message, number)
            return {}

    async with running(discord, Restarted()):
        await discord.until(lambda: called.texts and len(discord.sent) == 3)
    assert called.texts == ["답: /help"]
    # Expired: where the bot is a member in the channel, elsewhere directly.
    assert discord.answers(CHANNEL_ID) == ["답: /help"]
    assert discord.answers(8) == ["답: /help"]


async def test_a_private_answer_that_comes_too_late_comes_directly(discord: DiscordStandIn) -> None:
    expired = asyncio.Event()

    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        await expired.wait()
        return Answer("비밀이에요", private=True)

    async with running(discord, FakeReception(reply)):
        called = await discord.call(CHANNEL_ID, "persona")
        await discord.until(lambda: called.acknowledged)
        called.expired = True
        expired.set()
        await discord.until(lambda: discord.sent)
    assert (discord.answers(7), discord.answers(CHANNEL_ID)) == (["비밀이에요"], [])


async def test_an_answer_nobody_can_be_given(discord: DiscordStandIn, reception: FakeReception) -> None:
    discord.world.closed_dms.add(7)
    discord.faults.plan("callback", refused(404, 10062))
    async with running(discord, reception):
        await discord.call(FOREIGN_CHANNEL_ID, "help")
        await discord.until(lambda: discord.faults.of("create"))
    assert isinstance(reception.errors[0], Undeliverable)


@pytest.mark.parametrize("route", ["callback", "edit_answer"])
@pytest.mark.parametrize("fault", [broken_before(), broken_after(), slow(0.2)], ids=["before", "after", "late"])
async def test_faults_leave_one_answer(
    discord: DiscordStandIn, reception: FakeReception, route: str, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    discord.faults.plan(route, fault)
    async with running(discord, reception):
        called = await discord.call(CHANNEL_ID, "help")
        await discord.until(lambda: called.texts == ["답: /help"])
    assert not called.follow_ups
    assert not discord.sent
    assert "not acknowledged" not in caplog.text


async def test_an_answer_that_was_closed_comes_as_another(discord: DiscordStandIn) -> None:
    closed = asyncio.Event()

    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        await closed.wait()
        return Answer("안녕하세요")

    async with running(discord, FakeReception(reply)):
        called = await discord.call(CHANNEL_ID, "help")
        await discord.until(lambda: called.acknowledged)
        called.original, called.loading = None, False
        closed.set()
        await discord.until(lambda: called.texts == ["안녕하세요"])
    assert called.follow_ups[0]["flags"] == 64
