from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.dialogue import Role, SpeechLevel
from tests.training.importers.samples import lines
from training.errors import BadData
from training.importers.records import BadRecord, Imported, Problem, attempt, collect, make_dialogue


def test_turns_of_one_speaker_become_one_and_empty_ones_go() -> None:
    said = [
        (Role.USER, "안녕"),
        (Role.USER, " \u200b "),
        (Role.USER, "뭐\n해?"),
        (Role.BOT, ""),
        (Role.BOT, "쉬어ㅋㅋㅋㅋㅋㅋ"),
    ]
    assert lines(make_dialogue(said, "x")) == ["U 안녕 뭐 해?", "B 쉬어ㅋㅋㅋ"]


def test_an_empty_turn_between_two_of_the_other_speaker_joins_them() -> None:
    said = [(Role.USER, "안녕"), (Role.BOT, " "), (Role.USER, "있어?"), (Role.BOT, "응")]
    assert lines(make_dialogue(said, "x")) == ["U 안녕 있어?", "B 응"]


def test_what_the_bot_says_first_is_dropped() -> None:
    said = [(Role.BOT, "왔어?"), (Role.USER, "응"), (Role.BOT, "잘 왔어"), (Role.USER, "고마워")]
    assert lines(make_dialogue(said, "x")) == ["U 응", "B 잘 왔어", "U 고마워"]


def test_persona_speech_level_and_source_are_kept() -> None:
    said = [(Role.USER, "안녕"), (Role.BOT, "응")]
    dialogue = make_dialogue(said, "x", persona=["나는  빵을 굽는다.", " "], speech_level=SpeechLevel.BANMAL)
    assert (dialogue.persona, dialogue.speech_level, dialogue.source) == (
        ("나는 빵을 굽는다.",),
        SpeechLevel.BANMAL,
        "x",
    )


@pytest.mark.parametrize(
    "said",
    [
        [],
        [(Role.USER, "안녕")],
        [(Role.BOT, "왔어?"), (Role.USER, "응")],
        [(Role.BOT, "왔어?"), (Role.BOT, "응?")],
        [(Role.USER, "안녕"), (Role.BOT, "\u200b")],
    ],
)
def test_a_dialogue_without_an_answer_is_refused(said: list[tuple[Role, str]]) -> None:
    with pytest.raises(BadRecord, match="no user turn is followed by a bot turn"):
        make_dialogue(said, "x")


def test_a_text_that_could_not_be_decoded_is_refused() -> None:
    with pytest.raises(BadRecord, match="cannot be read"):
        make_dialogue([(Role.USER, "안\ufffd"), (Role.BOT, "응")], "x")


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(Role), st.text(max_size=5)), max_size=8))
def test_every_dialogue_keeps_the_shape_training_expects(said: list[tuple[Role, str]]) -> None:
    item = attempt("line 1", lambda value: make_dialogue(value, "x"), said)
    if isinstance(item, Problem):
        return
    assert item.turns[0].role is Role.USER
    assert len(item.turns) >= 2
    assert all(first.role is not second.role for first, second in pairwise(item.turns))
    assert all(turn.text == turn.text.strip() != "" for turn in item.turns)


def test_collect_sorts_dialogues_from_problems() -> None:
    dialogue = make_dialogue([(Role.USER, "안녕"), (Role.BOT, "응")], "x")
    problem = Problem("line 2", "no")
    assert collect(Path("f"), [dialogue, problem, dialogue], "words") == Imported((dialogue, dialogue), (problem,))


def test_a_file_without_dialogues_is_refused_with_its_first_problem() -> None:
    with pytest.raises(BadData, match=r"^f: no dialogue could be read; expected words\. First problem: line 2: no\.$"):
        collect(Path("f"), [Problem("line 2", "no"), Problem("line 3", "nor this")], "words")
    with pytest.raises(BadData, match=r"^f: no dialogue could be read; expected words\.$"):
        collect(Path("f"), [], "words")
