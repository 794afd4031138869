"""Cut files, wrong encodings, other formats: a clear sentence, and never a message that was not written so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.chats.samples import ANDROID_KO, DISCORD_CSV, KAKAOTALK, LAYOUTS, PC_KO, TELEGRAM, read, write
from training.chats.detection import SUPPORTED, read_export
from training.chats.messages import Reason
from training.errors import BadData

JSON_LAYOUTS = ("telegram-desktop", "discord-exporter json")
LINES = KAKAOTALK | {"discord-exporter csv": DISCORD_CSV}


@pytest.mark.parametrize("layout", JSON_LAYOUTS)
def test_json_that_is_cut_anywhere_says_so(tmp_path: Path, layout: str) -> None:
    data = LAYOUTS[layout].encode()
    for end in range(10, len(data), 7):
        with pytest.raises(BadData, match=r"is cut; export the chat again\.$"):
            read_export(write(tmp_path, data[:end]))


@pytest.mark.parametrize("layout", sorted(LINES))
def test_lines_that_are_cut_anywhere_never_become_other_messages(tmp_path: Path, layout: str) -> None:
    data = LINES[layout].encode()
    # A cut at a line's end inside a message of several lines is the one that nothing shows.
    texts = {(message.sender, message.text) for message in read(tmp_path, data)} | {("회원님", "그냥 쉬었어")}
    texts |= {(sender, "그냥 쉬었어") for sender in ("you", "You", "하나")}
    refused = 0
    for end in range(len(data)):
        try:
            messages = read(tmp_path, data[:end])
        except BadData:
            refused += 1
            continue
        kept = [(message.sender, message.text) for message in messages if not message.dropped]
        assert set(kept) <= texts, data[:end].decode()[-60:]
    assert refused > len(data) // 3


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (ANDROID_KO, "1:35, 회원님"),
        (ANDROID_KO, "2016년 2월 5일 오후 1:3"),
        (PC_KO, "[하나] [오후 1:3"),
        (PC_KO, "[하나"),
    ],
)
def test_a_line_cut_before_its_text(tmp_path: Path, text: str, end: str) -> None:
    with pytest.raises(BadData, match="ends in the middle of a line: it is cut"):
        read(tmp_path, text[: text.rindex(end) + len(end)])


def test_a_line_cut_in_its_text_is_not_used(tmp_path: Path) -> None:
    messages = read(tmp_path, ANDROID_KO[: ANDROID_KO.index("이러지")])
    assert [message.dropped for message in messages][-2:] == [None, Reason.CUT]


@pytest.mark.parametrize("layout", sorted(LINES))
def test_a_character_cut_in_half(tmp_path: Path, layout: str) -> None:
    data = LINES[layout].encode()
    with pytest.raises(BadData, match="ends in the middle of a character: it is cut"):
        read(tmp_path, data[: data.rindex("봐".encode()) + 1] if "봐".encode() in data else data[:-1])


@pytest.mark.parametrize("layout", ["kakaotalk-android ko", "kakaotalk-pc ko", "kakaotalk-macos", "telegram-desktop"])
@pytest.mark.parametrize(("encoding", "told"), [("cp949", "cp949"), ("utf-16", "UTF-16")])
def test_other_encodings_are_read_where_they_are_sure(tmp_path: Path, layout: str, encoding: str, told: str) -> None:
    text = LAYOUTS[layout].removeprefix("\ufeff").replace("🙂", "")
    expected = read(tmp_path, text)
    assert read(tmp_path, text.encode(encoding)) == expected
    (note,) = read_export(write(tmp_path, text.encode(encoding))).notes
    assert note == f"the file is no UTF-8; it was read as {told}, which fits throughout"


def test_damaged_utf_8_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    data = ANDROID_KO.encode()
    middle = data.index("귀엽다".encode())
    with pytest.raises(BadData, match="some bytes are no UTF-8: the file is damaged"):
        read(tmp_path, data[:middle] + b"\xff" + data[middle:])


def test_a_damaged_cp949_file(tmp_path: Path) -> None:
    data = PC_KO.encode("cp949")
    with pytest.raises(BadData, match="neither UTF-8 nor cp949; open it in an editor"):
        read(tmp_path, data.replace("귀엽다".encode("cp949"), b"\xff\xff\xff"))
    with pytest.raises(BadData, match="ends in the middle of a character"):
        read(tmp_path, data[: data.rindex("봐".encode("cp949")) + 1])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \r\n", "the file is empty"),
        (PC_KO.encode("utf-16-le"), "in UTF-16 without its mark"),
        (PC_KO.encode("utf-16")[:-1], "ends in the middle of a character"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "this is not a text file"),
        ("안녕\n잘 지내?\n".encode(), "the format of this file is not known; supported are KakaoTalk"),
        ("Q,A,label\n안녕,응,0\n".encode(), "the format of this file is not known; supported are KakaoTalk"),
        (b'{"data": []}', "this JSON is of no known format; supported are KakaoTalk"),
        (b"[[1]]", "the format of this file is not known"),
        (b'{"a" 1, "b": "long enough not to be the end"}', "this is not whole JSON"),
        (b'[{"ID":1,"Timestamp":"2021-10-13 15:35:46","Contents":"a","Attachments":""}]', "your own messages only"),
        (b"ID,Timestamp,Contents,Attachments\n1,2021-10-13,a,\n", "your own messages only"),
        (b'{"name":"a","type":"personal_chat","id":1,"messages":{}}', '"messages" is missing or not a list'),
        (b'{"guild":{},"channel":{},"messages":[1]}', "a message is missing or not a JSON object"),
        (b'Date,User,Message\n2015-07-09,"a","b"\nx,"c","d"\n', "'x' is no time"),
        (b'Date,User,Message\n2015-07-09,"a"\n2015-07-09,"a","b"\n', "line 2: the row cannot be read"),
        (b'Date,User,Message\n2015-07-09,"a","b"c\n2015-07-09,"a","b"\n', "line 2: the row cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    with pytest.raises(BadData, match=sentence) as caught:
        read_export(write(tmp_path, data))
    assert str(caught.value).endswith(".")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="there is no such file"):
        read_export(tmp_path / "none")
    with pytest.raises(BadData, match="this is a folder"):
        read_export(tmp_path)


def test_json_nested_beyond_reason(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="of no known format"):
        read_export(write(tmp_path, '{"a":' + "[" * 200_000 + "]" * 200_000 + "}"))


def test_every_supported_source_is_named() -> None:
    assert all(name in SUPPORTED for name in ("KakaoTalk", "Android", "iOS", "Windows", "macOS", "Telegram", "Discord"))
    assert json.loads(TELEGRAM)["type"] == "personal_chat"
