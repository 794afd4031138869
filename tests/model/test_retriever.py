from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from model.dialogue import DEFAULT_PERSONA, DialogueContext, SpeechLevel
from model.lines import Entry, load_entries, normalise
from model.retriever import Retriever
from model.speech_level import speech_level_of
from tests.model.builders import user_last

DATA = Path(__file__).resolve().parents[2] / "training" / "data"
HAEYO, BANMAL = SpeechLevel.HAEYO, SpeechLevel.BANMAL
YUHI, MINSU = ("내 이름은 유희다.", "나는 떡볶이를 좋아한다."), ("내 이름은 민수다.",)

# Said to a bot that answers in 해요체, and in 반말.
OPENINGS = {
    HAEYO: (
        "안녕하세요!",
        "안녕하세요, 처음 뵙겠습니다",
        "지금 뭐 하고 있어요?",
        "오늘 날씨가 너무 좋아요",
        "오늘 하루 종일 비가 왔어요",
        "점심 뭐 먹을까요?",
        "저녁 메뉴 추천해 주세요",
        "배고파요",
        "너무 피곤해요",
        "잠이 안 와요",
        "오늘 회사에서 힘들었어요",
        "요즘 우울해요",
        "기분이 좋아요",
        "심심해요",
        "이름이 뭐예요?",
        "몇 살이에요?",
        "취미가 뭐예요?",
        "좋아하는 음식이 뭐예요?",
        "사람이에요, 로봇이에요?",
        "내일 면접이에요",
        "시험을 망쳤어요",
        "친구랑 싸웠어요",
        "여자친구랑 헤어졌어요",
        "강아지가 너무 귀여워요",
        "영화 추천해 주세요",
        "주말에 뭐 하세요?",
        "운동을 시작했어요",
        "감기에 걸렸어요",
        "고마워요",
        "이제 자러 갈게요. 안녕히 주무세요",
    ),
    BANMAL: (
        "안녕!",
        "하이",
        "뭐 해?",
        "오늘 날씨 진짜 좋다",
        "밖에 비 온다",
        "점심 뭐 먹지?",
        "저녁 메뉴 추천해줘",
        "배고파",
        "아 피곤해",
        "잠이 안 와",
        "오늘 회사에서 너무 힘들었어",
        "요즘 좀 우울해",
        "나 오늘 기분 좋아",
        "심심해",
        "너 이름이 뭐야?",
        "너 몇 살이야?",
        "취미가 뭐야?",
        "좋아하는 음식 뭐야?",
        "너 사람이야?",
        "나 내일 면접이야",
        "시험 망했어",
        "친구랑 싸웠어",
        "남자친구랑 헤어졌어",
        "우리 고양이 너무 귀여워",
        "영화 추천해줘",
        "주말에 뭐 할 거야?",
        "나 운동 시작했어",
        "감기 걸렸어",
        "고마워",
        "나 이제 잘게, 잘 자",
    ),
}


def entry(
    said: str,
    reply: str,
    level: SpeechLevel | None = HAEYO,
    previous: str | None = None,
    persona: tuple[str, ...] = (),
) -> Entry:
    return Entry(said, reply, previous, frozenset(persona), level)


def found(entries: list[Entry], context: DialogueContext, count: int = 5) -> list[str]:
    return [match.text for match in Retriever(entries).nearest(context, count)]


def asked(*texts: str, level: SpeechLevel | None = HAEYO, persona: tuple[str, ...] = ()) -> DialogueContext:
    return DialogueContext(persona, user_last(*texts), level)


FOOD = entry("점심 뭐 먹을까요?", "김밥 어때요?")
RAIN = entry("비가 와요", "우산 챙기세요.")
SLEEP = entry("잠이 안 와요", "따뜻한 우유 드셔 보세요.")


@pytest.mark.parametrize(
    "said", ["점심 뭐 먹을까요?", "점심 뭐 먹을까요", " 점심  뭐먹을까요?? ㅋㅋㅋ", "점심 뭐 먹을까요 ㅠㅠ 🍚"]
)
def test_the_same_words_are_found_however_they_are_dressed(said: str) -> None:
    best, *_ = Retriever([RAIN, FOOD, SLEEP]).nearest(asked(said), 3)
    assert best.text == "김밥 어때요?"
    assert best.confidence == pytest.approx(1, abs=1e-5)


def test_the_nearest_come_first_and_what_shares_no_word_is_far() -> None:
    entries = [entry("abc", "영어예요."), entry("점심 먹었어요?", "네, 먹었어요."), FOOD]
    matches = Retriever(entries).nearest(asked("점심 뭐 먹을까요?"), 5)
    assert [match.text for match in matches[:2]] == ["김밥 어때요?", "네, 먹었어요."]
    assert 0.1 < matches[1].confidence < 0.9
    assert all(match.confidence < 0.1 for match in matches[2:])


def test_no_more_than_asked_for_and_none_twice() -> None:
    entries = [entry("안녕하세요", f"반가워요 {word}.") for word in ("하나", "둘", "셋")] * 2
    assert len(found(entries, asked("안녕하세요"), 2)) == 2
    assert sorted(found(entries, asked("안녕하세요"), 9)) == ["반가워요 둘.", "반가워요 셋.", "반가워요 하나."]


def test_a_word_nobody_said_makes_a_line_less_alike() -> None:
    retriever = Retriever([FOOD, RAIN, SLEEP])
    plain, _ = retriever.nearest(asked("비가 와요"), 2)
    strange = retriever.nearest(asked("비가 와요 쿠알라룸푸르"), 1)[0]
    assert (plain.text, strange.text) == ("우산 챙기세요.", "우산 챙기세요.")
    assert strange.confidence < 0.6 < plain.confidence


def test_a_reply_of_another_persona_is_never_given() -> None:
    entries = [entry("이름이 뭐예요?", "저는 유희예요.", persona=YUHI), entry("이름이 뭐예요", "비밀이에요.")]
    assert found(entries, asked("이름이 뭐예요?", persona=YUHI)) == ["저는 유희예요.", "비밀이에요."]
    assert found(entries, asked("이름이 뭐예요?", persona=YUHI[::-1])) == ["저는 유희예요.", "비밀이에요."]
    for other in (MINSU, (), YUHI[:1], YUHI + MINSU):
        assert found(entries, asked("이름이 뭐예요?", persona=other)) == ["비밀이에요."]


def test_many_replies_of_other_personas_hide_none_that_fits() -> None:
    others = [
        entry("이름이 뭐예요?", f"{number}번이에요.", persona=(f"나는 {number}번이다.",)) for number in range(200)
    ]
    entries = [*others, entry("이름이 뭐예요?", "저는 유희예요.", persona=YUHI)]
    assert found(entries, asked("이름이 뭐예요?", persona=YUHI), 1) == ["저는 유희예요."]


def test_the_speech_level_is_kept_to() -> None:
    entries = [FOOD, entry("점심 뭐 먹을까요?", "김밥 어때?", BANMAL)]
    assert found(entries, asked("점심 뭐 먹을까요?")) == ["김밥 어때요?"]
    assert found(entries, asked("점심 뭐 먹을까요?", level=BANMAL)) == ["김밥 어때?"]
    assert found(entries, asked("점심 뭐 먹을까요?", level=None)) == ["김밥 어때요?", "김밥 어때?"]


def test_nothing_is_said_twice_in_a_conversation() -> None:
    entries = [FOOD, entry("점심 뭐 먹을까요", "국수 어때요?")]
    assert found(entries, asked("점심 뭐 먹을까요?")) == ["김밥 어때요?", "국수 어때요?"]
    again = asked("점심 뭐 먹을까요?", "김밥, 어때요!", "점심 뭐 먹을까요?")
    assert found(entries, again) == ["국수 어때요?"]
    assert found(entries, replace(again, avoid=("국수 어때요? ㅎㅎ",))) == []
    echo = asked("김밥 어때요?", "글쎄요.", "점심 뭐 먹을까요?")
    assert "김밥 어때요?" in found(entries, echo), "what the user said may be said"


def test_a_line_from_deep_in_a_talk_needs_the_turn_before() -> None:
    deep = entry("네 좋아요", "그럼 일곱 시에 만나요.", previous="같이 저녁 먹을까요?")
    retriever = Retriever([deep, RAIN])
    opening = retriever.nearest(asked("네 좋아요"), 1)[0]
    after_another = retriever.nearest(asked("안녕하세요", "반가워요!", "네 좋아요"), 1)[0]
    after_the_same = retriever.nearest(asked("뭐 해요?", "같이 저녁 먹을까요?", "네 좋아요"), 1)[0]
    assert opening.confidence == after_another.confidence == pytest.approx(0.6, abs=1e-5)
    assert after_the_same.confidence == pytest.approx(1, abs=1e-5)
    assert found([deep, entry("네 좋아요", "저도 좋아요.")], asked("네 좋아요")) == [
        "저도 좋아요.",
        "그럼 일곱 시에 만나요.",
    ]


@pytest.mark.parametrize("said", ["", "   ", "😀😀", "ㅋㅋㅋㅋ", "...?!", "\u200b"])
def test_where_no_word_is_said_nothing_is_near(said: str) -> None:
    assert found([FOOD, entry("ㅋㅋㅋ", "재밌죠?")], asked(said)) == []


def test_a_match_tells_what_it_answered_once_and_whether_deep_in_a_talk() -> None:
    deep = entry("점심 먹었어요", "맛있었어요?", previous="지금 뭐 해요?")
    matches = {match.text: match for match in Retriever([FOOD, deep]).nearest(asked("점심 먹었어요"), 2)}
    assert (matches["맛있었어요?"].said, matches["맛있었어요?"].deep) == ("점심 먹었어요", True)
    assert (matches["김밥 어때요?"].said, matches["김밥 어때요?"].deep) == ("점심 뭐 먹을까요?", False)
    assert not any(match.general for match in matches.values())


def test_a_reply_that_answered_twice_is_told_with_the_nearer_line() -> None:
    entries = [entry("저녁에 비가 와요", "우산 챙기세요.", previous="뭐 해요?"), RAIN, entry("비요", "우산 챙기세요!")]
    (match,) = Retriever(entries).nearest(asked("비가 와요"), 5)
    assert (match.text, match.said, match.deep) == ("우산 챙기세요.", "비가 와요", False)


def test_nothing_said_and_nothing_known_are_fine() -> None:
    assert found([FOOD], DialogueContext()) == []
    assert found([], asked("안녕하세요")) == []


@pytest.mark.parametrize("said", ["점심 뭐 먹을까요? " * 100_000, "가" * 1_000_000, "😀" * 500_000])
def test_a_megabyte_is_fine(said: str) -> None:
    assert len(found([FOOD, RAIN], asked(said))) <= 2


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("안녕 하세요!!", "안녕하세요"),
        ("OK ㅋㅋㅋㅋ", "ok"),
        ("좋아ㅠㅠ 😀", "좋아"),
        ("3시, 5분", "3시5분"),
        ("ㅋㅋ", ""),
    ],
)
def test_what_people_leave_out_or_double_makes_no_difference(text: str, same: str) -> None:
    assert normalise(text) == same


def test_a_folder_of_dialogues_is_read_reply_by_reply(tmp_path: Path) -> None:
    dialogue = {
        "speech": "해요체",
        "persona": list(YUHI),
        "turns": [
            {"speaker": "bot", "text": "먼저 말 걸어 봤어요."},
            {"speaker": "user", "text": "반가워요"},
            {"speaker": "bot", "text": "저도 반가워요!"},
            {"speaker": "user", "text": "사진 보여 주세요"},
            {"speaker": "bot", "text": "ㅋㅋㅋ"},
            {"speaker": "bot", "text": "사진은 없어요."},
        ],
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(dialogue, ensure_ascii=False) + "\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not json", encoding="utf-8")
    retriever = Retriever(load_entries(tmp_path))
    assert len(retriever) == 2, "an opening and a second line in a row answer nobody"
    assert retriever.nearest(asked("반가워요", persona=YUHI), 1)[0].text == "저도 반가워요!"
    assert retriever.nearest(asked("반가워요", persona=MINSU), 1) == []
    # What shows no level of its own has that of its dialogue.
    assert retriever.nearest(asked("사진 보여 주세요", persona=YUHI), 1)[0].text == "ㅋㅋㅋ"
    assert retriever.nearest(asked("사진 보여 주세요", level=BANMAL, persona=YUHI), 1) == []


@pytest.fixture(scope="module")
def real() -> Retriever:
    """The index that ships."""
    return Retriever(load_entries(DATA))


@pytest.mark.slow
def test_every_reply_of_our_dialogues_is_indexed(real: Retriever) -> None:
    assert len(real) > 19_000


@pytest.mark.slow
@pytest.mark.parametrize("level", list(SpeechLevel))
def test_everyday_openings_find_a_near_reply_of_the_level_asked_for(real: Retriever, level: SpeechLevel) -> None:
    openings = OPENINGS[level]
    assert len(set(openings)) == 30
    unanswered = []
    for opening in openings:
        matches = real.nearest(asked(opening, level=level, persona=DEFAULT_PERSONA), 5)
        assert all(speech_level_of(match.text) in (level, None) for match in matches)
        if not matches or matches[0].confidence < 0.3:
            unanswered.append(opening)
    assert len(unanswered) <= 6, unanswered


@pytest.mark.slow
def test_an_opening_of_our_dialogues_is_answered_with_its_reply(real: Retriever) -> None:
    for name in ("short_haeyo", "short_banmal"):
        lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        for line in lines[:200:10]:
            dialogue = json.loads(line)
            said, reply = (turn["text"] for turn in dialogue["turns"][:2])
            level = speech_level_of(reply) or SpeechLevel(dialogue["speech"])
            persona = tuple(dialogue.get("persona", ()))
            best = real.nearest(asked(said, level=level, persona=persona), 3)
            assert best[0].confidence == pytest.approx(1, abs=1e-4)
            assert reply in [match.text for match in best if match.confidence > 0.999]
