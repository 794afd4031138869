"""Buttons and reactions on Telegram: what a press means to the bot, and what the person sees of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.telegram_buttons import Action
from adapters.telegram_intake import NOT_NOW, THANKS, TOO_OLD
from bot.messages import Answer, Choice, ConversationKey, Feedback, Judgement, Kind
from tests.adapters.reception import FakeReception
from tests.stand_ins.telegram import TelegramStandIn
from tests.stand_ins.telegram_bots import always, asked, connected, running
from tests.stand_ins.telegram_people import chat_of, person_of

GROUP = ConversationKey("telegram", "-100")
SAID = Answer("그랬군요.", reply_id=5)


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    async with TelegramStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def reception() -> FakeReception:
    reception = FakeReception(always(Answer("다시 한 말")))
    reception.known_replies.add(5)
    return reception


async def shown(telegram: TelegramStandIn, chat_id: int, answer: Answer = SAID) -> int:
    """An answer of a bot that has ended since."""
    async with connected(telegram) as platform:
        (number,) = await platform.surface(asked(chat_id), 1).send(answer)
    return int(number)


def toasts(telegram: TelegramStandIn) -> list[str]:
    """What was said to presses; nothing is said to some."""
    return [call.fields.get("text", "") for call in telegram.done["answerCallbackQuery"]]


async def test_a_judgement_after_a_restart_is_stored_and_marked(
    telegram: TelegramStandIn, reception: FakeReception
) -> None:
    number = await shown(telegram, 11)
    await telegram.press(11, number, "👍")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.labels(11, number)[0] == "👍 ✓")
        await telegram.press(11, number, "👎")
        await telegram.until(lambda: telegram.labels(11, number)[1] == "👎 ✓")
    key = ConversationKey("telegram", "11")
    up = Feedback(key, "11", Judgement.UP, reply_id=5, message_id=str(number))
    assert reception.feedback == [up, Feedback(key, "11", Judgement.DOWN, reply_id=5, message_id=str(number))]
    assert telegram.labels(11, number) == ["👍", "👎 ✓", "🔄 다시"]
    assert toasts(telegram) == [THANKS[Action.UP], THANKS[Action.DOWN]]
    assert telegram.screen(11) == ["그랬군요."]


async def test_whoever_presses_in_a_group_judges_and_no_mark_is_left(
    telegram: TelegramStandIn, reception: FakeReception
) -> None:
    number = await shown(telegram, -100)
    for user in (8, 9):
        await telegram.press(-100, number, "👍", user=user)
    async with running(telegram, reception):
        await telegram.until(lambda: len(toasts(telegram)) == 2)
    assert [(given.key, given.user_id) for given in reception.feedback] == [(GROUP, "8"), (GROUP, "9")]
    assert telegram.labels(-100, number) == ["👍", "👎", "🔄 다시"]


async def test_again_is_a_message_about_the_reply(telegram: TelegramStandIn, reception: FakeReception) -> None:
    number = await shown(telegram, -100)
    await telegram.press(-100, number, "🔄 다시", user=8)
    async with running(telegram, reception):
        await telegram.until(lambda: toasts(telegram) and len(telegram.screen(-100)) == 2)
    (message,) = reception.accepted
    assert (message.kind, message.about, message.text) == (Kind.RETRY, 5, "")
    assert (message.key, message.user_id, message.message_id) == (GROUP, "8", str(number))
    assert message.event_id == "4242:1001"
    assert message.is_group
    assert toasts(telegram) == [THANKS[Action.AGAIN]]


async def test_a_choice_says_its_words_once_and_goes(telegram: TelegramStandIn, reception: FakeReception) -> None:
    long = "비 오는 날 떡볶이 먹으면서 같이 이야기하고 싶어"
    choices = (Choice("동의해요", "/consent yes"), Choice("길게", long))
    number = await shown(telegram, 11, Answer("골라 주세요", reply_id=5, choices=choices))
    await telegram.press(11, number, "동의해요")
    await telegram.press(11, number, "동의해요")
    async with running(telegram, reception):
        await telegram.until(
            lambda: telegram.labels(11, number) == ["👍", "👎", "🔄 다시"] and len(toasts(telegram)) == 2
        )
    (message,) = reception.accepted
    assert (message.kind, message.text, message.user_id) == (Kind.TEXT, "/consent yes", "11")
    assert toasts(telegram) == ["", NOT_NOW]


async def test_a_choice_too_long_for_a_button_says_its_label(
    telegram: TelegramStandIn, reception: FakeReception
) -> None:
    long = "비 오는 날 떡볶이 먹으면서 같이 이야기하고 싶어"
    number = await shown(telegram, 11, Answer("골라 주세요", choices=(Choice("길게", long),)))
    await telegram.press(11, number, long)
    async with running(telegram, reception):
        await telegram.until(lambda: not telegram.labels(11, number))
    assert [message.text for message in reception.accepted] == [long]


@pytest.mark.parametrize("data", ["up:6", "again:5x", "say:/forget", "label:0", "nonsense", "up:²"])
async def test_presses_that_nobody_could_make_change_nothing(
    telegram: TelegramStandIn, reception: FakeReception, data: str
) -> None:
    number = await shown(telegram, 11)
    await telegram.press(11, number, data)
    async with running(telegram, reception):
        await telegram.until(lambda: toasts(telegram))
    assert toasts(telegram) == [TOO_OLD]
    assert not reception.accepted
    assert not reception.feedback


async def test_a_reply_that_is_not_known_any_more(telegram: TelegramStandIn, reception: FakeReception) -> None:
    number = await shown(telegram, 11, Answer("옛날 말", reply_id=4))
    await telegram.press(11, number, "👍")
    async with running(telegram, reception):
        await telegram.until(lambda: toasts(telegram))
    assert toasts(telegram) == [TOO_OLD]
    assert telegram.labels(11, number) == ["👍", "👎", "🔄 다시"]


@pytest.mark.parametrize(("data", "known"), [("up:5", True), ("again:5", False), ("say:/forget", False)])
async def test_of_an_old_message_only_a_judgement_is_taken(
    telegram: TelegramStandIn, reception: FakeReception, data: str, known: bool
) -> None:
    old = {"chat": chat_of(11), "message_id": 3, "date": 0}
    query = {"id": "1", "from": person_of(11), "chat_instance": "1", "data": data, "message": old}
    await telegram.act("callback_query", query)
    async with running(telegram, reception):
        await telegram.until(lambda: toasts(telegram))
    assert bool(reception.feedback) is known
    assert not reception.accepted
    assert toasts(telegram) == [THANKS[Action.UP] if known else TOO_OLD]


async def test_a_press_is_stored_though_it_cannot_be_answered(
    telegram: TelegramStandIn, reception: FakeReception
) -> None:
    number = await shown(telegram, 11)
    telegram.faults.refuse("answerCallbackQuery", 400, "Bad Request: query is too old")
    await telegram.press(11, number, "👎")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.labels(11, number)[1] == "👎 ✓")
    assert [given.judgement for given in reception.feedback] == [Judgement.DOWN]


@pytest.mark.parametrize(
    ("emoji", "judgement"),
    [("👍", Judgement.UP), ("❤", Judgement.UP), ("👎", Judgement.DOWN), ("💩", Judgement.DOWN), ("🤔", None)],
)
async def test_a_reaction_is_a_judgement(
    telegram: TelegramStandIn, reception: FakeReception, emoji: str, judgement: Judgement | None
) -> None:
    number = await shown(telegram, -100)
    await telegram.react(-100, number, emoji, user=8)
    await telegram.say(11, "끝")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.screen(11))
    given = [] if judgement is None else [Feedback(GROUP, "8", judgement, message_id=str(number))]
    assert reception.feedback == given


async def test_a_reaction_that_is_taken_back_judges_nothing(
    telegram: TelegramStandIn, reception: FakeReception
) -> None:
    was = {"type": "emoji", "emoji": "👍"}
    change = {"chat": chat_of(-100), "message_id": 1, "date": 1, "user": person_of(8)}
    await telegram.act("message_reaction", {**change, "old_reaction": [was], "new_reaction": []})
    await telegram.say(11, "끝")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.screen(11))
    assert not reception.feedback
