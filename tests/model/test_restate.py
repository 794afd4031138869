from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.dialogue import SpeechLevel
from model.restate import restate
from model.speech_level import speech_level_of

DATA = Path(__file__).resolve().parents[2] / "training" / "data"
HAEYO, BANMAL = SpeechLevel.HAEYO, SpeechLevel.BANMAL

# What follows "나는 " in the fact, and how it is said in 해요체; 반말 is that less its 요.
VERBS = [
    ("밥을 먹는다", "밥을 먹어요"),
    ("책을 읽는다", "책을 읽어요"),
    ("사진을 찍는다", "사진을 찍어요"),
    ("옷을 입는다", "옷을 입어요"),
    ("문을 닫는다", "문을 닫아요"),
    ("꽃을 뽑는다", "꽃을 뽑아요"),
    ("크게 웃는다", "크게 웃어요"),
    ("고기를 먹지 않는다", "고기를 먹지 않아요"),
    ("집에 간다", "집에 가요"),
    ("자주 온다", "자주 와요"),
    ("영화를 본다", "영화를 봐요"),
    ("늦잠을 잔다", "늦잠을 자요"),
    ("춤을 춘다", "춤을 춰요"),
    ("영어를 배운다", "영어를 배워요"),
    ("커피를 마신다", "커피를 마셔요"),
    ("학교에 다닌다", "학교에 다녀요"),
    ("용돈을 보낸다", "용돈을 보내요"),
    ("강을 건넌다", "강을 건너요"),
    ("주말마다 쉰다", "주말마다 쉬어요"),
    ("긴장이 된다", "긴장이 돼요"),
    ("병원에서 일한다", "병원에서 일해요"),
    ("겨울을 싫어한다", "겨울을 싫어해요"),
    ("수영을 못한다", "수영을 못해요"),
    ("술을 못 마신다", "술을 못 마셔요"),
    # ㄷ, ㅂ, ㅅ
    ("음악을 듣는다", "음악을 들어요"),
    ("매일 걷는다", "매일 걸어요"),
    ("길을 묻는다", "길을 물어요"),
    ("남을 돕는다", "남을 도와요"),
    ("고기를 굽는다", "고기를 구워요"),
    ("쓰레기를 줍는다", "쓰레기를 주워요"),
    ("집을 짓는다", "집을 지어요"),
    ("물을 붓는다", "물을 부어요"),
    # 르 and ㅡ
    ("길을 모른다", "길을 몰라요"),
    ("노래를 부른다", "노래를 불러요"),
    ("산에 오른다", "산에 올라요"),
    ("형을 따른다", "형을 따라요"),
    ("편지를 쓴다", "편지를 써요"),
    ("불을 끈다", "불을 꺼요"),
    ("김치를 담근다", "김치를 담가요"),
    # ㄹ
    ("빵을 만든다", "빵을 만들어요"),
    ("꽃을 판다", "꽃을 팔아요"),
    ("친구와 논다", "친구와 놀아요"),
    ("잘 운다", "잘 울어요"),
    ("돈을 번다", "돈을 벌어요"),
    ("택시를 몬다", "택시를 몰아요"),
    ("책 모임을 이끈다", "책 모임을 이끌어요"),
    ("남의 집에서도 그런다", "남의 집에서도 그래요"),
    # 살다 and 사다
    ("부산에 산다", "부산에 살아요"),
    ("혼자 산다", "혼자 살아요"),
    ("부모님을 모시고 산다", "부모님을 모시고 살아요"),
    ("고양이 두 마리와 산다", "고양이 두 마리와 살아요"),
    ("서울을 떠나 진안에 산다", "서울을 떠나 진안에 살아요"),
    ("커피를 달고 산다", "커피를 달고 살아요"),
    ("매주 로또를 산다", "매주 로또를 사요"),
    ("상추를 자주 산다", "상추를 자주 사요"),
    ("투명 우산만 산다", "투명 우산만 사요"),
    ("준비물을 두 개씩 산다", "준비물을 두 개씩 사요"),
    ("귤을 상자째 산다", "귤을 상자째 사요"),
    ("매주 책을 한 권 산다", "매주 책을 한 권 사요"),
]
ADJECTIVES = [
    ("키가 작다", "키가 작아요"),
    ("겁이 많다", "겁이 많아요"),
    ("여름이 좋다", "여름이 좋아요"),
    ("겨울이 싫다", "겨울이 싫어요"),
    ("여행을 가고 싶다", "여행을 가고 싶어요"),
    ("방이 좁다", "방이 좁아요"),
    ("발이 넓다", "발이 넓어요"),
    ("동생이 있다", "동생이 있어요"),
    ("동생이 없다", "동생이 없어요"),
    ("조용하다", "조용해요"),
    ("여름에는 덥다", "여름에는 더워요"),
    ("거미가 무섭다", "거미가 무서워요"),
    ("가족이 자랑스럽다", "가족이 자랑스러워요"),
    ("키가 크다", "키가 커요"),
    ("늘 바쁘다", "늘 바빠요"),
    ("머리가 아프다", "머리가 아파요"),
    ("눈이 나쁘다", "눈이 나빠요"),
    ("배가 고프다", "배가 고파요"),
    ("걸음이 빠르다", "걸음이 빨라요"),
    ("형과 다르다", "형과 달라요"),
    ("말이 느리다", "말이 느려요"),
    ("힘이 세다", "힘이 세요"),
    ("얼굴이 빨갛다", "얼굴이 빨개요"),
    ("아침이 힘들다", "아침이 힘들어요"),
    ("머리가 길다", "머리가 길어요"),
    ("손이 하얗다", "손이 하얘요"),
    ("손이 차다", "손이 차요"),
    ("햇빛 보면 눈이 부시다", "햇빛 보면 눈이 부셔요"),
]
PAST = [
    ("부산에서 태어났다", "부산에서 태어났어요"),
    ("엄마를 닮았다", "엄마를 닮았어요"),
    ("요리를 배웠다", "요리를 배웠어요"),
    ("작년에 결혼했다", "작년에 결혼했어요"),
    ("어릴 때 겁이 많았다", "어릴 때 겁이 많았어요"),
    ("젊을 때 교사였다", "젊을 때 교사였어요"),
]
# The fact, in 해요체, in 반말.
COPULA = [
    ("나는 간호사다.", "간호사예요.", "간호사야."),
    ("나는 학생이다.", "학생이에요.", "학생이야."),
    ("나는 서른두 살이다.", "서른두 살이에요.", "서른두 살이야."),
    ("나는 스물셋이다.", "스물셋이에요.", "스물셋이야."),
    ("나는 쌍둥이다.", "쌍둥이예요.", "쌍둥이야."),
    ("나는 결혼 3년 차다.", "결혼 3년 차예요.", "결혼 3년 차야."),
    ("나는 AI다.", "AI예요.", "AI야."),
    ("나는 AI 말벗이다.", "AI 말벗이에요.", "AI 말벗이야."),
    ("내 MBTI는 INFP다.", "제 MBTI는 INFP예요.", "내 MBTI는 INFP야."),
    ("나는 맞벌이 부부이다.", "맞벌이 부부예요.", "맞벌이 부부야."),
    ("나는 고3이다.", "고3이에요.", "고3이야."),
    ("나는 통금이 열 시다.", "통금이 열 시예요.", "통금이 열 시야."),
    ("내 취미는 등산이다.", "제 취미는 등산이에요.", "내 취미는 등산이야."),
    ("내 별명은 곰이다.", "제 별명은 곰이에요.", "내 별명은 곰이야."),
    ("나는 학생이 아니다.", "학생이 아니에요.", "학생이 아니야."),
    ("나는 아침형이 아니다.", "아침형이 아니에요.", "아침형이 아니야."),
]
NAMES = [
    ("내 이름은 유희다.", "제 이름은 유희예요.", "내 이름은 유희야."),
    ("내 이름은 보람이다.", "제 이름은 보람이에요.", "내 이름은 보람이야."),
    ("내 이름은 Alex다.", "제 이름은 Alex예요.", "내 이름은 Alex야."),
    ("내 이름은 동하다.", "제 이름은 동하예요.", "내 이름은 동하야."),
    ("내 이름은 어리다.", "제 이름은 어리예요.", "내 이름은 어리야."),
    ("내 이름은 비다.", "제 이름은 비예요.", "내 이름은 비야."),
    ("내 이름은 채이다.", "제 이름은 채이예요.", "내 이름은 채이야."),
    ("고양이 이름은 나비다.", "고양이 이름은 나비예요.", "고양이 이름은 나비야."),
    ("예전 이름은 말자였다.", "예전 이름은 말자였어요.", "예전 이름은 말자였어."),
    ("나는 스물일곱 살 나래다.", "스물일곱 살 나래예요.", "스물일곱 살 나래야."),
    ("나는 아내보다 열두 살 어리다.", "아내보다 열두 살 어려요.", "아내보다 열두 살 어려."),
]
FIRST_PERSON = [
    ("내 동생은 나를 닮았다.", "제 동생은 저를 닮았어요.", "내 동생은 나를 닮았어."),
    ("내가 만든 빵은 맛있다.", "제가 만든 빵은 맛있어요.", "내가 만든 빵은 맛있어."),
    ("동생이 내 방을 쓴다.", "동생이 제 방을 써요.", "동생이 내 방을 써."),
    ("난 커피가 좋다.", "전 커피가 좋아요.", "난 커피가 좋아."),
    ("엄마는 나의 친구다.", "엄마는 저의 친구예요.", "엄마는 나의 친구야."),
    ("형은 나한테 잘한다.", "형은 저한테 잘해요.", "형은 나한테 잘해."),
    ("언니는 나보다 크다.", "언니는 저보다 커요.", "언니는 나보다 커."),
    ("동네에서는 나도 안다.", "동네에서는 저도 알아요.", "동네에서는 나도 알아."),
    ("나는 나무를 심는다.", "나무를 심어요.", "나무를 심어."),
    ("나는 안내 일을 한다.", "안내 일을 해요.", "안내 일을 해."),
    ("나는 시내 서점에 간다.", "시내 서점에 가요.", "시내 서점에 가."),
    ("하나는 흰 토끼다.", "하나는 흰 토끼예요.", "하나는 흰 토끼야."),
]


@pytest.mark.parametrize(("predicate", "said"), [*VERBS, *ADJECTIVES, *PAST])
def test_what_the_bot_does_and_is_like_is_said_in_both_levels(predicate: str, said: str) -> None:
    assert restate(f"나는 {predicate}.", HAEYO) == f"{said}."
    assert restate(f"나는 {predicate}.", BANMAL) == f"{said.removesuffix('요')}."


@pytest.mark.parametrize(("fact", "polite", "casual"), COPULA)
def test_what_the_bot_is_takes_the_copula_that_fits_its_sound(fact: str, polite: str, casual: str) -> None:
    assert (restate(fact, HAEYO), restate(fact, BANMAL)) == (polite, casual)


@pytest.mark.parametrize(("fact", "polite", "casual"), NAMES)
def test_a_name_is_a_noun_whatever_it_ends_in(fact: str, polite: str, casual: str) -> None:
    assert (restate(fact, HAEYO), restate(fact, BANMAL)) == (polite, casual)


@pytest.mark.parametrize(("fact", "polite", "casual"), FIRST_PERSON)
def test_the_bot_is_humble_where_it_is_polite(fact: str, polite: str, casual: str) -> None:
    assert (restate(fact, HAEYO), restate(fact, BANMAL)) == (polite, casual)


@pytest.mark.parametrize("fact", ["나는 부산에 산다", " 나는 부산에 산다. ", "나는 부산에 산다 ."])
def test_space_and_full_stop_make_no_difference(fact: str) -> None:
    assert restate(fact, HAEYO) == "부산에 살아요."


@pytest.mark.parametrize(
    "fact",
    [
        "",
        ".",
        "다",
        "다.",
        "부산",
        "부산 사람",
        "나는 부산에 살아.",
        "저는 부산에 살아요.",
        "나는 부산에 살지?",
        "나는 부산에 산다!",
        "나는 산다. 그리고 논다.",
        "나는 부산에 산다.\n나는 논다.",
        "I live in Busan.",
    ],
)
def test_what_is_no_single_plain_sentence_is_not_restated(fact: str) -> None:
    assert restate(fact, HAEYO) is None
    assert restate(fact, BANMAL) is None


def persona_facts() -> list[str]:
    """Every fact of our dialogues, once."""
    lines = [line for path in sorted(DATA.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").split("\n")]
    return list(dict.fromkeys(fact for line in lines if line for fact in json.loads(line).get("persona", ())))


@pytest.mark.parametrize("level", list(SpeechLevel))
def test_the_facts_of_our_dialogues_are_restated_in_the_level_asked_for(level: SpeechLevel) -> None:
    facts = persona_facts()
    assert len(facts) > 5000
    restated = {fact: restate(fact, level) for fact in facts}
    other = [said for said in restated.values() if said and speech_level_of(said) not in (level, None)]
    assert other == []
    failed = {fact: said for fact, said in restated.items() if said is None or speech_level_of(said) is not level}
    assert len(failed) <= len(facts) / 50, list(failed.items())[:20]
