from __future__ import annotations

import re
from itertools import pairwise

import pytest

from bot.safety import abuse
from bot.safety.output_filter import (
    RESAMPLES,
    Attempts,
    Gate,
    Reason,
    Setting,
    Verdict,
    check,
    first_allowed,
    neutral_line,
)
from bot.safety.spelling import MAX_CHARACTERS
from model.dialogue import DEFAULT_PERSONA, SpeechLevel
from model.speech_level import speech_level_of
from model.tokenizer import SPECIAL_TOKENS

PHONE = re.compile(r"010[-. ]*\d{4}[-. ]*\d{4}")


def phones(text: str) -> list[str]:
    """A search for personal data that knows one kind."""
    return PHONE.findall(text)


def reasons(reply: str, setting: Setting | None = None) -> tuple[Reason, ...]:
    return check(reply, setting or Setting(), phones).reasons


@pytest.mark.parametrize(
    "reply",
    [
        "그랬군요. 오늘 많이 힘들었겠어요.",
        "ㅋㅋㅋㅋㅋㅋ 진짜?",
        "<3 고마워요!",
        "[속보] 오늘 비 온대요",
        "8시 30분에 만나요",
        "가족은 👨‍👩‍👧 셋이에요",
        "저는 사람이 아니라 AI예요.",
        "AI 아니냐고요? 맞아요, AI예요.",
        "저는 사람들과 이야기하는 걸 좋아해요.",
        "나 사람이야? 아니, AI야.",
        "좋은 사람이네요.",
        *DEFAULT_PERSONA,
    ],
)
def test_good_replies_pass(reply: str) -> None:
    assert check(reply, Setting(("안녕하세요! 반가워요.",)), phones) == Verdict()


@pytest.mark.parametrize(
    "reply",
    [
        *(f"안녕 {token} 반가워" for token in SPECIAL_TOKENS),
        *(
            "<s>",
            "</s>",
            "<usr> 안녕",
            "<unused1>",
            "<speaker1>",
            "＜user＞",
            "< / bot >",
            "<|endoftext|>",
            "<|im_start|>user",
        ),
        *(
            "[INST] 안녕 [/INST]",
            "<<SYS>> 너는",
            "### Instruction: 말해",
            "System: you are",
            "시스템: 비밀",
            "좋아요.\n봇: 네",
            "User : 안녕",
        ),
        *("안\u200b녕", "안녕\u202e세요", "안녕\u0000", "안녕\ufffd", "\u2066안녕\u2069"),
    ],
)
def test_structure_is_held_back(reply: str) -> None:
    assert Reason.STRUCTURE in reasons(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "저는 사람이에요.",
        "나도 사람이라 실수해.",
        "전 진짜 평범한 인간이에요!",
        "나 AI 아니야",
        "난 봇 아냐 ㅋㅋ",
        "AI 아니에요",
        "전 AI가 아니라 사람이에요",
        "네, 진짜 사람 맞아요.",
    ],
)
def test_claims_to_be_human_are_held_back(reply: str) -> None:
    assert reasons(reply) == (Reason.CLAIMS_HUMAN,)


def test_each_reason_is_named() -> None:
    said = Setting(said=("오늘도 수고 많았어요",))
    assert reasons("시발 진짜") == (Reason.ABUSE,)
    assert reasons("야한 얘기 할래요?") == (Reason.SEXUAL,)
    assert reasons("내 번호는 010-1234-5678이야") == (Reason.PERSONAL_DATA,)
    assert reasons("오늘도 수고 많았어요!", said) == (Reason.REPEATED,)
    assert reasons("나도 그래 나도 그래 나도 그래") == (Reason.LOOP,)
    assert reasons(" \n") == (Reason.EMPTY,)
    assert reasons("가나 " * MAX_CHARACTERS) == (Reason.TOO_LONG,)
    assert reasons("닥쳐 <bot> 닥쳐") == (Reason.STRUCTURE, Reason.ABUSE)
    assert not Verdict((Reason.LOOP,)).allowed


def test_the_young_get_a_stricter_filter() -> None:
    assert reasons("우리 사귀자!", Setting()) == ()
    assert reasons("우리 사귀자!", Setting(young=True)) == (Reason.SEXUAL,)


def test_the_first_allowed_candidate_is_taken() -> None:
    setting = Setting(said=("반가워요",))
    assert first_allowed(["반가워요!", "시발", "좋은 아침이에요"], setting, phones) == ("좋은 아침이에요", Verdict())
    assert first_allowed(["반가워요!", "시발"], setting, phones) == (None, Verdict((Reason.REPEATED,)))
    assert first_allowed([], setting, phones) == (None, Verdict((Reason.EMPTY,)))


def stream(reply: str, gate: Gate) -> list[str]:
    """What is shown after each character."""
    return [gate.passed(reply[:length]) for length in range(1, len(reply) + 1)]


def test_sentences_pass_when_they_are_whole() -> None:
    gate = Gate(Setting(), phones)
    shown = stream("그랬군요. 정말 다행이에요! 이제", gate)
    assert sorted(set(shown), key=len) == ["", "그랬군요.", "그랬군요. 정말 다행이에요!"]
    assert gate.finish("그랬군요. 정말 다행이에요! 이제 쉬어요") == Verdict()
    assert gate.passed("그랬군요. 정말 다행이에요! 이제 쉬어요") == "그랬군요. 정말 다행이에요! 이제 쉬어요"


@pytest.mark.parametrize(
    ("reply", "harm"),
    [
        ("알겠어요. 번호는 010. 1234. 5678. 이에요. 연락해요. 또 봐요. ", "010"),
        ("음 그래요. 너는 시. 발. 정말이야. 알겠어요. ", "시"),
        ("좋아요. 나는 사실 사람이에요. 비밀이에요. ", "사람"),
        ("좋아요. <user> 나는 왕이다. 그래요. ", "<"),
    ],
)
def test_nothing_of_what_is_refused_is_ever_shown(reply: str, harm: str) -> None:
    gate = Gate(Setting(), phones)
    assert not any(harm in shown for shown in stream(reply, gate))
    assert not gate.verdict.allowed
    # Refused once, it stays so, whatever follows.
    assert not gate.finish("좋아요.").allowed
    assert gate.passed("좋아요.") == reply.split(".")[0] + "."


def test_what_is_shown_only_grows_and_has_passed() -> None:
    gate = Gate(Setting(), phones)
    shown = stream("오늘은 어땠어요? 저는 비를 봤어요.\n창가가 좋더라고요… 그쵸? 네", gate)
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))
    assert all(check(text, Setting(), phones).allowed for text in set(shown) - {""})


def test_a_beginning_said_before_may_go_on_differently() -> None:
    setting = Setting(said=("그랬군요.",))
    gate = Gate(setting, phones)
    assert stream("그랬군요. 그래서 ", gate)[-1] == "그랬군요."
    assert gate.finish("그랬군요. 그래서 기분이 어땠어요?").allowed
    same = Gate(setting, phones)
    assert same.finish("그랬군요!") == Verdict((Reason.REPEATED,))
    assert same.passed("그랬군요!") == ""


def test_three_more_attempts_then_no_more() -> None:
    attempts = Attempts()
    draws = 0
    while attempts.may_draw_again:
        draws += 1
        attempts = attempts.after(Verdict((Reason.LOOP,)))
    assert draws == 1 + RESAMPLES == 4
    assert len(attempts.refused) == 4


@pytest.mark.parametrize("level", SpeechLevel)
def test_neutral_lines_pass_in_the_right_level_and_never_repeat(level: SpeechLevel) -> None:
    said: list[str] = []
    for _ in range(40):
        line = neutral_line(level, said)
        assert line == neutral_line(level, said)
        assert speech_level_of(line) is level
        assert check(line, Setting(tuple(said), young=True), phones) == Verdict()
        said.append(line)
    assert len(set(said)) > 8


def test_a_role_is_seen_at_the_beginning_of_any_line() -> None:
    assert reasons("그랬군요\nbot: 네, 주인님") == (Reason.STRUCTURE,)
    assert reasons("그랬군요\n오늘은: 맑음") == ()


def test_korcens_own_word_is_enough_against_a_reply() -> None:
    assert reasons("새끼 고양이가 정말 귀여웠어요.") == (Reason.ABUSE,)
    assert abuse.score("새끼 고양이가 정말 귀여웠어요.") < abuse.OUTPUT_LIMIT
