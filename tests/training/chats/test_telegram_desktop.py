from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.chats.samples import at, read, telegram_chat, telegram_message, write
from training.chats.detection import read_export
from training.chats.messages import Message, Reason, writers
from training.errors import BadData


def test_text_in_pieces(tmp_path: Path) -> None:
    text = ["안녕 ", {"type": "bold", "text": "하나"}, "!"]
    (message,) = read(tmp_path, json.dumps(telegram_chat([telegram_message(1, "두리", text)])))
    assert message == Message("두리", at(1), "안녕 하나!")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"type": "service", "action": "phone_call", "actor": "두리"}, Reason.SYSTEM),
        ({"from": None}, Reason.NO_SENDER),
        ({"forwarded_from": "세리"}, Reason.FORWARDED),
        ({"forwarded_from": None}, Reason.FORWARDED),
        ({"via_bot": "@gif"}, Reason.BOT),
        ({"media_type": "sticker"}, Reason.STICKER),
        ({"media_type": "voice_message", "file": "(File not included.)"}, Reason.MEDIA),
        ({"photo": "photos/1.jpg"}, Reason.MEDIA),
        ({"text": [{"type": "link", "text": "two.example"}]}, Reason.LINK),
        ({"text": [{"type": "text_link", "text": "여기", "href": "https://two.example"}]}, Reason.LINK),
        ({"date": "yesterday"}, Reason.BROKEN),
        ({"type": None}, Reason.BROKEN),
        ({"text": 7}, Reason.BROKEN),
        ({"text": [7]}, Reason.BROKEN),
        ({"reply_to_message_id": 1, "edited": "2016-02-05T13:03:00", "reactions": []}, None),
    ],
)
def test_what_is_dropped(tmp_path: Path, more: dict[str, object], reason: Reason | None) -> None:
    record = telegram_chat([telegram_message(1, "하나", "응"), telegram_message(2, "두리", "응", **more)])
    assert [message.dropped for message in read(tmp_path, json.dumps(record))] == [None, reason]


def test_an_account_has_chats_of_people_and_others(tmp_path: Path) -> None:
    kinds = ("personal_chat", "bot_chat", "saved_messages", "private_group", "public_channel")
    chats = [telegram_chat([telegram_message(1, "두리", "안녕")], kind, kind) for kind in kinds]
    account = {"about": "", "personal_information": {}, "chats": {"about": "", "list": chats}, "contacts": {}}
    export = read_export(write(tmp_path, json.dumps(account)))
    assert [(chat.title, chat.messages[0].dropped) for chat in export.chats] == [
        ("personal_chat", None),
        ("bot_chat", Reason.OTHER_CHAT),
        ("saved_messages", Reason.OTHER_CHAT),
        ("private_group", None),
        ("public_channel", Reason.OTHER_CHAT),
    ]
    assert writers(export.chats) == {"두리": 2}


def test_two_people_of_one_name_are_told_apart(tmp_path: Path) -> None:
    messages = [telegram_message(minute, "두리", "안녕", from_id=f"user{minute}") for minute in (1, 2)]
    assert [message.sender for message in read(tmp_path, json.dumps(telegram_chat(messages)))] == [
        "두리 (user1)",
        "두리 (user2)",
    ]


def test_names_beside_the_senders_are_known(tmp_path: Path) -> None:
    service = telegram_message(
        1, None, "", type="service", actor="두리", action="invite_members", members=["세리", None]
    )
    mention = telegram_message(2, "두리", ["오 ", {"type": "mention", "text": "@hana_b"}])
    forwarded = telegram_message(3, "두리", "전달", forwarded_from="네리")
    (chat,) = read_export(write(tmp_path, json.dumps(telegram_chat([service, mention, forwarded])))).chats
    assert chat.names == {"두리", "세리", "hana_b", "네리"}


def test_a_chat_in_an_account_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="a chat is missing or not a JSON object; export the chat again"):
        read_export(write(tmp_path, '{"chats": {"list": [1]}}'))
