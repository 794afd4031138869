from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.chats.samples import discord_channel, discord_message, read, write
from training.chats.detection import read_export
from training.chats.messages import Reason, writers

HEADER = "AuthorID,Author,Date,Content,Attachments,Reactions\n"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"type": "Reply"}, None),
        ({"type": "RecipientAdd"}, Reason.SYSTEM),
        ({"type": "Call"}, Reason.SYSTEM),
        ({"type": "ChannelPinnedMessage"}, Reason.SYSTEM),
        ({"author": {"id": "9", "name": "두리", "nickname": "두리", "isBot": True}}, Reason.BOT),
        ({"author": {"id": "9", "name": "Deleted User", "nickname": "Deleted User"}}, Reason.NO_SENDER),
        ({"author": {"id": "9", "name": "deleted_user_0a1b", "nickname": "x"}}, Reason.NO_SENDER),
        ({"author": None}, Reason.BROKEN),
        ({"timestamp": "soon"}, Reason.BROKEN),
        ({"content": None}, Reason.BROKEN),
        ({"type": None}, Reason.BROKEN),
        ({"attachments": [{"id": "1"}]}, Reason.MEDIA),
        ({"content": "", "embeds": [{}]}, Reason.MEDIA),
        ({"content": "", "stickers": [{}]}, Reason.STICKER),
        ({"reference": {"type": "Forward", "messageId": "1"}}, Reason.FORWARDED),
        ({"type": "Reply", "reference": {"type": "Default", "messageId": "1"}}, None),
    ],
)
def test_what_is_dropped(tmp_path: Path, more: dict[str, object], reason: Reason | None) -> None:
    channel = discord_channel([discord_message(1, "하나", "응"), discord_message(2, "두리", "응", **more)])
    assert [message.dropped for message in read(tmp_path, json.dumps(channel))] == [None, reason]


def test_bots_are_nobody_to_ask_and_names_are_known(tmp_path: Path) -> None:
    bot = {"id": "9", "name": "music", "nickname": "노래봇", "isBot": True}
    mention = {"id": "8", "name": "seri", "nickname": "세리"}
    messages = [discord_message(1, "두리", "@세리 안녕", mentions=[mention]), discord_message(2, "", "곡", author=bot)]
    (chat,) = read_export(write(tmp_path, json.dumps(discord_channel(messages)))).chats
    assert chat.names == {"두리", "name-두리", "music", "노래봇", "seri", "세리"}
    assert writers([chat]) == {"두리": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('"1","두리","2016-02-05T22:30:00.1230000+09:00","줄\n바꿈, ""응""","",""', None),
        ('"1","두리","2016-02-05T22:30:00.1230000+09:00","","cat.jpg",""', Reason.MEDIA),
        ('"1","두리","2016-02-05T22:30:00.1230000+09:00","Pinned a message.","",""', Reason.SYSTEM),
        ('"1","두리","2016-02-05T22:30:00.1230000+09:00","Joined the server.","",""', Reason.SYSTEM),
        ('"1","Deleted User#0000","2016-02-05T22:30:00.1230000+09:00","응","",""', Reason.NO_SENDER),
    ],
)
def test_rows_of_csv(tmp_path: Path, row: str, reason: Reason | None) -> None:
    (message,) = read(tmp_path, f"{HEADER}{row}\n")
    assert message.dropped is reason
    assert (message.sent_at.hour, message.sent_at.minute, message.sent_at.microsecond) == (13, 30, 123_000)
    assert reason or message.text == '줄\n바꿈, "응"'
