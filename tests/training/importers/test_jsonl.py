from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from model.dialogue import SpeechLevel
from tests.training.importers.samples import FIXTURES, lines, write
from training.importers.jsonl import import_jsonl
from training.importers.records import Problem

GOOD = '{"turns": [{"speaker": "user", "text": "안녕"}, {"speaker": "bot", "text": "반가워"}]}'


def test_the_sample() -> None:
    imported = import_jsonl(FIXTURES / "own.jsonl")
    assert imported.problems == ()
    first, second, third = imported.dialogues
    assert lines(first) == ["U 오늘 비 온대요", "B 우산 챙기셨어요?", "U 아차", "B 편의점 우산도 있어요."]
    assert first.persona == ("내 이름은 유희다.", "나는 비 오는 날을 좋아한다.")
    assert (first.speech_level, first.source) == (SpeechLevel.HAEYO, "jsonl")
    assert lines(second) == ["U 누가 오는 게 아니요?", "B 바람이겠지."]
    assert (second.persona, second.speech_level, second.source) == ((), None, "novel")
    assert (lines(third), third.speech_level) == (["U 응 배고파", "B 라면 먹자"], SpeechLevel.BANMAL)


def test_packed_by_xz(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl.xz"
    path.write_bytes(lzma.compress((FIXTURES / "own.jsonl").read_bytes()))
    assert import_jsonl(path) == import_jsonl(FIXTURES / "own.jsonl")


def test_who_opens_among_a_and_b_is_the_user(tmp_path: Path) -> None:
    turns = [{"speaker": speaker, "text": speaker} for speaker in "baab"]
    imported = import_jsonl(write(tmp_path, "f.jsonl", json.dumps({"turns": turns})))
    assert lines(imported.dialogues[0]) == ["U b", "B a a", "U b"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "the line is not JSON"),
        ("[]", "the line is missing or not a JSON object"),
        ("{}", '"turns" is missing or not a list'),
        ('{"turns": []}', "no user turn is followed by a bot turn"),
        ('{"turns": ["안녕"]}', "a turn is missing or not a JSON object"),
        ('{"turns": [{"text": "안녕"}]}', '"speaker" is missing'),
        ('{"turns": [{"speaker": "user"}]}', '"text" is missing'),
        (GOOD.replace('"bot"', '"b"'), "the speakers must be"),
        (GOOD.replace('"bot"', '"system"'), "the speakers must be"),
        (GOOD.replace("반가워", "\ufffd"), "characters that cannot be read"),
        (GOOD.replace("{", '{"speech": "존댓말", ', 1), '"speech" must be one of 해요체, 반말'),
        (GOOD.replace("{", '{"speech": ["반말"], ', 1), '"speech" must be'),
        (GOOD.replace("{", '{"persona": "나", ', 1), '"persona" is missing or not a list'),
        (GOOD.replace("{", '{"persona": [1], ', 1), 'an item of "persona" is missing or not a string'),
        (GOOD.replace("{", '{"source": 1, ', 1), '"source" is missing or not a string'),
    ],
)
def test_a_bad_line_is_reported_and_skipped(tmp_path: Path, line: str, reason: str) -> None:
    imported = import_jsonl(write(tmp_path, "f.jsonl", f"{GOOD}\n\n{line}\n{GOOD}\n"))
    assert len(imported.dialogues) == 2
    assert [problem.place for problem in imported.problems] == ["line 3"]
    assert reason in imported.problems[0].reason


def test_a_line_with_a_broken_byte_is_reported_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(f"{GOOD}\n".encode() + GOOD.encode().replace("안".encode(), b"\xec\x95") + b"\n")
    imported = import_jsonl(path)
    assert [lines(dialogue) for dialogue in imported.dialogues] == [["U 안녕", "B 반가워"]]
    assert imported.problems == (Problem("line 2", "the text holds characters that cannot be read"),)
