"""Any messages, laid out as a messenger does, are read back as they were."""

from __future__ import annotations

import json
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.chats.samples import read, telegram_chat
from training.chats.messages import Message

WEEKDAYS = "월화수목금토일"
# No control characters and no line ends but "\n", as messengers write none.
LETTERS = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
LINES = st.text(st.one_of(st.sampled_from("가나다라 ㅋㅋㅠ.,:?!()[]<>-12오전"), LETTERS), max_size=12)
TEXTS = st.lists(LINES, min_size=1, max_size=4).map(lambda lines: "\n".join(lines).rstrip())
NAMES = st.sampled_from(["하나", "두리 🌷", "세리(회사)", "다섯: 여섯", "a.b"])


@st.composite
def chats(draw: st.DrawFn) -> list[Message]:
    """Messages in the order of time, to the minute."""
    time = datetime(2016, 2, 5, 9, 0)
    messages = []
    for _ in range(draw(st.integers(1, 8))):
        time += timedelta(minutes=draw(st.sampled_from([0, 1, 59, 60 * 14, 60 * 24 * 30])))
        messages.append(Message(draw(NAMES), time, draw(TEXTS)))
    return messages


def clock(time: datetime) -> str:
    half = "오전" if time.hour < 12 else "오후"
    return f"{half} {(time.hour - 1) % 12 + 1}:{time.minute:02}"


def android(messages: list[Message]) -> str:
    lines = ["하나 님과 카카오톡 대화", "저장한 날짜 : 2020년 11월 3일 오전 11:29", "", ""]
    before = None
    for message in messages:
        time = message.sent_at
        stamp = f"{time.year}년 {time.month}월 {time.day}일 {clock(time)}"
        if time != before:
            lines += ["", stamp]
        lines.append(f"{stamp}, {message.sender} : {message.text}")
        before = time
    return "\ufeff" + "\r\n".join("\n".join(lines).split("\n")) + "\r\n"


def windows(messages: list[Message]) -> str:
    lines = ["하나 님과 카카오톡 대화", "저장한 날짜 : 2020-11-03 10:44:52", ""]
    before = None
    for message in messages:
        day = message.sent_at.date()
        if day != before:
            dashes = "-" * 15
            lines.append(f"{dashes} {day.year}년 {day.month}월 {day.day}일 {WEEKDAYS[day.weekday()]}요일 {dashes}")
        lines.append(f"[{message.sender}] [{clock(message.sent_at)}] {message.text}")
        before = day
    return "\n".join(lines) + "\n"


def telegram(messages: list[Message]) -> str:
    records = [
        {
            "type": "message",
            "date": message.sent_at.isoformat(),
            "from": message.sender,
            "from_id": f"user{message.sender}",
            # Entities come between plain pieces; here every other character is bold.
            "text": [
                character if index % 2 else {"type": "bold", "text": character}
                for index, character in enumerate(message.text)
            ],
        }
        for message in messages
    ]
    return json.dumps(telegram_chat(records), ensure_ascii=False)


def back(content: str) -> list[Message]:
    with tempfile.TemporaryDirectory() as folder:
        return read(Path(folder), content)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(chats())
def test_android(messages: list[Message]) -> None:
    assert back(android(messages)) == messages


@settings(max_examples=60, deadline=None, derandomize=True)
@given(chats())
def test_windows(messages: list[Message]) -> None:
    assert back(windows(messages)) == messages


@settings(max_examples=60, deadline=None, derandomize=True)
@given(chats())
def test_telegram(messages: list[Message]) -> None:
    assert back(telegram(messages)) == messages
