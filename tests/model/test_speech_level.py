from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.dialogue import SpeechLevel
from model.speech_level import majority_level, sentence_level, speech_level_of

DATA = Path(__file__).resolve().parents[2] / "training" / "data"
HAEYO, BANMAL = SpeechLevel.HAEYO, SpeechLevel.BANMAL

POLITE = [
    "안녕하세요!",
    "오늘 뭐 드셨어요?",
    "저는 떡볶이를 좋아해요.",
    "그렇죠 ㅎㅎ",
    "많이 힘들었겠네요…",
    "같이 걸을까요?",
    "이름이 뭐예요?",
    "좋아용~",
    "그랬군요 😊",
    "안녕하십니까?",
    "반갑습니다.",
    "도와드리겠습니다!",
    "저는 말벗입니다",
    "어떻게 오셨습니까",
    "잠시만 기다려 주십시오.",
    "아 진짜? 그랬군요.",
    "네, 알겠어요 ㅠㅠ",
]
CASUAL = [
    "나 왔어!",
    "오늘 뭐 먹었어?",
    "나도 떡볶이 좋아해",
    "그건 좀 아니다.",
    "같이 가자~",
    "진짜 재밌더라 ㅋㅋㅋ",
    "힘들었겠네…",
    "뭐 해?",
    "그거 나도 봤는데",
    "비 오니까 전 생각난다",
    "졸리니까.",
    "내가 말했잖아 그럴 거라니까!",
    "우산 꼭 챙겨",
    "얼른 자 😴",
    "이게 더 중요하지",
]
NEITHER = ["", "   ", "ㅋㅋㅋㅋ", "ㅠㅠ", "...?", "😀😀", "👍", "커피 두 잔", "오늘 저녁", "123", "ok", "휴식이 필요"]


@pytest.mark.parametrize(
    ("text", "level"),
    [*((text, HAEYO) for text in POLITE), *((text, BANMAL) for text in CASUAL), *((text, None) for text in NEITHER)],
)
def test_the_ending_tells_the_level(text: str, level: SpeechLevel | None) -> None:
    assert speech_level_of(text) is level


def test_one_polite_sentence_makes_a_reply_polite() -> None:
    assert speech_level_of("아 진짜? 몰랐네. 고마워요!") is HAEYO
    assert speech_level_of("아 진짜? 몰랐네. 고마워!") is BANMAL


def test_a_sentence_is_judged_by_its_last_word() -> None:
    assert sentence_level("어제 봤어요 그 영화 진짜 재밌더라") is BANMAL
    assert sentence_level("재밌더라 그래서 또 봤어요 ㅋㅋ") is HAEYO


def test_the_majority_speaks_for_many() -> None:
    assert majority_level(["뭐 해?", "나 왔어", "안녕하세요", "ㅋㅋㅋ"]) is BANMAL
    assert majority_level(["뭐 해?", "안녕하세요", "반갑습니다"]) is HAEYO
    assert majority_level(["뭐 해?", "안녕하세요"]) is None
    assert majority_level(["ㅋㅋㅋ", "커피"]) is None
    assert majority_level([]) is None


def test_the_level_agrees_with_the_label_of_our_dialogues() -> None:
    agree = shown = 0
    for path in sorted(DATA.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            dialogue = json.loads(line)
            levels = [speech_level_of(turn["text"]) for turn in dialogue["turns"] if turn["speaker"] == "bot"]
            shown += sum(level is not None for level in levels)
            agree += levels.count(SpeechLevel(dialogue["speech"]))
    assert shown > 15_000
    assert agree / shown >= 0.97
