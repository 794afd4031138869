from __future__ import annotations

import random
from collections import Counter

import pytest

from model.dialogue import DialogueContext, Role, SpeechLevel, Turn
from tests.training.builders import DIALOGUES, talk
from training.corpora import load_dialogues
from training.errors import BadData
from training.examples import Dialogue, TrainingExample, examples_of, split_by_hash, with_distractors


def example(reply: str) -> TrainingExample:
    return TrainingExample(DialogueContext(turns=(Turn(Role.USER, f"{reply}?"),)), reply)


def test_each_answer_is_an_example_of_all_that_was_said_before() -> None:
    dialogue = talk("안녕", "안녕하세요!", "뭐 해?", "책 읽어요.", persona=("나는 유희다.",), source="own")
    first, second = examples_of(dialogue)
    assert (first.context.turns, first.reply) == (dialogue.turns[:1], "안녕하세요!")
    assert (second.context.turns, second.reply) == (dialogue.turns[:3], "책 읽어요.")
    assert {(e.context.persona, e.source, e.distractors) for e in (first, second)} == {(("나는 유희다.",), "own", ())}


def test_the_level_is_the_replys_own_where_it_shows_one() -> None:
    dialogue = talk("안녕", "반가워요.", "뭐 해?", "그냥 누워 있어.", "왜?", "ㅋㅋㅋ", level=SpeechLevel.HAEYO)
    levels = [found.context.speech_level for found in examples_of(dialogue)]
    assert levels == [SpeechLevel.HAEYO, SpeechLevel.BANMAL, SpeechLevel.HAEYO]


def test_the_level_is_unknown_where_neither_reply_nor_dialogue_tells() -> None:
    (only,) = examples_of(talk("안녕", "ㅋㅋㅋ"))
    assert only.context.speech_level is None


def test_a_bot_that_opens_answers_nothing() -> None:
    opened_by_bot = Dialogue((Turn(Role.BOT, "왔어요?"), Turn(Role.USER, "응"), Turn(Role.BOT, "반가워요.")))
    (only,) = examples_of(opened_by_bot)
    assert only.reply == "반가워요."
    assert only.context.turns == opened_by_bot.turns[:2]
    assert examples_of(Dialogue((Turn(Role.BOT, "왔어요?"), Turn(Role.USER, "응")))) == []


def test_distractors_are_other_replies_and_all_different() -> None:
    examples = [example(reply) for reply in ["응", "응", "응", "아니", "글쎄", "몰라"]]
    judged = with_distractors(examples, 3, random.Random(1))
    assert [(e.context, e.reply) for e in judged] == [(e.context, e.reply) for e in examples]
    for found in judged:
        assert len(set(found.distractors)) == 3
        assert found.reply not in found.distractors
        assert set(found.distractors) <= {"응", "아니", "글쎄", "몰라"}


def test_distractors_depend_on_the_seed_alone() -> None:
    examples = [example(f"{number}번이에요.") for number in range(40)]
    assert with_distractors(examples, 2, random.Random(5)) == with_distractors(examples, 2, random.Random(5))
    assert with_distractors(examples, 2, random.Random(5)) != with_distractors(examples, 2, random.Random(6))


@pytest.mark.parametrize("replies", [[], ["응"], ["응", "응", "아니", "아니"]])
def test_too_few_different_replies_are_refused(replies: list[str]) -> None:
    with pytest.raises(BadData, match="2 distractors need more than 2 different replies"):
        with_distractors([example(reply) for reply in replies], 2, random.Random(0))


def test_a_split_keeps_all_and_follows_the_first_turn_alone() -> None:
    dialogues = list(load_dialogues([str(DIALOGUES)]).dialogues)
    kept, held_out = split_by_hash(dialogues, 30)
    assert Counter(kept) + Counter(held_out) == Counter(dialogues)
    assert 0.1 < len(held_out) / len(dialogues) < 0.5
    for part, other in [(kept, held_out), (held_out, kept)]:
        copies = [talk(dialogue.turns[0].text, "전혀 다른 대답이에요.", source="copy") for dialogue in part]
        assert split_by_hash(copies, 30) == ((copies, []) if other is held_out else ([], copies))


def test_a_split_never_moves() -> None:
    """A held-out set that moved between two versions would be learnt from by the second."""
    openings = ["배고파", "안녕하세요", "심심해", "오늘 비 온다", "잘 자", "나 왔어", "영화 볼까?", "피곤해요"]
    _, held_out = split_by_hash([talk(opening, "네.") for opening in openings], 30)
    assert [dialogue.turns[0].text for dialogue in held_out] == ["안녕하세요", "오늘 비 온다", "영화 볼까?"]


@pytest.mark.parametrize(("percent", "sizes"), [(0, (5, 0)), (100, (0, 5))])
def test_the_whole_corpus_may_fall_on_one_side(percent: int, sizes: tuple[int, int]) -> None:
    kept, held_out = split_by_hash([talk(f"{number}", "네.") for number in range(5)], percent)
    assert (len(kept), len(held_out)) == sizes
