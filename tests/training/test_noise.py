from __future__ import annotations

import random

import pytest

from model.dialogue import Role, SpeechLevel, Turn
from tests.training.builders import talk
from training.examples import Dialogue
from training.noise import noisy, with_noise

LINES = (
    "오늘 점심 뭐 먹을까?",
    "회사에서 너무 힘들었어.",
    "며칠 동안 잠을 못 잤어요.",
    "이따가 전화할게!",
    "오랜만이야, 잘 지냈어?",
    "아니.",
    "응",
    "ㅋㅋㅋ",
    "?",
    "...",
    "OK",
    "😀",
)


def variants(text: str, count: int = 200) -> set[str]:
    return {noisy(text, random.Random(seed)) for seed in range(count)}


def said_by(dialogues: list[Dialogue], role: Role) -> list[str]:
    return [turn.text for dialogue in dialogues for turn in dialogue.turns if turn.role is role]


def talks(count: int = 100) -> list[Dialogue]:
    persona = ("나는 부산에 산다.",)
    return [
        talk(
            f"{number}번 버스는 어디로 가나요?",
            "시내로 가요. 타실 거예요?",
            "네, 타고 갈게요.",
            "조심히 가세요.",
            persona=persona,
            level=SpeechLevel.HAEYO,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("text", LINES)
def test_a_line_stays_a_line(text: str) -> None:
    assert all(changed.strip() and "\n" not in changed for changed in variants(text))


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("오늘 점심 뭐 먹을까?", "오늘점심뭐먹을까?"),
        ("오늘 점심 뭐 먹을까?", "오늘 점심 뭐 먹을까"),
        ("오늘 점심 뭐 먹을까?", "오늘 점심 뭐 먹을까ㅋㅋ"),
        ("오늘 점심 뭐 먹을까?", "오늘 점시 뭐 먹을까?"),
        ("며칠 동안 잠을 못 잤어요.", "몇일 동안 잠을 못 잤어요."),
        ("이따가 전화할게!", "이따가 전화할께!"),
        ("아니.", "ㄴㄴ"),
        ("응", "ㅇㅇ"),
    ],
)
def test_people_type_in_many_ways(text: str, typed: str) -> None:
    assert typed in variants(text)


def test_no_final_consonant_slips_from_a_short_line() -> None:
    assert "조아" not in variants("좋아")
    assert {text[0] for text in variants("좋아")} == {"좋"}


def test_the_words_stay_recognisable() -> None:
    for changed in variants("오늘 점심 뭐 먹을까?"):
        kept = [c for c in "오늘점심뭐먹을까" if c in changed]
        assert len(kept) >= 7, changed


def test_the_same_state_types_the_same() -> None:
    assert [noisy(text, random.Random(3)) for text in LINES] == [noisy(text, random.Random(3)) for text in LINES]
    assert with_noise(talks(), 0.5, random.Random(3)) == with_noise(talks(), 0.5, random.Random(3))
    assert with_noise(talks(), 0.5, random.Random(3)) != with_noise(talks(), 0.5, random.Random(4))


def test_the_users_turns_alone_are_changed() -> None:
    plain, typed = talks(), with_noise(talks(), 1.0, random.Random(0))
    assert said_by(typed, Role.BOT) == said_by(plain, Role.BOT)
    changed = sum(a != b for a, b in zip(said_by(plain, Role.USER), said_by(typed, Role.USER), strict=True))
    assert changed > 100, "of 200"
    for before, after in zip(plain, typed, strict=True):
        assert (after.persona, after.speech_level, after.source) == (before.persona, before.speech_level, before.source)
        assert [turn.role for turn in after.turns] == [turn.role for turn in before.turns]


def test_what_else_a_dialogue_says_of_itself_is_kept() -> None:
    turns = (Turn(Role.USER, "오늘 점심 뭐 먹을까?"), Turn(Role.BOT, "김밥!"))
    (typed,) = with_noise([Dialogue(turns, targets=(1,), id="a", person="b")], 1.0, random.Random(0))
    assert (typed.targets, typed.id, typed.person) == ((1,), "a", "b")


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.3, 25, 60)])
def test_a_share_of_the_turns_is_changed(share: float, least: int, most: int) -> None:
    plain = said_by(talks(), Role.USER)
    typed = said_by(with_noise(talks(), share, random.Random(0)), Role.USER)
    assert least <= sum(a != b for a, b in zip(plain, typed, strict=True)) <= most
