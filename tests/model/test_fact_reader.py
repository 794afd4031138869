from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.dialogue import DialogueContext
from model.errors import BadCheckpoint
from model.fact_reader import Asked, FactReader
from tests.model.builders import user_last
from tests.model.embedders import (
    WAYS_TO_DAMAGE,
    Array,
    BigramEmbedder,
    FixedEmbedder,
    damaged,
    no_lines,
    plain_reader,
)

# First number: whether it asks about the bot; the others: what about.
PLANE = FixedEmbedder(
    {
        "이름이 뭐야?": (0.6, 0.8, 0),
        "어디 살아?": (0.6, 0, 0.8),
        "이름 얘기 그만해": (0.6, 0.8, 0),
        "이름 얘기 그만할까?": (-0.6, 0.8, 0),
        "이름 말해줘": (0.6, 0.8, 0),
        "뭐 타고 다녀?": (0.99, 0.0, 0.1),
        "내 이름은 유희다.": (0, 1, 0),
        "나는 부산에 산다.": (0, 0, 1),
    }
)
FACTS = ("내 이름은 유희다.", "나는 부산에 산다.")


def weights(bias: float = 0.0, fit_bias: float = 0.0) -> dict[str, Array]:
    asks = np.zeros(384, np.float32)
    asks[0] = 10
    return plain_reader(asks, bias, fit_bias=fit_bias)


def reader(bias: float = 0.0, fit_bias: float = 0.0) -> FactReader:
    return FactReader(weights(bias, fit_bias), no_lines(PLANE))


def asked(*texts: str, persona: tuple[str, ...] = FACTS) -> DialogueContext:
    return DialogueContext(persona, user_last(*texts))


@pytest.mark.parametrize(("question", "fact"), [("이름이 뭐야?", FACTS[0]), ("어디 살아?", FACTS[1])])
@pytest.mark.parametrize("persona", [FACTS, FACTS[::-1]])
def test_a_question_finds_its_fact(question: str, fact: str, persona: tuple[str, ...]) -> None:
    found = reader().asked(asked(question, persona=persona))
    assert found is not None
    assert found.fact == fact
    assert (found.asks, found.fit) == pytest.approx((6, 0.8), abs=1e-4)


def test_a_question_that_no_fact_answers_is_unlikely_to_ask_for_one() -> None:
    chances = []
    for said in ("이름이 뭐야?", "뭐 타고 다녀?", "이름 얘기 그만할까?"):
        found = reader(fit_bias=-0.5).asked(asked(said))
        assert found is not None
        chances.append(found.chance)
    question, without_a_fact, about_something_else = chances
    assert about_something_else < 0.01 < without_a_fact < question


def test_what_is_no_question_asks_for_nothing() -> None:
    assert reader().asked(asked("이름 얘기 그만해")) is None
    assert reader().asked(asked("이름 말해줘")) is not None


def test_both_have_to_hold_question_and_fit() -> None:
    assert Asked("가", 0.0, 0.0).chance == 0.25
    assert Asked("가", 20.0, 0.0).chance == pytest.approx(0.5)
    assert Asked("가", 0.0, 20.0).chance == pytest.approx(0.5)
    assert Asked("가", 20.0, 20.0).chance == pytest.approx(1)
    assert Asked("가", -20.0, 20.0).chance == pytest.approx(0, abs=1e-6)


def test_the_biases_are_added() -> None:
    found = reader(bias=-6.5, fit_bias=2.0).asked(asked("이름이 뭐야?"))
    assert found is not None
    assert (found.asks, found.fit) == pytest.approx((-0.5, 2.8), abs=1e-4)


def test_the_low_rank_map_leads_from_words_to_facts() -> None:
    led = weights()
    led["scale"] = np.asarray(2.0, np.float32)
    led["down"][1, 0] = 1.0
    led["up"][0, 2] = 5.0
    found = FactReader(led, no_lines(PLANE)).asked(asked("이름이 뭐야?"))
    assert found is not None
    assert found.fact == FACTS[1]
    assert (found.asks, found.fit) == pytest.approx((6, 0.8 * 5), abs=1e-4)


def test_without_a_persona_or_a_turn_nothing_is_asked_for() -> None:
    assert reader().asked(asked("이름이 뭐야?", persona=())) is None
    assert reader().asked(DialogueContext(FACTS)) is None


def test_the_newest_turn_alone_is_read() -> None:
    embedder = BigramEmbedder()
    FactReader(weights(), no_lines(embedder)).asked(asked("어디 살아?", "글쎄.", "이름이 뭐야?"))
    assert embedder.embedded == ["이름이 뭐야?", *FACTS]


def saved(path: Path) -> Path:
    np.savez(path, **weights())  # type: ignore[arg-type]  # numpy's stub takes its own option here
    return path


def test_a_file_gives_what_its_weights_find(tmp_path: Path) -> None:
    loaded = FactReader.load(saved(tmp_path / "f.npz"), no_lines(PLANE))
    assert loaded.asked(asked("어디 살아?")) == reader().asked(asked("어디 살아?"))


@pytest.mark.parametrize("how", WAYS_TO_DAMAGE)
def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, how: str) -> None:
    path = damaged(saved(tmp_path / "f.npz"), how)
    with pytest.raises(BadCheckpoint, match=r"f\.npz cannot be read .*training\.fact_reader\.$"):
        FactReader.load(path, no_lines())


@pytest.mark.parametrize("lost", ["hidden", "asks", "fit.bias"])
def test_a_file_without_one_of_the_weights_is_refused(tmp_path: Path, lost: str) -> None:
    np.savez(tmp_path / "f.npz", **{n: v for n, v in weights().items() if n != lost})  # type: ignore[arg-type]
    with pytest.raises(BadCheckpoint, match=lost):
        FactReader.load(tmp_path / "f.npz", no_lines())
