"""How answers look on Discord: drafts, pieces, buttons, files, what takes another's place, what others may not see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

import pytest

from adapters.discord_surface import PRIVATE_HINT
from bot.messages import Answer, Attachment, Choice, ConversationKey, IncomingMessage, Kind, Surface
from tests.adapters.reception import FakeReception
from tests.stand_ins.discord import CHANNEL_ID, DiscordStandIn
from tests.stand_ins.discord_bots import local_discord, running
from tests.stand_ins.discord_faults import Fault, broken_after, broken_before, refused

SENTENCE = "이 문장은 모두 스무 글자쯤 되는 문장이에요."
LONG = " ".join([SENTENCE] * 150)


@pytest.fixture
async def discord(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordStandIn]:
    monkeypatch.setattr("adapters.discord_errors._FIRST_DELAY", 0.01)
    monkeypatch.setattr("adapters.discord_surface.DRAFT_SECONDS", 0.1)
    async with local_discord() as stand_in:
        yield stand_in


def always(answer: Answer) -> Callable[[IncomingMessage, Surface], Awaitable[Answer]]:
    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        return answer

    return reply


async def test_a_long_reply_is_split_at_sentences(discord: DiscordStandIn) -> None:
    reception = FakeReception(always(Answer(LONG, reply_id=5)))
    async with running(discord, reception):
        number = await discord.say_in_server("길게")
        await discord.until(lambda: len(discord.sent) == 2)
    assert " ".join(discord.answers(CHANNEL_ID)) == LONG
    assert all(len(text) <= 2000 and text.endswith("문장이에요.") for text in discord.answers(CHANNEL_ID))
    first, last = discord.sent
    assert first.body["nonce"] != last.body["nonce"]
    assert first.body["message_reference"]["message_id"] == number
    assert "message_reference" not in last.body
    assert (first.buttons, last.buttons) == ([], ["malbeot:up:5", "malbeot:down:5", "malbeot:retry:5"])
    assert reception.sent[0][2] == (str(first.id), str(last.id))


async def test_drafts_are_edits_of_the_one_message(discord: DiscordStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.discord_surface.DRAFT_SECONDS", 0.3)
    words = SENTENCE.split()

    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        for count in range(1, len(words)):
            await surface.draft(" ".join(words[:count]))
            await surface.draft(" ".join(words[:count]))
            await asyncio.sleep(0.1)
        return Answer(SENTENCE, reply_id=5)

    reception = FakeReception(reply)
    async with running(discord, reception):
        await discord.say(11, "안녕")
        await discord.until(lambda: discord.answers(11) == [SENTENCE])
    (sent,) = discord.sent
    assert sent.text == words[0]
    assert sent.buttons == ["malbeot:up:5", "malbeot:down:5", "malbeot:retry:5"]
    times = [sent.at, *(edit.at for edit in discord.world.edited[:-1])]
    assert 1 < len(times) < len(words)
    assert all(later - earlier > 0.15 for earlier, later in pairwise(times))
    assert reception.sent[0][2] == (str(sent.id),)


async def test_a_draft_longer_than_a_message(discord: DiscordStandIn) -> None:
    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        await surface.draft(LONG)
        return Answer(LONG)

    async with running(discord, FakeReception(reply)):
        await discord.say(11, "길게")
        await discord.until(lambda: len(discord.sent) == 2)
    assert " ".join(discord.answers(11)) == LONG


@pytest.mark.parametrize("interrupted", [broken_before(), broken_after(), refused(503)])
async def test_a_draft_that_fails_leaves_one_message(discord: DiscordStandIn, interrupted: Fault) -> None:
    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        await surface.draft("안")
        return Answer("안녕하세요")

    discord.faults.plan("create", interrupted)
    async with running(discord, FakeReception(reply)):
        await discord.say(11, "안녕")
        await discord.until(lambda: discord.answers(11) == ["안녕하세요"])
    assert len(discord.sent) == 1


async def test_a_restart_between_draft_and_answer_leaves_one_message(discord: DiscordStandIn) -> None:
    async def halfway(message: IncomingMessage, surface: Surface) -> Answer:
        await surface.draft("안녕하")
        raise RuntimeError

    async with running(discord, FakeReception(halfway)):
        number = await discord.say_in_server("안녕")
        await discord.until(lambda: discord.sent)
    again = FakeReception(always(Answer("안녕하세요, 반가워요.", reply_id=9)))
    # The inbox of the fake is empty: the same event is found once more, and gets the same number.
    again.catch_up = {ConversationKey("discord", str(CHANNEL_ID)): str(number - 1)}
    async with running(discord, again):
        await discord.until(lambda: discord.world.edited)
    assert discord.answers(CHANNEL_ID) == ["안녕하세요, 반가워요."]
    assert discord.sent[0].buttons == ["malbeot:up:9", "malbeot:down:9", "malbeot:retry:9"]
    assert again.sent[0][2] == (str(discord.sent[0].id),)


async def test_a_notice_stands_beside_the_answer(discord: DiscordStandIn) -> None:
    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        await surface.notice("잠깐만요")
        await surface.notice("조금만 더요")
        return Answer("다 됐어요")

    async with running(discord, FakeReception(reply)):
        await discord.say(11, "안녕")
        await discord.until(lambda: len(discord.sent) == 3)
    assert discord.answers(11) == ["잠깐만요", "조금만 더요", "다 됐어요"]


async def test_signs_that_fail_are_ignored(discord: DiscordStandIn) -> None:
    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        for _ in range(2):
            await surface.typing()
        await surface.notice("잠깐만요")
        return Answer("다 됐어요")

    discord.faults.plan("typing", refused(403, 50001), broken_before(), refused(400))
    discord.faults.plan("create", refused(403, 50001))
    reception = FakeReception(reply)
    async with running(discord, reception):
        await discord.say(11, "안녕")
        await discord.until(lambda: discord.answers(11) == ["다 됐어요"])
    assert not reception.errors


async def test_an_answer_takes_the_place_of_earlier_messages(discord: DiscordStandIn) -> None:
    reception = FakeReception(always(Answer(LONG, reply_id=1)))
    async with running(discord, reception):
        number = await discord.say(11, "길게")
        await discord.until(lambda: len(discord.sent) == 2)
        replaced = tuple(str(sent.id) for sent in discord.sent)
        reception.reply = always(Answer("짧게", reply_id=2, replaces=replaced))
        await discord.change(11, number, "아니, 짧게")
        await discord.until(lambda: discord.world.deleted)
    assert discord.answers(11) == ["짧게"]
    assert len(discord.sent) == 2
    assert discord.sent[0].buttons == ["malbeot:up:2", "malbeot:down:2", "malbeot:retry:2"]
    assert reception.sent[1][2] == replaced[:1]


async def test_what_cannot_be_replaced_is_sent_anew(discord: DiscordStandIn) -> None:
    async def reply(message: IncomingMessage, surface: Surface) -> Answer:
        assert message.kind is Kind.TEXT
        await surface.draft("명령에는 미리 보이지 않아요")
        return Answer("새로운 답", replaces=("123",))

    async with running(discord, FakeReception(reply)):
        await discord.say(11, "/retry")
        await discord.until(lambda: discord.sent)
    assert [sent.text for sent in discord.sent] == ["새로운 답"]


async def test_choices_and_a_file(discord: DiscordStandIn) -> None:
    choices = (
        Choice("네, 좋아요", "/consent yes"),
        Choice("가" * 100, "나" * 88),
        Choice("너무 긴 말", "다" * 89),
        Choice("같은 말", "/consent yes"),
    )
    answer = Answer("여기 있어요", choices=choices, attachment=Attachment("mydata.json", '{"이름": "민지"}'))
    async with running(discord, FakeReception(always(answer))):
        await discord.say(11, "/mydata")
        await discord.until(lambda: discord.sent)
    (sent,) = discord.sent
    assert sent.buttons == ["malbeot:say:/consent yes", "malbeot:say:" + "나" * 88]
    assert [button["label"] for button in sent.message["components"][0]["components"]] == ["같은 말", "가" * 80]
    (file,) = sent.message["attachments"]
    assert (file["filename"], discord.world.files[file["id"]]) == ("mydata.json", '{"이름": "민지"}')


async def test_a_private_answer_in_a_server_comes_as_a_direct_message(discord: DiscordStandIn) -> None:
    async with running(discord, FakeReception(always(Answer("비밀이에요", private=True)))):
        await discord.say_in_server("/mydata")
        await discord.until(lambda: discord.sent)
    assert (discord.answers(7), discord.answers(CHANNEL_ID)) == (["비밀이에요"], [])


async def test_a_private_answer_that_cannot_be_sent_stays_unseen(discord: DiscordStandIn) -> None:
    discord.world.closed_dms.add(7)
    async with running(discord, FakeReception(always(Answer("비밀이에요", private=True)))):
        await discord.say_in_server("/mydata")
        await discord.until(lambda: discord.sent)
    assert discord.answers(CHANNEL_ID) == [PRIVATE_HINT]


async def test_where_replies_are_not_allowed_the_answer_is_plain(discord: DiscordStandIn) -> None:
    discord.faults.plan("create", refused(403, 160002))
    async with running(discord, FakeReception(always(Answer("안녕하세요")))):
        await discord.say_in_server("안녕")
        await discord.until(lambda: discord.sent)
    assert discord.answers(CHANNEL_ID) == ["안녕하세요"]
    assert "message_reference" not in discord.sent[0].body
