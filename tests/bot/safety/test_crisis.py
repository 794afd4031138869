"""Crisis messages: what is found, what is left alone, and what the fixed texts say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from time import perf_counter

import pytest

from bot.safety.crisis import AGAIN, FIRST, answer, is_crisis, is_follow_up

DATA = Path(__file__).parent / "data"
# The set was written before the rules; see the README beside it.
FROZEN_SHA256 = "70ae74e341e01577da88c490afbacc2cb3b20e4fdc0627380f0aee527f7dfbe6"


def lines(name: str) -> list[tuple[str, bool]]:
    rows = [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]
    return [(row["text"], row["crisis"]) for row in rows]


def test_the_frozen_set_has_not_been_touched() -> None:
    content = (DATA / "crisis_frozen.jsonl").read_bytes()
    assert hashlib.sha256(content).hexdigest() == FROZEN_SHA256


@pytest.mark.parametrize("name", ["crisis_frozen.jsonl", "crisis_development.jsonl"])
def test_finds_crises_and_leaves_exaggeration_alone(name: str) -> None:
    rows = lines(name)
    crises = [text for text, crisis in rows if crisis]
    benign = [text for text, crisis in rows if not crisis]
    missed = [text for text in crises if not is_crisis(text)]
    false = [text for text in benign if is_crisis(text)]
    assert len(missed) <= 0.05 * len(crises), missed
    assert len(false) <= 0.01 * len(benign), false


@pytest.mark.parametrize(
    "text",
    [
        "죽\n고\n싶\n다",
        "죽.고.싶.다",
        "죽\u200b고 \u2060싶어",
        "죽 ㅡ 고 싶 다",
        "ㅈㅏ살할까",
        "ㅈ ㅜ ㄱ고 싶다",
        "죽고싶다아아아아",
        "죽고ㅠㅠ싶어ㅠㅠㅠ",
        "자１살 하고 싶다",
        "I WANT TO DIE",
    ],
)
def test_sees_through_ways_of_typing(text: str) -> None:
    assert is_crisis(text)


def test_what_explains_a_sign_away_must_stand_in_its_sentence() -> None:
    assert not is_crisis("영화에서 주인공이 자살하려고 해")
    assert is_crisis("오늘 영화 봤어. 나 자살하려고 해")
    assert is_crisis("게임 재밌다\n나 자살하고 싶어")


def test_contempt_and_harm_to_others_are_met_elsewhere() -> None:
    assert not is_crisis("한남들 진짜 다 죽었으면")
    assert not is_crisis("옆집 개 시끄러워서 독약 먹이고 싶다")
    assert is_crisis("우리들 다 죽었으면")
    assert is_crisis("독약 먹고 싶다")


@pytest.mark.parametrize(
    "text", ["", " ", "ㅋㅋㅋ", "혼자 살고 싶어", "과자 살까", "클럽가자 해", "전복죽 먹을까", "\u200b"]
)
def test_nothing_in_small_talk(text: str) -> None:
    assert not is_crisis(text)


def test_long_messages_are_read_at_both_ends_in_little_time() -> None:
    filler = "에어컨 없으면 죽을 맛이야 " * 40_000
    started = perf_counter()
    assert not is_crisis(filler)
    assert is_crisis(f"{filler} 죽고 싶어")
    assert is_crisis(f"죽고 싶어 {filler}")
    assert perf_counter() - started < 10


@pytest.mark.parametrize(
    "text", ["죽고 싶어", "힘들어", "아니", "아니 안 괜찮아", "무서워", "혼자 있어", "배고파 죽겠다"]
)
def test_after_a_crisis_low_words_still_ask_for_care(text: str) -> None:
    assert is_follow_up(text)


@pytest.mark.parametrize("text", ["이제 괜찮아졌어 고마워", "응 안전해", "떡볶이 먹고 싶다", "안녕"])
def test_after_a_crisis_talk_may_go_on(text: str) -> None:
    assert not is_follow_up(text)


@pytest.mark.parametrize("text", [FIRST, AGAIN])
def test_the_texts_name_the_contacts_say_ai_and_ask_about_safety(text: str) -> None:
    assert all(contact in text for contact in ("109", "24시간", "1388", "1577-0199", "119", "112"))
    assert "AI" in text
    assert "안전" in text and "?" in text
    # Discord's limit is the smallest.
    assert len(text) < 2000


def test_answers_at_length_first_and_shortly_after() -> None:
    assert answer(repeated=False) == FIRST
    assert answer(repeated=True) == AGAIN
    assert len(AGAIN) < len(FIRST)
    assert not is_crisis("저는 AI 말벗이에요. 오늘은 뭐 하셨어요?")
