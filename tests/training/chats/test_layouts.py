"""The same chat in every layout comes to the same messages, turns and drops."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from tests.training.chats.samples import (
    ANDROID_KO,
    DISCORD_CSV,
    DROPPED,
    KAKAOTALK,
    KEPT,
    LAYOUTS,
    ME,
    PC_KO,
    SAID,
    TALKS,
    at,
    read,
    write,
)
from training.chats.detection import read_export
from training.chats.messages import Message, Reason
from training.import_chats import find_me, make_talks

OWN = {"회원님", "you", "You", ME}


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_messages_times_and_notes(tmp_path: Path, layout: str) -> None:
    messages = read(tmp_path, LAYOUTS[layout])
    assert (messages[0].sender in (None, "두리"), messages[0].dropped) == (True, Reason.SYSTEM)
    times = [message.sent_at.replace(second=0, microsecond=0) for message in messages[1:]]
    assert times == [at(minute) for minute, _, _ in SAID]
    assert ["me" if message.sender in OWN else message.sender for message in messages[1:]] == [
        who for _, who, _ in SAID
    ]
    said = [text for _, _, text in SAID if not text.startswith("{")]
    assert [message.text for message in messages[1:] if not message.dropped] == said
    assert [message.dropped for message in messages if message.dropped] == [Reason.SYSTEM, Reason.MEDIA, Reason.STICKER]


@pytest.mark.slow
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_talks_and_counts_that_add_up(tmp_path: Path, layout: str) -> None:
    export = read_export(write(tmp_path, LAYOUTS[layout]))
    report = make_talks(export, find_me(export, ME), ME, timedelta(hours=2))
    turns = [[f"{'U' if turn.role == 'user' else 'B'} {turn.text}" for turn in talk.turns] for talk in report.talks]
    assert export.source == layout.split()[0]
    assert turns == TALKS
    assert (report.read, report.kept) == (9, KEPT)
    assert report.dropped == Counter(DROPPED) + Counter({Reason.SYSTEM: 1})
    assert report.kept + report.dropped.total() == report.read


@pytest.mark.slow
def test_csv_of_discord_has_no_types_and_no_stickers(tmp_path: Path) -> None:
    export = read_export(write(tmp_path, DISCORD_CSV))
    report = make_talks(export, find_me(export, ME), ME, timedelta(hours=2))
    # The sticker is an empty message there, which cuts what stands beside it.
    assert (report.read, report.kept) == (9, 2)
    assert report.dropped == Counter(
        {
            Reason.SYSTEM: 1,
            Reason.MEDIA: 1,
            Reason.EMPTY: 1,
            Reason.BESIDE: 1,
            Reason.UNPROMPTED: 1,
            Reason.UNANSWERED: 2,
        }
    )
    assert "CSV does not say who is a bot" in export.notes[0]


def test_a_group_of_kakaotalk(tmp_path: Path) -> None:
    text = (
        "하나,두리,세리 3 님과 카카오톡 대화\n저장한 날짜 : 2020년 11월 3일 오전 11:29\n\n\n"
        "2015년 7월 9일 오후 8:34, 두리님이 하나님과 세리님을 초대했습니다.\n"
        "2015년 7월 9일 오후 8:34, 두리 : 안녕\n2015년 7월 9일 오후 8:35, 회원님 : 반가워\n"
        "2015년 7월 9일 오후 8:36, 세리님이 나갔습니다.\n"
    )
    first, *said, last = read(tmp_path, text)
    assert (first.dropped, last.dropped) == (Reason.SYSTEM, Reason.SYSTEM)
    assert [(message.sender, message.text) for message in said] == [("두리", "안녕"), ("회원님", "반가워")]


@pytest.mark.parametrize(
    ("placeholder", "reason"),
    [
        ("<사진>", Reason.MEDIA),
        ("(사진)", Reason.MEDIA),
        ("사진 12장", Reason.MEDIA),
        ("음성메시지", Reason.MEDIA),
        ("파일: 노래.mp3", Reason.MEDIA),
        ("보이스톡 해요", Reason.MEDIA),
        ("Photo", Reason.MEDIA),
        ("(이모티콘)", Reason.STICKER),
        ("삭제된 메시지입니다.", Reason.DELETED),
        ("This message was deleted.", Reason.DELETED),
        ("사진 예쁘다", None),
        ("이모티콘 샀어", None),
    ],
)
def test_placeholders(tmp_path: Path, placeholder: str, reason: Reason | None) -> None:
    (_, *said) = read(tmp_path, ANDROID_KO.replace("귀엽다", placeholder))
    assert said[3].dropped is reason


def test_numbers_that_are_no_time_belong_to_the_message_before(tmp_path: Path) -> None:
    text = PC_KO.replace("귀엽다", "귀엽다\n[점수] [오후 1:99] 틀림")
    assert read(tmp_path, text)[4].text == "귀엽다\n[점수] [오후 1:99] 틀림"
    text = ANDROID_KO.replace("귀엽다", "귀엽다\r\n2016년 13월 5일 오후 1:30, 두리 : 틀림")
    assert read(tmp_path, text)[4].text == "귀엽다\n2016년 13월 5일 오후 1:30, 두리 : 틀림"


@pytest.mark.parametrize(("clock", "hour"), [("오전 12:05", 0), ("오후 12:05", 12), ("오전 1:05", 1), ("23:05", 23)])
def test_clocks(tmp_path: Path, clock: str, hour: int) -> None:
    text = f"--------------- 2020년 6월 28일 일요일 ---------------\n[하나] [{clock}] 안녕\n"
    assert [(message.sent_at.hour, message.sent_at.minute) for message in read(tmp_path, text)] == [(hour, 5)]


def test_a_day_of_windows_begins_with_its_line(tmp_path: Path) -> None:
    days = "--------------- 2020년 6월 28일 일요일 ---------------\n[하나] [오후 11:59] 잘 자\n"
    days += "--------------- 2020년 6월 29일 월요일 ---------------\n[두리] [오전 12:01] 응\n"
    assert [message.sent_at.day for message in read(tmp_path, days)] == [28, 29]


def test_quotes_and_line_ends_of_the_macos_csv(tmp_path: Path) -> None:
    text = 'Date,User,Message\n2015-07-09 20:34:26,"두리","그가 ""응, 아니""\n라고 했어"\n'
    assert [message.text for message in read(tmp_path, text)] == ['그가 "응, 아니"\n라고 했어']


def test_what_is_written_first_is_not_what_was_said_first(tmp_path: Path) -> None:
    document = json.loads(LAYOUTS["discord-exporter json"])
    document["messages"].reverse()
    texts = [message.text for message in read(tmp_path, json.dumps(document))]
    assert (texts[1], texts[-1]) == (SAID[0][2], SAID[-1][2])


def test_names_of_files_say_nothing(tmp_path: Path) -> None:
    export = read_export(write(tmp_path, KAKAOTALK["kakaotalk-pc ko"], "result.json"))
    assert export.source == "kakaotalk-pc"
    assert isinstance(export.chats[0].messages[0], Message)
