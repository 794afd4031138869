"""Hand-computed values; F1 after ParlAI's `_prec_recall_f1_score` (ConvAI2), distinct after Li et al. 2016."""

from __future__ import annotations

import math

import pytest

from model.dialogue import SpeechLevel
from training import metrics


def test_perplexity_of_a_uniform_guess_is_its_number_of_choices() -> None:
    assert metrics.perplexity(nats=3 * math.log(8), tokens=3) == pytest.approx(8)


def test_bits_per_character() -> None:
    # 12 bits over 4 characters.
    assert metrics.bits_per_character(nats=12 * math.log(2), characters=4) == pytest.approx(3)


def test_hits_of_a_perfect_a_wrong_and_a_constant_ranker() -> None:
    assert metrics.hits_at_1([[2.0] + [1.0] * 19] * 3) == 1
    assert metrics.hits_at_1([[1.0] * 19 + [2.0]] * 3) == 0
    assert metrics.hits_at_1([[0.5] * 20] * 3) == pytest.approx(1 / 20)


def test_hits_is_a_share_of_the_examples() -> None:
    assert metrics.hits_at_1([[2.0, 1.0], [1.0, 2.0], [3.0, 0.0], [1.0, 1.0]]) == pytest.approx(2.5 / 4)


@pytest.mark.parametrize(
    ("predicted", "gold", "expected"),
    [
        ("a b c", "a b c", 1.0),
        # 2 shared: precision 2/4, recall 2/3, 2pr/(p+r) = 4/7.
        ("a b x y", "a b c", 4 / 7),
        # A word counts as often as both have it: 1 shared of 3 and 2.
        ("a a a", "a b", 2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2)),
        ("c b a", "a b c", 1.0),
        ("x", "a b", 0.0),
        ("", "a b", 0.0),
        ("a", "", 0.0),
        ("", "", 0.0),
    ],
)
def test_f1_by_hand(predicted: str, gold: str, expected: float) -> None:
    assert metrics.f1(predicted.split(), gold.split()) == pytest.approx(expected)


def test_mean_f1_counts_every_pair_alike() -> None:
    assert metrics.mean_f1([["a"], [], ["a", "b", "c", "d"]], [["a"], ["b"], ["a"]]) == pytest.approx((1 + 0 + 0.4) / 3)


def test_distinct_by_hand() -> None:
    replies = [["나", "는", "나"], ["나", "는"]]
    assert metrics.distinct(replies, 1) == pytest.approx(2 / 5)
    # 나 는, 는 나, 나 는: none reaches from one reply into the next.
    assert metrics.distinct(replies, 2) == pytest.approx(2 / 3)


def test_distinct_without_any_ngram_is_zero() -> None:
    assert metrics.distinct([["응"], []], 2) == 0
    assert metrics.distinct([], 1) == 0


def test_punctuation_is_what_carries_no_words() -> None:
    dropped = [
        token for token in ["!?", "…", "。", "~", "ㅋㅋ", "3", "ok", "♡", "안녕!"] if metrics.is_punctuation(token)
    ]
    assert dropped == ["!?", "…", "。", "~"]


def test_characters_drop_spaces_case_and_punctuation() -> None:
    assert metrics.characters_of("  나,  OK!\u200b") == ["나", "o", "k"]


def test_speech_level_consistency_skips_what_shows_or_asks_none() -> None:
    replies = ["좋아요.", "좋아.", "ㅋㅋ", "반가워요.", "뭐해?"]
    asked = [SpeechLevel.HAEYO, SpeechLevel.HAEYO, SpeechLevel.HAEYO, None, SpeechLevel.BANMAL]
    assert metrics.speech_level_consistency(replies, asked) == pytest.approx(2 / 3)
    assert metrics.speech_level_consistency(["ㅋㅋ", "좋아."], [SpeechLevel.HAEYO, None]) is None


def test_copies_are_found_whatever_their_spacing_and_punctuation() -> None:
    known = {metrics.normalised("응, 나도 그래!"), metrics.normalised("?!")}
    assert metrics.verbatim_copies(["응 나도 그래~", "?!", "아니", ""], known) == pytest.approx(2 / 4)


def test_replies_of_signs_alone_stay_apart() -> None:
    assert metrics.normalised("?!") != metrics.normalised("♡")
