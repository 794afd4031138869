"""One short chat in every layout that is read, with what must come of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from training.chats.detection import read_export
from training.chats.messages import Message, Reason

ME = "하나"
# Minute of 2016-02-05 13:00, who ("me" is the importer), text. The second has a blank line, the third is a picture.
SAID = (
    (30, "두리", "오늘 뭐 했어?"),
    (31, "me", "그냥 쉬었어\n\n너는?"),
    (31, "두리", "{picture}"),
    (32, "me", "귀엽다"),
    (33, "두리", "나 요즘 잠이 안 와"),
    (33, "두리", "왜 이러지"),
    (34, "me", "{sticker}"),
    (35, "me", "따뜻한 우유 마셔 봐"),
)
TALKS = [
    ["U 오늘 뭐 했어?", "B 그냥 쉬었어 너는?"],
    ["U 나 요즘 잠이 안 와 왜 이러지", "B 따뜻한 우유 마셔 봐"],
]
KEPT = 5
# Of the chat above; the layouts with a note of the messenger have one SYSTEM more.
DROPPED = {Reason.MEDIA: 1, Reason.STICKER: 1, Reason.UNPROMPTED: 1}

Say = Callable[[int, str, str], str]


def _text(head: str, say: Say, own: str, picture: str, sticker: str, end: str = "\r\n") -> str:
    lines = [
        say(minute, own if who == "me" else who, text.format(picture=picture, sticker=sticker))
        for minute, who, text in SAID
    ]
    return "\n".join([head, *lines, ""]).replace("\n", end)


ANDROID_KO = _text(
    "\ufeff두리 님과 카카오톡 대화\n저장한 날짜 : 2020년 11월 3일 오전 11:29\n\n\n2016년 2월 5일 오후 1:30\n"
    "2016년 2월 5일 오후 1:30, 두리님이 하나님을 초대했습니다.",
    lambda minute, who, text: f"2016년 2월 5일 오후 1:{minute}, {who} : {text}",
    "회원님",
    "사진",
    "이모티콘",
)
ANDROID_KO_2015 = _text(
    "\ufeff두리,하나 2 님과 카카오톡 대화\n저장한 날짜 : 2015년 8월 3일 오전 12:15\n\n\n2016년 2월 5일 오후 1:30\n"
    "2016년 2월 5일 오후 1:30, 두리님이 들어왔습니다.",
    lambda minute, who, text: f"2016년 2월 5일 오후 1:{minute}, {who} : {text}",
    "하나",
    "<사진>",
    "(이모티콘)",
)
ANDROID_EN = _text(
    "\ufeffKakaoTalk Chats with 두리\nDate Saved : November 3, 2020, 1:08 PM\n\n\nFebruary 5, 2016, 1:30 PM\n"
    "February 5, 2016, 1:30 PM, 두리 invited 하나.",
    lambda minute, who, text: f"February 5, 2016, 1:{minute} PM, {who} : {text}",
    "you",
    "Photo",
    "Emoticon",
)
ANDROID_EN_2015 = _text(
    "\ufeffKakaoTalk Chats with 두리\nDate Saved : 1:08pm, August 3, 2015\n\n\n1:30pm, February 5, 2016\n"
    "1:30pm, February 5, 2016, 두리 invited 하나.",
    lambda minute, who, text: f"1:{minute}pm, February 5, 2016, {who} : {text}",
    "You",
    "photo",
    "sticker",
)
IOS_KO = _text(
    "\ufeff두리 (2명)과 카카오톡 대화-1.txt\n저장한 날짜 : 2016. 8. 3. 오전 12:15\n\n\n\n2016년 2월 5일 금요일\n"
    "2016. 2. 5. 오후 1:30: 두리님이 하나님을 초대했습니다.",
    lambda minute, who, text: f"2016. 2. 5. 오후 1:{minute}, {who} : {text}",
    "회원님",
    "사진 2장",
    "이모티콘",
)
IOS_KO_24H = _text(
    "\ufeff두리님과 카카오톡 대화\n저장한 날짜 : 2016. 8. 3. 00:15\n\n\n\n2016년 2월 5일 금요일\n"
    "2016. 2. 5. 13:30: 두리님이 하나님을 초대했습니다.",
    lambda minute, who, text: f"2016. 2. 5. 13:{minute}, {who} : {text}",
    "하나",
    "동영상",
    "이모티콘",
)
IOS_EN = _text(
    "\ufeff두리 (2)-1.txt\nDate Saved : Aug 3, 2016, 12:15 AM\n\n\n\nFriday, February 5, 2016\n"
    "Feb 5, 2016, 1:30 PM: 두리 invited 하나.",
    lambda minute, who, text: f"Feb 5, 2016, 1:{minute}\u202fPM, {who} : {text}",
    "You",
    "Photo",
    "Emoticon",
)
PC_KO = _text(
    "두리 님과 카카오톡 대화\n저장한 날짜 : 2020-11-03 10:44:52\n\n"
    "--------------- 2016년 2월 5일 금요일 ---------------\n"
    "두리님이 하나님을 초대했습니다.",
    lambda minute, who, text: f"[{who}] [오후 1:{minute}] {text}",
    "하나",
    "사진",
    "이모티콘",
)
PC_EN = _text(
    "두리 with KakaoTalk Chats\nDate Saved : 2015-08-03 00:29:58\n\n"
    "--------------- Friday, February 5, 2016 ---------------\n두리 invited 하나.",
    lambda minute, who, text: f"[{who}] [1:{minute} PM] {text}",
    "하나",
    "파일: 고양이.jpg",
    "(emoticon)",
)
MACOS = _text(
    'Date,User,Message\n2016-02-05 13:30:00,"두리","두리님이 하나님을 초대했습니다."',
    lambda minute, who, text: f'2016-02-05 13:{minute}:00,"{who}","{text}"',
    "하나",
    "(사진)",
    "(이모티콘)",
    end="\n",
)
KAKAOTALK = {
    "kakaotalk-android ko": ANDROID_KO,
    "kakaotalk-android ko 2015": ANDROID_KO_2015,
    "kakaotalk-android en": ANDROID_EN,
    "kakaotalk-android en 2015": ANDROID_EN_2015,
    "kakaotalk-ios ko": IOS_KO,
    "kakaotalk-ios ko 24h": IOS_KO_24H,
    "kakaotalk-ios en": IOS_EN,
    "kakaotalk-pc ko": PC_KO,
    "kakaotalk-pc en": PC_EN,
    "kakaotalk-macos": MACOS,
}


def telegram_message(minute: int, who: str | None, text: object, /, **more: object) -> dict[str, Any]:
    """A message as Telegram Desktop writes it."""
    date = f"2016-02-05T13:{minute:02}:00"
    return {"id": 1, "type": "message", "date": date, "from": who, "from_id": f"user-{who}", "text": text} | more


def telegram_chat(messages: list[dict[str, Any]], kind: str = "personal_chat", name: str = "두리") -> dict[str, Any]:
    """A chat as Telegram Desktop writes it."""
    return {"name": name, "type": kind, "id": 7, "messages": messages}


def _telegram() -> dict[str, Any]:
    service = {"id": 1, "type": "service", "date": "2016-02-05T13:30:00", "actor": "두리", "action": "phone_call"}
    media: dict[str, dict[str, str]] = {"{picture}": {"photo": "(File not included.)"}}
    media["{sticker}"] = {"media_type": "sticker", "sticker_emoji": "🙂"}
    said = [
        telegram_message(minute, ME if who == "me" else who, "" if text in media else text, **media.get(text, {}))
        for minute, who, text in SAID
    ]
    return telegram_chat([service | {"text": ""}, *said])


def discord_message(minute: int, who: str, text: str, /, **more: object) -> dict[str, Any]:
    """A message as DiscordChatExporter writes it."""
    author = {"id": f"1-{who}", "name": f"name-{who}", "discriminator": "0000", "nickname": who, "isBot": False}
    return {
        "id": "1",
        "type": "Default",
        "timestamp": f"2016-02-05T22:{minute:02}:00.678+09:00",
        "content": text,
        "author": author,
        "attachments": [],
        "embeds": [],
        "stickers": [],
        "mentions": [],
    } | more


def discord_channel(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A channel as DiscordChatExporter writes it."""
    guild, channel = {"id": "0", "name": "Direct Messages"}, {"id": "1", "type": "DirectTextChat", "name": "두리"}
    return {"guild": guild, "channel": channel, "messages": messages, "messageCount": len(messages)}


def _discord() -> dict[str, Any]:
    media: dict[str, dict[str, object]] = {"{picture}": {"attachments": [{"id": "1"}]}, "{sticker}": {"stickers": [{}]}}
    said = [
        discord_message(minute, ME if who == "me" else who, "" if text in media else text, **media.get(text, {}))
        for minute, who, text in SAID
    ]
    return discord_channel([discord_message(29, "두리", "Started a call.", type="Call"), *said])


def _discord_csv() -> str:
    head = "AuthorID,Author,Date,Content,Attachments,Reactions\n"
    first = '"2","두리#0000","2016-02-05T13:30:00.0000000+00:00","Started a call that lasted 3 minutes.","",""'
    lines = [first]
    for minute, who, text in SAID:
        author = '"1","하나"' if who == "me" else '"2","두리#0000"'
        picture = "cat.jpg" if text == "{picture}" else ""
        said = "" if text.startswith("{") else text
        lines.append(f'{author},"2016-02-05T22:{minute}:00.1230000+09:00","{said}","{picture}",""')
    return head + "\n".join(lines) + "\n"


TELEGRAM = json.dumps(_telegram(), ensure_ascii=False)
DISCORD = json.dumps(_discord(), ensure_ascii=False)
DISCORD_CSV = _discord_csv()
# Every layout by what it is; the first word is the source that is told.
LAYOUTS = KAKAOTALK | {"telegram-desktop": TELEGRAM, "discord-exporter json": DISCORD}


def write(folder: Path, content: str | bytes, name: str = "chat.dat") -> Path:
    """A file of that content, whose name does not tell the format."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(folder: Path, content: str | bytes) -> list[Message]:
    """The messages of the only chat in a file of that content."""
    (chat,) = read_export(write(folder, content)).chats
    return list(chat.messages)


def at(minute: int) -> datetime:
    """When the messages of the sample were sent."""
    return datetime(2016, 2, 5, 13, minute)
