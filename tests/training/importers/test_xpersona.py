from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.importers.samples import FIXTURES, lines, write
from training.errors import BadData
from training.importers.xpersona import import_xpersona


def test_the_sample() -> None:
    imported = import_xpersona(FIXTURES / "xpersona.json")
    assert imported.problems == ()
    first, second = imported.dialogues
    assert lines(first) == ["U 안녕, 뭐 해?", "B 강아지 산책 중이야.", "U 이름이 뭐야?", "B 보리야."]
    assert (first.persona, first.source) == (("나는 강아지를 키운다.",), "xpersona")
    assert lines(second) == ["U 주말에 뭐 했어?", "B 수영장에 갔어.", "U 재밌었어?"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (["안녕", "응"], "the dialogue is missing or not a JSON object"),
        ({"persona": []}, '"dialogue" is missing or not a list'),
        ({"persona": [], "dialogue": ["안녕"]}, 'a pair of "dialogue" is missing or not a list'),
        ({"persona": [], "dialogue": [["안녕", "응", "어"]]}, "more than two turns"),
        ({"persona": [], "dialogue": [["안녕", None]]}, 'an item of a pair of "dialogue"'),
        ({"persona": "나", "dialogue": [["안녕", "응"]]}, '"persona" is missing or not a list'),
        ({"persona": [], "dialogue": [["안녕"]]}, "no user turn is followed by a bot turn"),
    ],
)
def test_a_bad_dialogue_is_reported_and_skipped(tmp_path: Path, record: Any, reason: str) -> None:
    good = {"persona": [], "dialogue": [["안녕", "응"]]}
    imported = import_xpersona(write(tmp_path, "f.json", json.dumps([good, record, good])))
    assert len(imported.dialogues) == 2
    assert [problem.place for problem in imported.problems] == ["dialogue 2"]
    assert reason in imported.problems[0].reason


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="the document is not a list; expected XPersona JSON"):
        import_xpersona(write(tmp_path, "f.json", '{"persona": [], "dialogue": []}'))
