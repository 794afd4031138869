"""How answers look on Telegram: drafts, pieces, buttons, files, and what takes another message's place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.telegram_settings import MessageRefused
from adapters.telegram_surface import NOT_HERE
from bot.messages import Answer, Attachment, Choice, IncomingMessage, Kind, Surface, Undeliverable
from tests.adapters.reception import FakeReception
from tests.stand_ins.telegram import TelegramStandIn
from tests.stand_ins.telegram_bots import always, asked, connected, running

SENTENCE = "이 문장은 모두 스무 글자쯤 되는 문장이에요."
LONG = " ".join([SENTENCE] * 300)
WORDS = SENTENCE.split()


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    async with TelegramStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def no_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.telegram_surface.PRIVATE_SECONDS", 0.0)
    monkeypatch.setattr("adapters.telegram_drafts.GROUP_SECONDS", 0.0)


async def stream(message: IncomingMessage, surface: Surface) -> Answer:
    """A reply that grows word by word."""
    for count in range(1, len(WORDS)):
        await surface.draft(" ".join(WORDS[:count]))
        await surface.draft(" ".join(WORDS[:count]))
    return Answer(SENTENCE, reply_id=5)


async def test_a_long_reply_is_split_at_sentences(telegram: TelegramStandIn) -> None:
    reception = FakeReception(always(Answer(LONG, reply_id=5)))
    number = await telegram.say(-100, "/help")
    async with running(telegram, reception):
        await telegram.until(lambda: len(telegram.sent) == 2)
    assert " ".join(telegram.screen(-100)) == LONG
    assert all(len(text) <= 4096 and text.endswith("문장이에요.") for text in telegram.screen(-100))
    first, last = telegram.sent
    assert f'"message_id": {number}' in first.fields["reply_parameters"]
    assert "reply_parameters" not in last.fields
    assert [data for _, data in first.buttons + last.buttons] == ["up:5", "down:5", "again:5"]
    assert last.buttons
    assert reception.sent[0][2] == (str(first.message_id), str(last.message_id))


async def test_letters_that_count_twice_never_make_a_message_too_long(telegram: TelegramStandIn) -> None:
    reception = FakeReception(always(Answer("😀" * 5000)))
    await telegram.say(11, "웃어 봐")
    async with running(telegram, reception):
        await telegram.until(lambda: "".join(telegram.screen(11)) == "😀" * 5000)
    assert not telegram.refused


async def test_typing_is_shown_in_the_topic(telegram: TelegramStandIn) -> None:
    await telegram.say(-100, "/help", topic=7)
    async with running(telegram, FakeReception()):
        await telegram.until(lambda: telegram.sent)
    (sign,) = telegram.typing
    assert (sign.chat_id, sign.fields["action"], sign.fields["message_thread_id"]) == (-100, "typing", "7")


@pytest.mark.usefixtures("no_throttle")
async def test_a_private_reply_is_drafted_and_sent_once(telegram: TelegramStandIn) -> None:
    await telegram.say(11, "안녕", topic=3)
    async with running(telegram, FakeReception(stream)):
        await telegram.until(lambda: telegram.sent)
    assert [call.text for call in telegram.drafts] == [" ".join(WORDS[:count]) for count in range(1, len(WORDS))]
    assert {(call.fields["draft_id"], call.fields["message_thread_id"]) for call in telegram.drafts} == {("1", "3")}
    assert telegram.screen(11) == [SENTENCE]
    assert not telegram.edits


@pytest.mark.usefixtures("no_throttle")
async def test_a_group_reply_is_one_message_that_grows(telegram: TelegramStandIn) -> None:
    reception = FakeReception(stream)
    await telegram.say(-100, "/help")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.screen(-100) == [SENTENCE])
    assert not telegram.drafts
    (sent,) = telegram.sent
    assert sent.text == WORDS[0]
    assert [call.text for call in telegram.edits] == [" ".join(WORDS[:count]) for count in range(2, len(WORDS) + 1)]
    assert telegram.screen(-100) == [SENTENCE]
    assert telegram.labels(-100, sent.message_id) == ["👍", "👎", "🔄 다시"]
    assert reception.sent[0][2] == (str(sent.message_id),)


async def test_drafts_keep_to_the_pace(telegram: TelegramStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.telegram_surface.PRIVATE_SECONDS", 60.0)
    monkeypatch.setattr("adapters.telegram_drafts.GROUP_SECONDS", 60.0)
    reception = FakeReception(stream)
    await telegram.say(11, "안녕")
    await telegram.say(-100, "/help")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.screen(11) == telegram.screen(-100) == [SENTENCE])
    assert len(telegram.drafts) == 1
    assert [call.text for call in telegram.edits] == [SENTENCE]


@pytest.mark.usefixtures("no_throttle")
async def test_drafts_that_fail_leave_the_answer_whole(telegram: TelegramStandIn) -> None:
    reception = FakeReception(stream)
    telegram.faults.refuse("sendMessageDraft", 400, "Bad Request: drafts are off", count=2)
    telegram.faults.reset("sendMessageDraft")
    await telegram.say(11, "안녕")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.sent)
    assert telegram.screen(11) == [SENTENCE]
    assert len(telegram.refused) == 3


@pytest.mark.usefixtures("no_throttle")
async def test_a_group_draft_that_may_have_arrived_is_not_repeated(telegram: TelegramStandIn) -> None:
    reception = FakeReception(stream)
    telegram.faults.reset("sendMessage", processed=True)
    await telegram.say(-100, "/help")
    async with running(telegram, reception):
        await telegram.until(lambda: SENTENCE in telegram.screen(-100))
    assert telegram.screen(-100) == [WORDS[0], SENTENCE]


@pytest.mark.usefixtures("no_throttle")
async def test_another_try_goes_on_in_the_same_message(telegram: TelegramStandIn) -> None:
    async with connected(telegram) as platform:
        await platform.surface(asked(-100), 1).draft("처음에는")
        again = platform.surface(asked(-100), 1)
        await again.draft("두 번째에는")
        (shown,) = await again.send(Answer("됐어요"))
    assert telegram.screen(-100) == ["됐어요"]
    assert str(telegram.sent[0].message_id) == shown


async def test_a_draft_under_way_never_comes_after_the_answer(telegram: TelegramStandIn) -> None:
    telegram.faults.delay("editMessageText", 0.2)
    async with connected(telegram) as platform:
        surface = platform.surface(asked(-100), 1)
        platform.previews[1] = int((await surface.send(Answer("처음")))[0])
        surface = platform.surface(asked(-100), 1)
        late = asyncio.create_task(surface.draft("늦은 초안"))
        await asyncio.sleep(0)
        await surface.send(Answer("답"))
        await late
    assert telegram.screen(-100) == ["답"]


async def test_an_answer_takes_the_place_of_older_messages(telegram: TelegramStandIn) -> None:
    async with connected(telegram) as platform:
        old = await platform.surface(asked(11), 1).send(Answer(LONG, reply_id=5))
        assert len(old) == 2
        new = await platform.surface(asked(11, kind=Kind.RETRY), 2).send(
            Answer("짧게", reply_id=6, replaces=tuple(old))
        )
    assert (telegram.screen(11), new) == (["짧게"], old[:1])
    assert telegram.edits[0].buttons[0] == ("👍", "up:6")


@pytest.mark.usefixtures("no_throttle")
@pytest.mark.parametrize("kind", [Kind.EDIT, Kind.RETRY])
async def test_nothing_grows_beside_what_is_replaced(telegram: TelegramStandIn, kind: Kind) -> None:
    async with connected(telegram) as platform:
        old = await platform.surface(asked(-100), 1).send(Answer("전에는"))
        surface = platform.surface(asked(-100, kind=kind), 2)
        await surface.draft("이제")
        await surface.send(Answer("이제는", replaces=tuple(old)))
    assert telegram.screen(-100) == ["이제는"]
    assert len(telegram.sent) == len(telegram.edits) == 1


async def test_what_cannot_be_edited_is_sent_anew_in_order(telegram: TelegramStandIn) -> None:
    async with connected(telegram) as platform:
        old = await platform.surface(asked(11), 1).send(Answer(LONG))
        telegram.state.uneditable.add((11, int(old[0])))
        new = await platform.surface(asked(11), 2).send(Answer(LONG + " 끝.", replaces=tuple(old)))
    assert not set(new) & set(old)
    assert " ".join(telegram.screen(11)[1:]) == LONG + " 끝."


async def test_the_same_answer_again_is_fine(telegram: TelegramStandIn) -> None:
    async with connected(telegram) as platform:
        old = await platform.surface(asked(11), 1).send(Answer("같은 말", reply_id=5))
        new = await platform.surface(asked(11), 2).send(Answer("같은 말", reply_id=5, replaces=tuple(old)))
    assert old == new
    assert telegram.screen(11) == ["같은 말"]


async def test_a_file_goes_with_the_answer_but_not_in_a_group(telegram: TelegramStandIn) -> None:
    answer = Answer("여기 있어요.", private=True, attachment=Attachment("내 기록.json", '{"이름": "민지"}'))
    async with connected(telegram) as platform:
        assert len(await platform.surface(asked(11), 1).send(answer)) == 2
        assert len(await platform.surface(asked(-100), 2).send(answer)) == 1
    (document,) = telegram.done["sendDocument"]
    assert document.chat_id == 11
    assert document.files == {"document": ("내 기록.json", '{"이름": "민지"}')}
    assert telegram.screen(-100) == [f"여기 있어요.\n\n{NOT_HERE}"]


async def test_choices_are_buttons_however_long(telegram: TelegramStandIn) -> None:
    long = "비 오는 날 떡볶이 먹으면서 같이 이야기하고 싶어"
    choices = (Choice("동의해요", "/consent yes"), Choice("긴 말", long))
    async with connected(telegram) as platform:
        await platform.surface(asked(11), 1).send(Answer("골라 주세요", reply_id=5, choices=choices))
    labels = [label for label, _ in telegram.sent[0].buttons]
    assert labels == ["동의해요", long, "👍", "👎", "🔄 다시"]
    assert telegram.sent[0].buttons[0][1] == "say:/consent yes"


async def test_who_blocked_the_bot_gets_no_answer(telegram: TelegramStandIn) -> None:
    telegram.state.blocked.add(11)
    telegram.state.gone.add(12)
    async with connected(telegram) as platform:
        for chat in (11, 12):
            surface = platform.surface(asked(chat), 1)
            await surface.typing()
            await surface.notice("잠깐만요")
            with pytest.raises(Undeliverable):
                await surface.send(Answer("안녕"))


async def test_what_telegram_refuses_is_told_apart_from_a_chat_that_is_gone(telegram: TelegramStandIn) -> None:
    telegram.faults.refuse("sendMessage", 400, "Bad Request: message is strange")
    async with connected(telegram) as platform:
        with pytest.raises(MessageRefused, match="strange"):
            await platform.surface(asked(11), 1).send(Answer("안녕"))


async def test_a_group_that_moved_gets_its_answer_in_its_new_place(telegram: TelegramStandIn) -> None:
    reception = FakeReception(always(Answer(LONG)))
    telegram.state.migrated[-50] = -100
    await telegram.say(-50, "/help")
    async with running(telegram, reception):
        await telegram.until(lambda: " ".join(telegram.screen(-100)) == LONG)
    assert reception.moved == [("telegram", "-50", "-100")]


async def test_a_notice_comes_beside_the_answer(telegram: TelegramStandIn) -> None:
    async with connected(telegram) as platform:
        surface = platform.surface(asked(-100, message_id=9), 1)
        await surface.notice("잠깐만요")
        await surface.send(Answer("이제 됐어요"))
    assert telegram.screen(-100) == ["잠깐만요", "이제 됐어요"]
    assert '"message_id": 9' in telegram.sent[0].fields["reply_parameters"]
