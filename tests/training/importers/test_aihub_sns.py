from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.importers.samples import FIXTURES, lines, write
from training.errors import BadData
from training.importers.aihub_sns import import_aihub_sns
from training.importers.records import Imported, Problem


def test_the_sample() -> None:
    imported = import_aihub_sns(FIXTURES / "aihub_sns.json")
    assert [lines(dialogue) for dialogue in imported.dialogues] == [
        ["U 뭐 먹지 배고파ㅠㅠ", "B 떡볶이 어때", "U 좋아"],
        ["U 주말에 뭐 해?", "B 집에 있지"],
        ["U 여기 가자", "B 어디야?"],
    ]
    assert imported.problems == (
        Problem("dialogue 2", "utterances left out for #@시스템#사진#, #@이름#: 2; dialogues made of the rest: 2"),
        Problem("dialogue 3", "it has 3 participants; only dialogues of two are read"),
    )
    assert imported.dialogues[0].source == "aihub-sns"


def imported(folder: Path, *dialogues: Any) -> Imported:
    return import_aihub_sns(write(folder, "f.json", json.dumps({"data": dialogues})))


def talk(*texts: str) -> dict[str, Any]:
    return {"body": [{"participantID": f"P{index % 2}", "utterance": text} for index, text in enumerate(texts)]}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("#@이름#아 안녕", "안녕"),
        ("#@이름#야, 안녕", "안녕"),
        ("안녕#@이모티콘##@이모티콘#", "안녕"),
        ("#@이모티콘#하트#안녕", "안녕"),
        ("#@이모티콘#안#@이모티콘#녕", "안 녕"),
        ("우리 #1 안녕@", "우리 #1 안녕@"),
    ],
)
def test_marks_without_which_an_utterance_says_the_same(tmp_path: Path, text: str, kept: str) -> None:
    result = imported(tmp_path, talk(text, "응"))
    assert [lines(dialogue) for dialogue in result.dialogues] == [[f"U {kept}", "B 응"]]
    assert result.problems == ()


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("#@이름#야?", "#@이름#"),
        ("나 #@이름#야", "#@이름#"),
        ("#@이름#이랑 #@이름#이 와", "#@이름#"),
        ("#@시스템#동영상#", "#@시스템#동영상#"),
        ("#@시스템#", "#@시스템#"),
        ("#@URL# 봐", "#@URL#"),
        ("#@전번#으로 해", "#@전번#"),
    ],
)
def test_marks_that_hide_what_was_said_cut_a_dialogue(tmp_path: Path, text: str, mark: str) -> None:
    result = imported(tmp_path, talk("안녕", "응", text, "왜?", "그냥"))
    assert [lines(dialogue) for dialogue in result.dialogues] == [["U 안녕", "B 응"], ["U 왜?", "B 그냥"]]
    assert result.problems == (
        Problem("dialogue 1", f"utterances left out for {mark}: 1; dialogues made of the rest: 2"),
    )


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "the dialogue is missing or not a JSON object"),
        ({}, '"body" is missing or not a list'),
        ({"body": ["안녕"]}, 'an item of "body" is missing'),
        ({"body": [{"utterance": "안녕"}]}, '"participantID" is missing'),
        ({"body": [{"participantID": "P01", "utterance": None}]}, '"utterance" is missing'),
        (talk("안녕"), "it has 1 participants"),
        (talk("#@이모티콘#", "안녕"), "no user turn is followed by a bot turn"),
    ],
)
def test_a_bad_dialogue_is_reported_and_skipped(tmp_path: Path, record: Any, reason: str) -> None:
    result = imported(tmp_path, talk("안녕", "응"), record, talk("안녕", "응"))
    assert len(result.dialogues) == 2
    assert [problem.place for problem in result.problems] == ["dialogue 2"]
    assert reason in result.problems[0].reason


@pytest.mark.parametrize("document", [[], {"data": {}}, {"body": []}])
def test_another_layout_is_refused(tmp_path: Path, document: Any) -> None:
    with pytest.raises(BadData, match='there is no list "data"; expected AI Hub SNS JSON'):
        import_aihub_sns(write(tmp_path, "f.json", json.dumps(document)))
