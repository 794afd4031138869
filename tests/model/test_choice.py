from __future__ import annotations

import pytest

from model.choice import choice
from model.dialogue import SpeechLevel

HAEYO, BANMAL = SpeechLevel.HAEYO, SpeechLevel.BANMAL


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ("회색이랑 자주색 중에 뭐가 나을까요?", ("회색 쪽", "자주색 쪽")),
        ("너는 바다랑 산중에 뭐가 좋아?", ("바다 쪽", "산 쪽")),
        ("경복궁과 창덕궁 중 어디가 좋을까요?", ("경복궁 쪽", "창덕궁 쪽")),
        ("빈손은 좀 그런데 화분이 나을까요 과일이 나을까요", ("화분 쪽", "과일 쪽")),
        ("너는 여름이 좋아 겨울이 더 좋아ㅎㅎ?", ("여름 쪽", "겨울 쪽")),
        ("점심 메뉴 골라줘 순두부 vs 돈까스", ("순두부 쪽", "돈까스 쪽")),
        ("아아 아니면 따아? 하나만 골라봐", ("아아 쪽", "따아 쪽")),
        ("전학 간 친구한테 편지 쓸까 디엠 할까", ("편지 쓰는 쪽", "디엠 하는 쪽")),
        ("김밥을 먹을까요, 라면을 끓일까요?", ("김밥을 먹는 쪽", "라면을 끓이는 쪽")),
    ],
)
def test_of_two_things_one_is_chosen(said: str, options: tuple[str, str]) -> None:
    for level, who in ((HAEYO, "저"), (BANMAL, "나")):
        found = choice(said, level)
        assert found is not None
        assert sum(option in found for option in options) == 1
        assert who in found or "난" in found
        assert found == choice(said, level), "who is asked again says the same"


def test_either_may_be_chosen_in_several_ways() -> None:
    said = [f"{first}이랑 {second} 중에 뭐가 좋아?" for first in "봄갑" for second in ("겨울", "여름", "가을", "장마")]
    found = {str(choice(each, BANMAL)) for each in said}
    assert len({each.split(" ")[0] for each in found}) > 1
    assert {any(first in each for first in "봄갑") for each in found} == {True, False}


@pytest.mark.parametrize(
    "said",
    [
        "",
        "오늘 저녁 뭐 먹을까?",
        "이거 관심이 있는 걸까요 없는 걸까요",
        "다음달 축제 끝나고 고백할까 하는데 어떨까",
        "선물받은 향수가 제 취향이 아니면 어떡하죠",
        "친구랑 영화 봤어요",
        "고백을 할까 말까",
        "그냥 회사를 그만둘까 한 달만 더 다닐까",
        "걔랑 진짜 헤어질까 조금만 더 만날까",
    ],
)
def test_where_there_are_no_two_or_nobody_should_say_there_is_no_choice(said: str) -> None:
    assert choice(said, HAEYO) is None
