from __future__ import annotations

import random
from collections import Counter

import pytest

from model.dialogue import Role, SpeechLevel
from model.lines import normalise
from tests.training.builders import talk
from training.examples import Dialogue
from training.slots import VALUES, ending, multiplied, with_other_values

# What follows a value that ends in a vowel, in ㄹ, in another consonant.
AFTER = {
    "open": ("를", "가", "예요", "로"),
    "ㄹ": ("을", "이", "이에요", "로"),
    "closed": ("을", "이", "이에요", "으로"),
}


def swapped(dialogue: Dialogue, count: int = 60) -> list[Dialogue]:
    """Variants with other values, whatever was drawn."""
    return multiplied([dialogue], count, random.Random(0))


def texts(dialogue: Dialogue) -> list[str]:
    return [*dialogue.persona, *(turn.text for turn in dialogue.turns)]


@pytest.mark.parametrize(
    ("word", "expected"),
    [("고양이", "open"), ("서울", "ㄹ"), ("부산", "closed"), ("빨간색", "closed"), ("두부", "open")],
)
def test_particles_depend_on_the_last_sound(word: str, expected: str) -> None:
    assert ending(word) == expected


def test_a_value_is_replaced_in_fact_and_talk_alike() -> None:
    pets = talk("키우는 동물 있어요?", "고양이를 키워요. 고양이는 귀여워요.", persona=("나는 고양이를 키운다.",))
    found = swapped(pets)
    values = {variant.persona[0].removeprefix("나는 ").removesuffix("를 키운다.") for variant in found}
    assert len(values) > 5
    assert values <= set(VALUES["animal"]) - {"고양이"}
    for variant in found:
        animal = variant.persona[0].removeprefix("나는 ").removesuffix("를 키운다.")
        assert variant.turns[1].text == f"{animal}를 키워요. {animal}는 귀여워요."
        assert variant.turns[0] == pets.turns[0]


@pytest.mark.parametrize("value", ["떡볶이", "서른둘", "부산"])
def test_particles_after_the_new_value_stay_right(value: str) -> None:
    obj, subject, copula, towards = AFTER[ending(value)]
    said = f"{value}{obj} 좋아해요. {value}{subject} 최고예요. {value}{towards} 가요. {value}{copula}."
    kind = next(kind for kind, values in VALUES.items() if value in values)
    found = swapped(talk("뭐 좋아해요?", said, persona=(f"나는 {value}{obj} 좋아한다.",)))
    assert len({variant.turns[1].text for variant in found}) >= 2
    for variant in found:
        new = variant.turns[1].text.split(".")[3].strip().removesuffix(copula)
        assert new in VALUES[kind]
        assert ending(new) == ending(value)
        assert variant.turns[1].text == said.replace(value, new)
        assert variant.persona == (f"나는 {new}{obj} 좋아한다.",)


def test_every_value_ends_in_a_syllable_and_stands_once_in_its_kind() -> None:
    for kind, values in VALUES.items():
        assert {"가" <= value[-1] <= "힣" for value in values} == {True}, kind
        assert [value for value, times in Counter(values).items() if times > 1] == [], kind


def test_where_no_other_value_ends_alike_there_is_none() -> None:
    assert [place for place in VALUES["place"] if ending(place) == "ㄹ"] == ["서울"]
    assert swapped(talk("어디 살아요?", "서울에 살아요.", persona=("나는 서울에 산다.",))) == []


def test_where_fact_and_reply_share_no_value_there_is_none() -> None:
    none = [
        talk("안녕하세요", "반가워요.", persona=("나는 부산에 산다.",)),
        talk("부산 사세요?", "네, 맞아요.", persona=("나는 부산에 산다.",)),
        talk("어디 사세요?", "부산에 살아요."),
        talk("뭐 좋아해요?", "산책이요.", persona=("나는 산책을 좋아한다.",)),
    ]
    assert [with_other_values(dialogue, random.Random(0)) for dialogue in none] == [None] * 4
    assert multiplied(none, 3, random.Random(0)) == []


@pytest.mark.parametrize(
    ("fact", "reply"),
    [
        ("나는 부산역에서 일한다.", "부산역에서 일해요."),
        ("나는 수영장에서 일한다.", "수영장에서 일해요."),
        ("나는 군고구마파다.", "고구마는 군고구마죠."),
        ("나는 꿀수박을 키운다.", "꿀수박을 키워요."),
    ],
)
def test_a_part_of_a_longer_word_is_no_value(fact: str, reply: str) -> None:
    for variant in swapped(talk("뭐 해요?", reply, persona=(fact,))):
        assert variant.persona == (fact,)
        assert variant.turns[1].text == reply


@pytest.mark.parametrize(
    ("fact", "reply"),
    [
        ("나는 화가 나면 걷는다.", "화가 나면 걸어요."),
        ("나는 사과를 먼저 하는 편이다.", "사과는 늘 먼저 해요."),
    ],
)
def test_other_words_that_look_like_a_value_are_left_alone(fact: str, reply: str) -> None:
    assert swapped(talk("뭐 해요?", reply, persona=(fact,))) == []


def test_the_new_value_is_none_that_the_dialogue_holds() -> None:
    both = talk(
        "강아지도 있어요? 토끼는요?", "고양이만 키워요.", persona=("나는 고양이를 키운다.", "나는 거북이를 무서워한다.")
    )
    found = swapped(both)
    assert found
    for variant in found:
        assert not {"강아지", "토끼", "거북이", "고양이"} & {variant.turns[1].text.removesuffix("만 키워요.")}
        assert variant.turns[0] == both.turns[0]
        assert variant.persona[1] == both.persona[1]


def test_one_value_at_a_time_is_replaced() -> None:
    two = talk("자기소개요!", "부산에 살고 고양이를 키워요.", persona=("나는 부산에 산다.", "나는 고양이를 키운다."))
    found = swapped(two)
    assert {sum(a != b for a, b in zip(two.persona, variant.persona, strict=True)) for variant in found} == {1}
    assert {variant.persona[0] == two.persona[0] for variant in found} == {True, False}


def test_all_else_of_the_dialogue_stays() -> None:
    pets = talk("뭐 키워?", "고양이!", persona=("나는 고양이를 키운다.",), level=SpeechLevel.BANMAL, source="own")
    for variant in swapped(pets):
        assert (variant.speech_level, variant.source) == (SpeechLevel.BANMAL, "own")
        assert [turn.role for turn in variant.turns] == [Role.USER, Role.BOT]


def test_each_dialogue_gives_so_many_copies_and_the_same_each_time() -> None:
    pets = talk("뭐 키워?", "고양이!", persona=("나는 고양이를 키운다.",))
    food = talk("뭐 좋아해?", "김밥!", persona=("나는 김밥을 좋아한다.",))
    plain = talk("안녕", "반가워!")
    found = multiplied([pets, plain, food], 3, random.Random(1))
    assert ["키운다" in variant.persona[0] for variant in found] == [True] * 3 + [False] * 3
    assert found == multiplied([pets, plain, food], 3, random.Random(1))
    assert {normalise(text) for variant in found for text in texts(variant)} & {"고양이", "김밥"} == set()
