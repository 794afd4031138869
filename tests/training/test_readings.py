from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from model import finder as finders
from model.dialogue import DEFAULT_PERSONA, Candidate, DialogueContext, Finish, Role, Source, SpeechLevel, Turn
from model.restate import restate
from tests.training.builders import invoke, save_tiny, talk
from training import readings as commands
from training.corpora import write_dialogues
from training.errors import BadData
from training.readings import (
    EVALUATION,
    PersonaQuestion,
    answered_openings,
    persona_questions,
    read_records,
    talked_through,
)

QUESTION = {
    "persona": ["내 이름은 유희다.", "나는 부산에 산다."],
    "question": "어디 살아요?",
    "speech": "해요체",
    "accept": ["부산"],
}
OPENINGS = [{"id": 1, "speech": "해요체", "text": "안녕하세요"}, {"id": 2, "speech": "반말", "text": "뭐 해?"}]
TALKS = [
    {"id": 1, "speech": "반말", "persona": ["나는 부산에 산다."], "lines": ["안녕", "뭐 해?", "그래"]},
    {"id": 2, "speech": "해요체", "persona": [], "lines": ["반가워요", "배고파요", "네"]},
]


class Echo:
    """Answers with its name, what was said last, and how many turns there were."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[list[DialogueContext]] = []

    def __call__(self, contexts: Sequence[DialogueContext]) -> list[Candidate]:
        self.asked.append(list(contexts))
        return [
            Candidate(f"{self.name}: {context.turns[-1].text} {len(context.turns)}", Source.FIXED, Finish.STOP)
            for context in contexts
        ]


def write_jsonl(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("reply", "answered"),
    [
        ("부산 살아요.", True),
        ("저는 서울 사람이에요.", False),
        ("스물 셋이에요.", True),
        ("I live in Busan!", True),
        ("", False),
    ],
)
def test_an_answer_tells_the_fact_in_any_accepted_form(reply: str, answered: bool) -> None:
    question = PersonaQuestion(DialogueContext(), ("부산", "스물셋", "BUSAN", "in busan"))
    assert question.is_answered(reply) is answered


def test_questions_are_read_as_conversations(tmp_path: Path) -> None:
    (question,) = persona_questions(write_jsonl(tmp_path / "q.jsonl", [QUESTION]))
    turns = (Turn(Role.USER, "어디 살아요?"),)
    persona = ("내 이름은 유희다.", "나는 부산에 산다.")
    assert question == PersonaQuestion(DialogueContext(persona, turns, SpeechLevel.HAEYO), ("부산",))


@pytest.mark.parametrize("content", [None, "{not json\n"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "q.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(BadData, match=r"q\.jsonl: cannot be read"):
        read_records(tmp_path / "q.jsonl")


def test_every_opening_is_answered_by_every_system() -> None:
    first, second = Echo("a"), Echo("b")
    found = answered_openings({"first": first, "second": second}, OPENINGS)
    assert found[1] == OPENINGS[1] | {
        "replies": {
            "first": {"text": "a: 뭐 해? 1", "source": "fixed"},
            "second": {"text": "b: 뭐 해? 1", "source": "fixed"},
        }
    }
    (contexts,) = first.asked
    assert [context.persona for context in contexts] == [DEFAULT_PERSONA] * 2
    assert [context.speech_level for context in contexts] == [SpeechLevel.HAEYO, SpeechLevel.BANMAL]


def test_a_conversation_goes_on_with_what_the_system_itself_said() -> None:
    system, other = Echo("a"), Echo("b")
    found = talked_through({"own": system, "other": other}, TALKS)
    assert [line["text"] for line in found[0]["replies"]["own"]] == ["a: 안녕 1", "a: 뭐 해? 3", "a: 그래 5"]
    assert [line["text"] for line in found[1]["replies"]["other"]] == ["b: 반가워요 1", "b: 배고파요 3", "b: 네 5"]
    last = system.asked[-1][0]
    assert last.turns == (
        Turn(Role.USER, "안녕"),
        Turn(Role.BOT, "a: 안녕 1"),
        Turn(Role.USER, "뭐 해?"),
        Turn(Role.BOT, "a: 뭐 해? 3"),
        Turn(Role.USER, "그래"),
    )
    assert (last.persona, last.speech_level) == (("나는 부산에 산다.",), SpeechLevel.BANMAL)
    assert {name: value for name, value in found[0].items() if name != "replies"} == TALKS[0]
    assert "replies" not in TALKS[0]


def test_the_files_that_are_measured_on_are_whole() -> None:
    questions = persona_questions(EVALUATION / "persona_questions.jsonl")
    assert len(questions) >= 50
    for question in questions:
        restated = [restate(fact, SpeechLevel.HAEYO) or fact for fact in question.context.persona]
        answering = [said for said in (*restated, *question.context.persona) if question.is_answered(said)]
        assert answering, question
        assert not question.is_answered(question.context.turns[0].text), question
    openings = read_records(EVALUATION / "openings.jsonl")
    assert all(record["text"].strip() and SpeechLevel(record["speech"]) for record in openings)
    talks = read_records(EVALUATION / "conversations.jsonl")
    assert {len(record["lines"]) for record in talks} == {5}
    assert all(isinstance(record["persona"], list) and SpeechLevel(record["speech"]) for record in talks)


@pytest.mark.slow
def test_the_command_writes_what_every_system_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finders, "load_embedder", lambda threads: None)
    evaluation, data = tmp_path / "evaluation", tmp_path / "data"
    evaluation.mkdir()
    data.mkdir()
    write_dialogues([talk("어디 살아요?", "부산 살아요.", level=SpeechLevel.HAEYO)], data / "own.jsonl")
    write_jsonl(evaluation / "openings.jsonl", OPENINGS)
    write_jsonl(evaluation / "conversations.jsonl", TALKS)
    write_jsonl(evaluation / "persona_questions.jsonl", [QUESTION, QUESTION | {"accept": ["제주"]}])
    model = save_tiny(tmp_path / "model")
    result = invoke(
        commands.app, "--model", model, "--out", tmp_path / "out", "--evaluation", evaluation, "--data", data
    )
    assert result.exit_code == 0
    openings, talks = (read_records(tmp_path / "out" / name) for name in ("openings.jsonl", "conversations.jsonl"))
    assert [set(record["replies"]) for record in openings] == [{"served", "retrieval", "generator"}] * 2
    assert [len(lines) for record in talks for lines in record["replies"].values()] == [3] * 6
    rows = {line.split()[1]: line for line in result.stdout.splitlines() if " of 2" in line}
    assert set(rows) == {"served", "retrieval", "generator"}
    assert "1 of 2" in rows["retrieval"]
    assert "1 of 2" in rows["served"]


def test_a_missing_file_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "systems_of", lambda checkpoint, folder: {"own": Echo("a")})
    model = save_tiny(tmp_path / "model")
    result = invoke(commands.app, "--model", model, "--out", tmp_path / "out", "--evaluation", tmp_path)
    assert result.exit_code == 2
    assert "openings.jsonl: cannot be read" in result.stderr
