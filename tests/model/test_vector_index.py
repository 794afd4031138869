from __future__ import annotations

from dataclasses import replace

import pytest

from model.dialogue import DialogueContext, SpeechLevel
from model.lines import Entry
from model.retriever import Retriever
from model.vector_index import VectorIndex
from tests.model.builders import user_last
from tests.model.embedders import BigramEmbedder, no_lines

HAEYO, BANMAL = SpeechLevel.HAEYO, SpeechLevel.BANMAL
YUHI = ("내 이름은 유희다.",)


def entry(said: str, reply: str, previous: str | None = None, level: SpeechLevel = HAEYO) -> Entry:
    return Entry(said, reply, previous, frozenset(), level)


FOOD = entry("점심 뭐 먹을까요?", "김밥 어때요?")
RAIN = entry("비가 와요", "우산 챙기세요.")
DEEP = entry("네 좋아요", "그럼 일곱 시에 만나요.", previous="같이 저녁 먹을까요?")


def asked(*texts: str, level: SpeechLevel | None = HAEYO, persona: tuple[str, ...] = ()) -> DialogueContext:
    return DialogueContext(persona, user_last(*texts), level)


def similarities(entries: list[Entry], context: DialogueContext) -> list[float]:
    query = VectorIndex(entries, no_lines()).query(context)
    assert query is not None
    return [query.similarity(number) for number in range(len(entries))]


def found(entries: list[Entry], context: DialogueContext, own_only: bool = False) -> list[str]:
    retriever = Retriever(entries, VectorIndex(entries, no_lines()))
    return [match.text for match in retriever.nearest(context, 5, own_only)]


def test_the_same_line_is_nearest_and_a_near_one_nearer_than_a_far_one() -> None:
    same, far = similarities([FOOD, RAIN], asked("점심 뭐 먹을까요?"))
    near, _ = similarities([FOOD, RAIN], asked("점심에 뭐 먹을까요?"))
    assert same == pytest.approx(1, abs=1e-5)
    assert far < near < same


def test_no_similarity_is_above_its_bound() -> None:
    entries = [FOOD, RAIN, DEEP, entry("네 좋아요", "네 좋아요"), entry("abc", "점심 먹을까요?")]
    for context in (asked("점심 먹을까요?"), asked("안녕", "반가워요", "점심 먹을까요?")):
        query = VectorIndex(entries, no_lines()).query(context)
        assert query is not None
        assert query.bounds.shape == (5,)
        assert all(query.similarity(number) <= query.bounds[number] + 1e-5 for number in range(5))


def test_a_line_from_deep_in_a_talk_needs_the_turn_before() -> None:
    opening, _ = similarities([DEEP, FOOD], asked("네 좋아요"))
    same, _ = similarities([DEEP, FOOD], asked("뭐 해요?", "같이 저녁 먹을까요?", "네 좋아요"))
    other, _ = similarities([DEEP, FOOD], asked("뭐 해요?", "zzz", "네 좋아요"))
    assert same == pytest.approx(1, abs=1e-5)
    assert opening == pytest.approx(other, abs=0.05)
    assert opening < same - 0.1


def test_an_opening_line_is_a_little_less_near_in_the_middle_of_a_talk() -> None:
    (at_first,) = similarities([FOOD], asked("점심 뭐 먹을까요?"))
    (later,) = similarities([FOOD], asked("안녕", "반가워요", "점심 뭐 먹을까요?"))
    assert at_first - 0.2 < later < at_first - 0.05


def test_what_came_before_the_last_three_turns_is_not_read() -> None:
    entries = [FOOD, RAIN, DEEP]
    short = similarities(entries, asked("와요", "같이 저녁 먹을까요?", "네 좋아요"))
    long = similarities(entries, asked("김밥 좋아해요?", "네!", "와요", "같이 저녁 먹을까요?", "네 좋아요"))
    assert short == pytest.approx(long)


@pytest.mark.parametrize("said", ["", "   ", "😀😀", "ㅋㅋㅋㅋ", "...?!", "\u200b"])
def test_where_no_word_is_said_nothing_is_near(said: str) -> None:
    assert VectorIndex([FOOD, RAIN], no_lines()).query(asked(said)) is None
    assert found([FOOD, RAIN], asked(said)) == []


def test_nothing_said_and_nothing_known_are_fine() -> None:
    assert found([FOOD], DialogueContext()) == []
    assert found([], asked("안녕하세요")) == []


def test_entries_are_embedded_once_and_only_what_is_said_afterwards() -> None:
    embedder = BigramEmbedder()
    index = VectorIndex([FOOD, RAIN, DEEP], no_lines(embedder))
    assert sorted(embedder.embedded) == sorted([FOOD.said, RAIN.said, DEEP.said, "같이 저녁 먹을까요?"])
    embedder.embedded.clear()
    index.query(asked("안녕", "반가워요", "네 좋아요"))
    assert embedder.embedded[0] == "네 좋아요"
    assert set(embedder.embedded) <= {"네 좋아요", "반가워요", "안녕"}, "the conversation's lines, not the entries'"


def test_the_retriever_gives_the_nearest_first_and_keeps_its_rules() -> None:
    casual = replace(FOOD, reply="김밥 어때?", speech_level=BANMAL)
    owned = replace(FOOD, reply="떡볶이요!", persona=frozenset(YUHI))
    entries = [RAIN, casual, FOOD, owned]
    assert found(entries, asked("점심 뭐 먹을까요?"))[0] == "김밥 어때요?"
    assert found(entries, asked("점심 뭐 먹을까요?", level=BANMAL)) == ["김밥 어때?"]
    assert "떡볶이요!" not in found(entries, asked("점심 뭐 먹을까요?", persona=("나는 의사다.",)))
    assert set(found(entries, asked("점심 뭐 먹을까요?", persona=YUHI))) >= {"떡볶이요!", "김밥 어때요?"}
    assert found(entries, asked("점심 뭐 먹을까요?", persona=YUHI), own_only=True) == ["떡볶이요!"]
    again = asked("점심 뭐 먹을까요?", "김밥, 어때요!", "점심 뭐 먹을까요?")
    assert "김밥 어때요?" not in found(entries, again)


def test_an_entry_whose_talk_went_alike_is_nearer() -> None:
    followed = replace(DEEP, earlier="오늘 시간 있어요?")
    plain, alike = similarities([DEEP, followed], asked("오늘 시간 있어요?", "같이 저녁 먹을까요?", "네 좋아요"))
    plain_other, other = similarities([DEEP, followed], asked("zzz", "같이 저녁 먹을까요?", "네 좋아요"))
    assert alike > plain + 0.1
    assert other == pytest.approx(plain_other, abs=0.05)
