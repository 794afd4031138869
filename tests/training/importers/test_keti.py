from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.importers.samples import FIXTURES, lines, write
from training.errors import BadData
from training.importers.keti import import_keti
from training.importers.records import Problem


def test_the_text_layout() -> None:
    imported = import_keti(FIXTURES / "keti.txt")
    assert imported.problems == ()
    assert [lines(dialogue) for dialogue in imported.dialogues] == [
        ["U 안녕", "B 안녕하세요"],
        ["U 날씨가 좋네", "B 산책하기 좋은 날이에요", "U 같이 갈래?", "B 마음으로 함께 갈게요"],
    ]
    assert imported.dialogues[0].source == "keti"


def test_the_csv_layout_in_cp949() -> None:
    imported = import_keti(FIXTURES / "keti.csv")
    assert imported.problems == ()
    assert [lines(dialogue) for dialogue in imported.dialogues] == [
        ["U 안녕", "B 안녕하세요"],
        ["U 회의실 있어?", "B 네, 3층이 비어 있어요", "U 예약해 줘", "B 예약했어요"],
        ["U 복사기 어디야?", "B 복도 끝이에요"],
    ]


def test_the_json_layout() -> None:
    imported = import_keti(FIXTURES / "keti.json")
    assert imported.problems == ()
    assert [lines(dialogue) for dialogue in imported.dialogues] == [
        ["U 회의실 있어?", "B 3층이 비어 있어요", "U 예약해 줘"],
        ["U 고마워", "B 천만에요"],
    ]


def test_a_broken_line_of_text_is_reported_and_skipped(tmp_path: Path) -> None:
    text = "제목\n1\t안녕\n-- 메모 --\n2\t안녕하세요\n1\t혼잣말\n1\t밥?\n2\t먹어요\n"
    imported = import_keti(write(tmp_path, "f.txt", text))
    assert [lines(dialogue) for dialogue in imported.dialogues] == [["U 안녕", "B 안녕하세요"], ["U 밥?", "B 먹어요"]]
    assert imported.problems == (
        Problem("line 1", "the line is not number<TAB>utterance"),
        Problem("line 3", "the line is not number<TAB>utterance"),
        Problem("line 5", "no user turn is followed by a bot turn"),
    )


def test_nothing_is_kept_after_a_missing_turn(tmp_path: Path) -> None:
    text = "3\t꼬리\n4\t꼬리\n1\t안녕\n2\t안녕하세요\n4\t길 잃은 답\n3\t늦은 말\n1\t밥?\n2\t먹어요\n"
    imported = import_keti(write(tmp_path, "f.txt", text))
    assert [lines(dialogue) for dialogue in imported.dialogues] == [["U 안녕", "B 안녕하세요"], ["U 밥?", "B 먹어요"]]
    assert imported.problems == (
        Problem("line 1", "turn 3 follows turn 0; the rest of the dialogue is left out"),
        Problem("line 5", "turn 4 follows turn 2; the rest of the dialogue is left out"),
    )


def test_a_broken_line_of_csv_ends_a_dialogue(tmp_path: Path) -> None:
    text = (
        "index,domain,user_utterance,system_utterance\n"
        '1,오피스,안녕,네\n1,오피스,"열린,네\n1,오피스,밥?,먹어요\n1,오피스,셋뿐\n2,오피스,null,NULL\n'
    )
    imported = import_keti(write(tmp_path, "f.csv", text))
    assert [lines(dialogue) for dialogue in imported.dialogues] == [["U 안녕", "B 네"], ["U 밥?", "B 먹어요"]]
    assert imported.problems == (
        Problem("line 3", "the line does not hold the 4 fields of the header"),
        Problem("line 5", "the line does not hold the 4 fields of the header"),
        Problem("line 6", "no user turn is followed by a bot turn"),
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("안녕", "the row is missing or not a JSON object"),
        ({"user_utterance": "안녕", "system_utterance": "네"}, '"index" is missing'),
        (
            {"index": 1, "user_utterance": ["안녕"], "system_utterance": "네"},
            '"user_utterance" is missing or not a string',
        ),
    ],
)
def test_a_broken_row_of_json_ends_a_dialogue(tmp_path: Path, row: Any, reason: str) -> None:
    good = {"index": 1, "domain": "일상", "user_utterance": "안녕", "system_utterance": "네"}
    imported = import_keti(write(tmp_path, "f.json", json.dumps([good, row, good])))
    assert [lines(dialogue) for dialogue in imported.dialogues] == [["U 안녕", "B 네"], ["U 안녕", "B 네"]]
    assert [problem.place for problem in imported.problems] == ["row 2"]
    assert reason in imported.problems[0].reason


def test_another_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="the header lacks one of index, user_utterance, system_utterance"):
        import_keti(write(tmp_path, "f.csv", "domain,user_utterance\n일상,안녕\n"))
    with pytest.raises(BadData, match=r"no dialogue could be read; expected KETI dialogues.*First problem: line 1"):
        import_keti(write(tmp_path, "f.csv", "a,b,c,d\n1,일상,안녕,네\n"))
