"""Buttons, forms and reactions of the Discord adapter, also after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.discord_buttons import CORRECTION_TITLE
from adapters.discord_presses import (
    NOT_ALLOWED,
    NOT_MINE,
    NOT_STORED,
    THANKS_CORRECTION,
    THANKS_DOWN,
    THANKS_UP,
    UNKNOWN_REPLY,
)
from bot.messages import Answer, Choice, ConversationKey, Feedback, IncomingMessage, Judgement, Kind, Surface
from tests.adapters.reception import FakeReception
from tests.stand_ins.discord import BOT_ID, CHANNEL_ID, FOREIGN_CHANNEL_ID, THREAD_ID, DiscordStandIn
from tests.stand_ins.discord_bots import local_discord, running
from tests.stand_ins.discord_data import BOT, message
from tests.stand_ins.discord_faults import Fault, broken_after, broken_before, slow
from tests.stand_ins.discord_interactions import MESSAGE, OPEN_FORM, SILENT, THINKING
from tests.stand_ins.discord_world import Sent

DM = ConversationKey("discord", "11")
CHANNEL = ConversationKey("discord", str(CHANNEL_ID))
THREAD = ConversationKey("discord", str(CHANNEL_ID), str(THREAD_ID))
CHOICES = (Choice("저장해도 돼요", "/consent memory"), Choice("다시 시작", "/reset"))


async def reply(message: IncomingMessage, surface: Surface) -> Answer:
    """Replies of the model are numbered 5; a retry takes the place of the reply it concerns."""
    if message.kind is Kind.RETRY:
        return Answer("다시 한 답", reply_id=6, replaces=tuple(str(number) for number in REPLACED))
    return Answer(f"답: {message.text}", reply_id=5, choices=CHOICES)


REPLACED: list[int] = []


@pytest.fixture
async def discord(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordStandIn]:
    monkeypatch.setattr("adapters.discord_errors._FIRST_DELAY", 0.01)
    monkeypatch.setattr("adapters.discord_presses._STORE_DELAY", 0.01)
    REPLACED.clear()
    async with local_discord() as stand_in:
        yield stand_in


@pytest.fixture
def reception() -> FakeReception:
    reception = FakeReception(reply)
    reception.known_replies = {5}
    return reception


async def answered(discord: DiscordStandIn, reception: FakeReception, in_server: bool = False) -> Sent:
    """A reply of a bot that has stopped since."""
    async with running(discord, reception):
        if in_server:
            await discord.say_in_server("안녕")
        else:
            await discord.say(11, "안녕")
        await discord.until(lambda: discord.sent)
    return discord.sent[0]


@pytest.mark.parametrize(
    ("button", "judgement", "thanks"),
    [("up", Judgement.UP, THANKS_UP), ("down", Judgement.DOWN, THANKS_DOWN)],
)
@pytest.mark.parametrize("in_server", [False, True])
async def test_a_thumb_after_a_restart(
    discord: DiscordStandIn, reception: FakeReception, button: str, judgement: Judgement, thanks: str, in_server: bool
) -> None:
    sent = await answered(discord, reception, in_server)
    again = FakeReception()
    again.known_replies = {5}
    async with running(discord, again):
        press = await discord.press(sent.message, f"malbeot:{button}:5", user_id=11)
        await discord.until(lambda: press.texts[1:] == [thanks])
    assert press.acknowledged == SILENT
    assert press.follow_ups[0]["flags"] == 64
    key = CHANNEL if in_server else DM
    assert again.feedback == [Feedback(key, "11", judgement, reply_id=5, message_id=str(sent.id))]
    assert again.accepted == []


async def test_a_thumb_for_a_reply_nobody_knows(discord: DiscordStandIn, reception: FakeReception) -> None:
    sent = await answered(discord, reception)
    async with running(discord, FakeReception()):
        press = await discord.press(sent.message, "malbeot:up:5", user_id=11)
        await discord.until(lambda: press.texts[1:] == [UNKNOWN_REPLY])


async def test_a_thumb_that_cannot_be_stored(discord: DiscordStandIn, reception: FakeReception) -> None:
    sent = await answered(discord, reception)

    class Full(FakeReception):
        async def judge(self, feedback: Feedback) -> bool:
            raise RuntimeError

    async with running(discord, Full()):
        press = await discord.press(sent.message, "malbeot:up:5", user_id=11)
        await discord.until(lambda: press.texts[1:] == [NOT_STORED])


async def test_a_retry_changes_the_reply(discord: DiscordStandIn, reception: FakeReception) -> None:
    sent = await answered(discord, reception, in_server=True)
    REPLACED.append(sent.id)
    async with running(discord, reception):
        press = await discord.press(sent.message, "malbeot:retry:5")
        await discord.until(lambda: discord.answers(CHANNEL_ID) == ["다시 한 답"])
    assert press.acknowledged == SILENT
    retry = reception.accepted[1]
    assert (retry.kind, retry.about, retry.key, retry.text, retry.is_group) == (Kind.RETRY, 5, CHANNEL, "", True)
    assert (retry.event_id, retry.user_id, retry.user_name) == (str(press.id), "7", "민지")
    assert len(discord.sent) == 1
    assert sent.buttons == ["malbeot:up:6", "malbeot:down:6", "malbeot:retry:6"]


async def test_a_retry_of_a_reply_that_is_gone_answers_below(discord: DiscordStandIn, reception: FakeReception) -> None:
    sent = await answered(discord, reception, in_server=True)
    REPLACED.append(1)
    async with running(discord, reception):
        await discord.press(sent.message, "malbeot:retry:5")
        await discord.until(lambda: len(discord.sent) == 2)
    assert discord.sent[1].body["message_reference"]["message_id"] == sent.id


async def test_a_choice_says_what_it_means(discord: DiscordStandIn, reception: FakeReception) -> None:
    sent = await answered(discord, reception)
    async with running(discord, reception):
        press = await discord.press(sent.message, "malbeot:say:/consent memory", user_id=11)
        await discord.until(lambda: len(discord.sent) == 2)
    assert press.acknowledged == SILENT
    said = reception.accepted[1]
    assert (said.kind, said.text, said.key, said.event_id) == (Kind.TEXT, "/consent memory", DM, str(press.id))
    assert discord.answers(11)[1] == "답: /consent memory"


async def test_a_choice_that_only_managers_have(discord: DiscordStandIn, reception: FakeReception) -> None:
    sent = await answered(discord, reception, in_server=True)
    async with running(discord, reception):
        press = await discord.press(sent.message, "malbeot:say:/reset")
        await discord.until(lambda: press.texts == [NOT_ALLOWED])
        assert (press.acknowledged, press.ephemeral) == (MESSAGE, True)
        await discord.press(sent.message, "malbeot:say:/reset", manager=True)
        await discord.until(lambda: len(discord.sent) == 2)
    assert [message.text for message in reception.accepted] == ["안녕", "/reset"]


async def test_a_press_where_the_bot_is_no_member(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        called = await discord.call(FOREIGN_CHANNEL_ID, "help")
        await discord.until(lambda: called.texts == ["답: /help"])
        assert called.original is not None
        REPLACED.append(int(called.original["id"]))
        said = await discord.press(called.original, "malbeot:say:/consent memory")
        await discord.until(lambda: said.texts == ["답: /consent memory"])
        retry = await discord.press(called.original, "malbeot:retry:5")
        await discord.until(lambda: retry.texts == ["다시 한 답"])
    assert (retry.acknowledged, said.acknowledged) == (SILENT, THINKING)
    assert called.texts == ["다시 한 답"]
    assert discord.sent == []


@pytest.mark.parametrize("in_server", [False, True])
async def test_a_correction(discord: DiscordStandIn, reception: FakeReception, in_server: bool) -> None:
    sent = await answered(discord, reception, in_server)
    async with running(discord, reception):
        menu = await discord.use_menu(CORRECTION_TITLE, sent.message)
        await discord.until(lambda: menu.acknowledged)
    assert menu.acknowledged == OPEN_FORM
    assert menu.form is not None
    assert menu.form["components"][0]["components"][0]["value"] == sent.shown
    # The bot has restarted while the form was open.
    async with running(discord, reception):
        form = await discord.fill_in(menu, "  이렇게 답해 줘  ")
        await discord.until(lambda: form.texts == [THANKS_CORRECTION])
    assert (form.acknowledged, form.ephemeral) == (THINKING, True)
    key = CHANNEL if in_server else DM
    corrected = Feedback(key, "7", Judgement.CORRECTION, message_id=str(sent.id), correction="이렇게 답해 줘")
    assert reception.feedback == [corrected]


async def test_only_replies_of_the_bot_are_corrected(discord: DiscordStandIn, reception: FakeReception) -> None:
    other = message(1, CHANNEL_ID, {**BOT, "id": "8"}, "남의 말")
    async with running(discord, reception):
        menu = await discord.use_menu(CORRECTION_TITLE, other)
        await discord.until(lambda: menu.texts == [NOT_MINE])
    assert menu.ephemeral


async def test_a_blank_correction_is_not_stored(discord: DiscordStandIn, reception: FakeReception) -> None:
    sent = await answered(discord, reception)
    async with running(discord, reception):
        menu = await discord.use_menu(CORRECTION_TITLE, sent.message)
        await discord.until(lambda: menu.form)
        form = await discord.fill_in(menu, "   ")
        await discord.until(lambda: form.texts == [NOT_STORED])
    assert reception.feedback == []


async def test_reactions_to_the_bot_are_judgements(discord: DiscordStandIn, reception: FakeReception) -> None:
    async with running(discord, reception):
        number = await discord.say_in_server("안녕")
        await discord.say_in_server("안녕", channel_id=THREAD_ID)
        await discord.say(11, "안녕")
        await discord.until(lambda: len(discord.sent) == 3)
        channel, thread, direct = (
            next(sent for sent in discord.sent if sent.channel_id == place) for place in (CHANNEL_ID, THREAD_ID, 11)
        )
        await discord.react(CHANNEL_ID, channel.id, "🍕")
        await discord.react(CHANNEL_ID, number, "👍")
        await discord.react(CHANNEL_ID, channel.id, "👍", user_id=8, bot=True)
        await discord.react(CHANNEL_ID, channel.id, "👍", user_id=BOT_ID)
        await discord.react(CHANNEL_ID, channel.id, "👍🏽")
        await discord.react(THREAD_ID, thread.id, "👎")
        await discord.react(11, direct.id, "👎", user_id=11)
        await discord.say(11, "끝")
        await discord.until(lambda: len(discord.sent) == 4)
    assert sorted(reception.feedback, key=lambda one: int(one.message_id or 0)) == sorted(
        [
            Feedback(CHANNEL, "7", Judgement.UP, message_id=str(channel.id)),
            Feedback(THREAD, "7", Judgement.DOWN, message_id=str(thread.id)),
            Feedback(DM, "11", Judgement.DOWN, message_id=str(direct.id)),
        ],
        key=lambda one: int(one.message_id or 0),
    )


@pytest.mark.parametrize("faults", [[broken_before()], [broken_after()], [slow(3.1)]], ids=["before", "after", "late"])
async def test_a_press_that_cannot_be_acknowledged_is_stored_all_the_same(
    discord: DiscordStandIn, reception: FakeReception, faults: list[Fault]
) -> None:
    sent = await answered(discord, reception)
    async with running(discord, reception):
        discord.faults.plan("callback", *faults)
        await discord.press(sent.message, "malbeot:say:/consent memory", user_id=11)
        await discord.until(lambda: len(discord.sent) == 2)
    assert discord.answers(11)[1] == "답: /consent memory"
