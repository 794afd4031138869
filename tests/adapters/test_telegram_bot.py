"""Tests of Telegram's adapter: the real library against a local Bot API server. Here: what reaches the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.messages import ConversationKey, IncomingMessage, Kind
from tests.adapters.reception import FakeReception
from tests.stand_ins.telegram import BOT, TelegramStandIn, entity
from tests.stand_ins.telegram_bots import running
from tests.stand_ins.telegram_people import chat_of, person_of

FROM_BOT = {"message_id": 1, "date": 1, "chat": chat_of(-100), "from": BOT}
OTHER_BOT = {"id": 8, "is_bot": True, "first_name": "봇"}
MENTION = "@Malbeot_bot아 뭐 해?"


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    async with TelegramStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def reception() -> FakeReception:
    return FakeReception()


async def heard_before_the_last_word(telegram: TelegramStandIn, reception: FakeReception) -> list[IncomingMessage]:
    """What was accepted of all that was said: a private message that comes after it tells when that is known."""
    await telegram.say(11, "끝")
    async with running(telegram, reception):
        await telegram.until(lambda: any(call.chat_id == 11 for call in telegram.sent))
    assert reception.accepted[-1].text == "끝"
    return reception.accepted[:-1]


async def test_a_private_message_is_answered_once(telegram: TelegramStandIn, reception: FakeReception) -> None:
    number = await telegram.say(11, "안녕 <b>*하세요*</b>")
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.sent)
    assert [(call.chat_id, call.text) for call in telegram.sent] == [(11, "답: 안녕 <b>*하세요*</b>")]
    assert telegram.sent[0].fields.keys() == {"chat_id", "text"}
    (message,) = reception.accepted
    assert message.key == ConversationKey("telegram", "11")
    assert (message.message_id, message.user_id, message.user_name) == (str(number), "11", "민지")
    assert message.sent_at.timestamp() == 1_760_000_000 + number
    assert (message.kind, message.is_group, message.event_id) == (Kind.TEXT, False, "4242:1001")
    assert reception.sent[0][2] == (str(telegram.sent[0].message_id),)
    assert telegram.confirmed == 1001


async def test_three_hundred_conversations_at_once_keep_their_order(
    telegram: TelegramStandIn, reception: FakeReception
) -> None:
    chats, numbers = range(1, 301), range(3)
    for number in numbers:
        for chat in chats:
            await telegram.say(chat, str(number))
    async with running(telegram, reception):
        await telegram.until(lambda: len(telegram.sent) == 900)
    assert not telegram.refused
    assert all(telegram.screen(chat) == [f"답: {number}" for number in numbers] for chat in chats)


@pytest.mark.parametrize(
    ("text", "fields", "heard"),
    [
        (MENTION, {}, "아 뭐 해?"),
        ("/help@malbeot_bot 좀", {}, "/help 좀"),
        ("/help", {}, "/help"),
        ("말벗 안녕", {"entities": [entity("말벗 안녕", "말벗", "text_mention", user=BOT)]}, "말벗 안녕"),
        ("정말?", {"reply_to_message": FROM_BOT, "quote": {"text": "남의 말", "position": 0}}, "정말?"),
    ],
)
async def test_a_group_message_for_the_bot(
    telegram: TelegramStandIn, reception: FakeReception, text: str, fields: dict[str, Any], heard: str
) -> None:
    number = await telegram.say(-100, text, user=7, **fields)
    async with running(telegram, reception):
        await telegram.until(lambda: telegram.sent)
    (message,) = reception.accepted
    assert (message.key, message.user_id, message.text) == (ConversationKey("telegram", "-100"), "7", heard)
    assert message.is_group
    assert f'"message_id": {number}' in telegram.sent[0].fields["reply_parameters"]


NOT_FOR_THE_BOT: dict[str, dict[str, Any]] = {
    "우리끼리 하는 말": {},
    "@malbeot_bot 이라는 글자": {"entities": []},
    "@other_bot 안녕 😀 /help@other_bot": {},
    "/unknown": {},
    "말 가운데 /help": {},
    "응": {"reply_to_message": {**FROM_BOT, "from": person_of(8)}},
    "주제의 첫 말": {
        "reply_to_message": {**FROM_BOT, "forum_topic_created": {"name": "수다", "icon_color": 1}},
        "message_thread_id": 1,
    },
    "@malbeot_bot 옮긴 말": {"forward_origin": {"type": "hidden_user", "date": 1, "sender_user_name": "누구"}},
    "@malbeot_bot 봇의 말": {"from": OTHER_BOT},
}


async def test_group_messages_for_others_are_not_taken(telegram: TelegramStandIn, reception: FakeReception) -> None:
    for text, fields in NOT_FOR_THE_BOT.items():
        await telegram.say(-100, text, **fields)
    assert await heard_before_the_last_word(telegram, reception) == []
    assert telegram.screen(-100) == []


async def test_bots_are_never_answered(telegram: TelegramStandIn, reception: FakeReception) -> None:
    await telegram.say(8, "봇이 말을 걸어요", **{"from": OTHER_BOT})
    await telegram.say(-100, "/help", reply_to_message=FROM_BOT, **{"from": OTHER_BOT})
    assert await heard_before_the_last_word(telegram, reception) == []


async def test_channels_business_and_guests_are_not_taken(telegram: TelegramStandIn, reception: FakeReception) -> None:
    post = {"message_id": 1, "date": 1, "chat": {"id": -5, "type": "channel", "title": "소식"}, "text": "/help"}
    for kind in ("channel_post", "edited_channel_post", "business_message", "guest_message"):
        await telegram.act(kind, post)
    assert await heard_before_the_last_word(telegram, reception) == []
    assert telegram.confirmed == 1005


async def test_who_writes_as_a_chat_is_that_chat(telegram: TelegramStandIn, reception: FakeReception) -> None:
    anonymous = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
    await telegram.say(-100, "/help", sender_chat=chat_of(-100), **{"from": anonymous})
    (message,) = await heard_before_the_last_word(telegram, reception)
    assert (message.user_id, message.user_name) == ("-100", "모임")
    assert telegram.screen(-100) == ["답: /help"]


async def test_a_topic_is_its_own_conversation_but_a_chain_of_replies_is_not(
    telegram: TelegramStandIn, reception: FakeReception
) -> None:
    await telegram.say(11, "주제 안", topic=5)
    await telegram.say(-100, "/help", topic=7)
    await telegram.say(-200, "/help", message_thread_id=6)
    async with running(telegram, reception):
        await telegram.until(lambda: len(telegram.sent) == 3)
    keys = [(message.key.chat_id, message.key.thread_id) for message in reception.accepted]
    assert keys == [("11", "5"), ("-100", "7"), ("-200", "")]
    topics = {call.chat_id: call.fields.get("message_thread_id") for call in telegram.sent}
    assert topics == {11: "5", -100: "7", -200: None}


async def test_an_edit_is_told_as_one(telegram: TelegramStandIn, reception: FakeReception) -> None:
    number = await telegram.say(11, "안뇽")
    await telegram.edit(11, number, "안녕")
    first, second = await heard_before_the_last_word(telegram, reception)
    assert (first.kind, first.text, first.message_id) == (Kind.TEXT, "안뇽", str(number))
    assert (second.kind, second.text, second.message_id) == (Kind.EDIT, "안녕", str(number))
    assert first.event_id != second.event_id


@pytest.mark.parametrize("what", ["sticker", "photo", "voice", "video", "document", "location"])
async def test_what_is_no_text(telegram: TelegramStandIn, reception: FakeReception, what: str) -> None:
    caption = None if what in ("sticker", "location") else "이거 봐"
    await telegram.show(11, what, caption)
    await telegram.show(-100, what, caption)
    await telegram.show(-100, what, caption, reply_to_message=FROM_BOT)
    private, in_group = await heard_before_the_last_word(telegram, reception)
    assert (private.kind, private.text, private.is_group) == (Kind.MEDIA, caption or "", False)
    assert (in_group.kind, in_group.text, in_group.is_group) == (Kind.MEDIA, caption or "", True)


async def test_a_caption_can_call_the_bot_and_an_album_is_one_message(
    telegram: TelegramStandIn, reception: FakeReception
) -> None:
    await telegram.show(-100, "photo", "@malbeot_bot 이거 봐")
    for _ in range(3):
        await telegram.show(12, "photo", media_group_id="77")
    called, album = await heard_before_the_last_word(telegram, reception)
    assert (called.text, called.kind) == ("이거 봐", Kind.MEDIA)
    assert album.key.chat_id == "12"
    assert len(telegram.screen(12)) == 1


async def test_what_is_no_message_is_no_message(telegram: TelegramStandIn, reception: FakeReception) -> None:
    number = await telegram.show(11, "location")
    await telegram.act("edited_message", telegram.messages[11, number] | {"edit_date": 1_760_000_100})
    await telegram.act("message", {**FROM_BOT, "from": person_of(7), "new_chat_members": [person_of(9)]})
    await telegram.become(11, "kicked")
    (location,) = await heard_before_the_last_word(telegram, reception)
    assert location.kind is Kind.MEDIA


async def test_a_group_that_moves_is_told(telegram: TelegramStandIn, reception: FakeReception) -> None:
    group = {"id": -50, "type": "group", "title": "모임"}
    await telegram.act("message", {**FROM_BOT, "chat": group, "migrate_to_chat_id": -100})
    await telegram.act("message", {**FROM_BOT, "migrate_from_chat_id": -50})
    assert await heard_before_the_last_word(telegram, reception) == []
    assert reception.moved == [("telegram", "-50", "-100")] * 2


async def test_an_update_that_cannot_be_read_holds_up_none(telegram: TelegramStandIn, reception: FakeReception) -> None:
    await telegram.act("message", {"text": "보낸 사람도 방도 없어요"})
    assert await heard_before_the_last_word(telegram, reception) == []
    assert telegram.confirmed == 1002


async def test_the_menu_is_korean_for_everyone(telegram: TelegramStandIn, reception: FakeReception) -> None:
    async with running(telegram, reception):
        await telegram.until(lambda: len(telegram.state.commands) == 2)
    assert telegram.state.commands.keys() == {"", "ko"}
    for menu in telegram.state.commands.values():
        assert [command["command"] for command in menu] == ["help", "persona"]
        assert menu[0]["description"] == "할 수 있는 것들을 알려 드려요"
