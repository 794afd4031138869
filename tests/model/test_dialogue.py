from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from model.dialogue import DEFAULT_PERSONA, DialogueContext, Role, Sampling, Turn
from model.speech_level import speech_level_of
from model.text import clean_text


@pytest.mark.parametrize(
    ("field", "wrong", "right"),
    [
        ("temperature", -0.1, 0),
        ("top_k", -1, 0),
        ("top_p", 0, 1),
        ("top_p", 1.01, 0.01),
        ("repetition_penalty", 0, 0.5),
        ("max_new_tokens", 0, 1),
        ("candidates", 0, 1),
        ("candidates", 17, 16),
        ("temperature", float("nan"), 2),
    ],
)
def test_a_sampling_that_makes_no_sense_is_refused_with_its_field_named(field: str, wrong: Any, right: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field} must be"):
        Sampling(**{field: wrong})
    assert getattr(Sampling(**{field: right}), field) == right


def test_what_was_said_before_are_the_bots_turns_and_what_is_to_be_avoided() -> None:
    turns = (Turn(Role.USER, "안녕"), Turn(Role.BOT, "안녕하세요!"), Turn(Role.USER, "뭐 해?"))
    context = DialogueContext(turns=turns, avoid=("쉬어요.",))
    assert context.said_before() == ("안녕하세요!", "쉬어요.")
    assert DialogueContext().said_before() == ()


def test_values_are_frozen_and_equal_by_content() -> None:
    turn = Turn(Role.USER, "안녕")
    with pytest.raises(FrozenInstanceError):
        turn.text = "바꿈"  # type: ignore[misc]
    assert {DialogueContext(turns=(turn,)), DialogueContext(turns=(Turn(Role.USER, "안녕"),))} == {
        DialogueContext(turns=(turn,))
    }


def test_the_default_persona_is_clean_and_tells_a_name() -> None:
    assert DEFAULT_PERSONA[0] == "내 이름은 유희다."
    assert [clean_text(fact) for fact in DEFAULT_PERSONA] == list(DEFAULT_PERSONA)
    assert all(speech_level_of(fact) is not None for fact in DEFAULT_PERSONA)
