from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.importers.samples import FIXTURES, lines, write
from training.errors import BadData
from training.importers.personachat import import_personachat
from training.importers.records import Problem


def test_each_dialogue_is_built_once_and_without_silence() -> None:
    imported = import_personachat(FIXTURES / "personachat.json")
    assert imported.problems == ()
    first, second = imported.dialogues
    assert lines(first) == [
        "U 안녕하세요",
        "B 안녕하세요! 빵 굽다 왔어요.",
        "U 무슨 빵이요?",
        "B 식빵이요. 고양이가 구경했어요.",
    ]
    assert (first.persona, first.source) == (("나는 고양이를 키운다.", "나는 빵을 굽는다."), "personachat")
    assert lines(second) == ["U 어떤 기타요?", "B 통기타예요."]


def dialogue(**changes: Any) -> dict[str, Any]:
    entry = {"candidates": ["음", "응"], "history": ["안녕"]}
    return {"personality": ["나는 나다."], "utterances": [entry], **changes}


@pytest.mark.parametrize("mark", ["__ SILENCE __", "__SILENCE__", "__ silence __", "__ 침묵 __", " __ 침묵 __."])
def test_marks_of_silence(tmp_path: Path, mark: str) -> None:
    entry = {"candidates": ["응, 하이"], "history": [mark, "하이", "안녕"]}
    path = write(tmp_path, "f.json", json.dumps({"train": [dialogue(utterances=[entry])]}))
    assert lines(import_personachat(path).dialogues[0]) == ["U 안녕", "B 응, 하이"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("안녕", "the dialogue is missing or not a JSON object"),
        (dialogue(utterances=[]), 'the last of "utterances" is missing'),
        (dialogue(utterances=None), '"utterances" is missing or not a list'),
        (dialogue(utterances=[{"candidates": [], "history": ["안녕"]}]), "the last reply is missing"),
        (dialogue(utterances=[{"candidates": ["응"], "history": "안녕"}]), '"history" is missing or not a list'),
        (dialogue(utterances=[{"candidates": ["응"], "history": []}]), "no user turn"),
        (dialogue(personality=None), '"personality" is missing'),
    ],
)
def test_a_bad_dialogue_is_reported_and_skipped(tmp_path: Path, record: Any, reason: str) -> None:
    path = write(tmp_path, "f.json", json.dumps({"train": [dialogue()], "valid": [dialogue(), record]}))
    imported = import_personachat(path)
    assert len(imported.dialogues) == 2
    assert [problem.place for problem in imported.problems] == ["valid dialogue 2"]
    assert reason in imported.problems[0].reason


def test_a_split_that_is_no_list_is_reported(tmp_path: Path) -> None:
    imported = import_personachat(write(tmp_path, "f.json", json.dumps({"train": [dialogue()], "valid": {}})))
    assert len(imported.dialogues) == 1
    assert imported.problems == (Problem("valid", "the split is not a list"),)


@pytest.mark.parametrize("document", [[], {"data": []}, {"train": {}}])
def test_another_layout_is_refused(tmp_path: Path, document: Any) -> None:
    with pytest.raises(BadData, match="there is no list called train, valid or test; expected PERSONA-CHAT JSON"):
        import_personachat(write(tmp_path, "f.json", json.dumps(document)))
