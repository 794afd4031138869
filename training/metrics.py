"""Measures of replies, as published. Pure: what a model scored or wrote comes in, a number goes out."""

from __future__ import annotations

import math
import string
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

from model.dialogue import SpeechLevel
from model.speech_level import speech_level_of
from model.text import clean_text


def perplexity(nats: float, tokens: int) -> float:
    """exp of the mean negative log likelihood (`nats` over `tokens`). Depends on the tokenizer."""
    return math.exp(nats / tokens)


def bits_per_character(nats: float, characters: int) -> float:
    """Negative log likelihood in bits a character of the text: comparable across tokenizers, as perplexity is not."""
    return nats / math.log(2) / characters


def hits_at_1(scores: Sequence[Sequence[float]]) -> float:
    """Share of examples whose first score, the true reply's, is the highest (ConvAI2, Dinan et al. 2019).

    Those tied at the top share the hit, so that a ranker that cannot tell its candidates apart gets chance, not 1.
    """
    hits = [(1 / list(row).count(max(row)) if row[0] == max(row) else 0.0) for row in scores]
    return sum(hits) / len(hits)


def f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of two bags of tokens, 0 where nothing is shared.

    ConvAI2's word F1 as ParlAI computes it (parlai/core/metrics.py, `_prec_recall_f1_score`). Its English
    normalisation (lower case, no punctuation, no articles) is the caller's business.
    """
    shared = sum((Counter(predicted) & Counter(gold)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(predicted), shared / len(gold)
    return 2 * precision * recall / (precision + recall)


def mean_f1(predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> float:
    """Mean of `f1` over pairs, every pair counting alike."""
    return sum(f1(*pair) for pair in zip(predicted, gold, strict=True)) / len(gold)


def distinct(replies: Sequence[Sequence[str]], n: int) -> float:
    """Different n-grams over all n-grams of the replies, none reaching across two (Li et al. 2016); 0 without any.

    Li et al. divide by tokens; by n-grams, as DialoGPT's scorer does, all-different text reaches 1 for every n.
    """
    grams = [tuple(reply[i : i + n]) for reply in replies for i in range(len(reply) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def is_punctuation(token: str) -> bool:
    """Whether ParlAI's normalisation would drop `token`: ASCII punctuation, and here Unicode's too (…, 。)."""
    return all(c in string.punctuation or unicodedata.category(c).startswith("P") for c in token)


def characters_of(text: str) -> list[str]:
    """The characters of cleaned, lower-cased text without spaces and punctuation."""
    return [c for c in clean_text(text).lower() if not c.isspace() and not is_punctuation(c)]


def speech_level_consistency(replies: Sequence[str], asked: Sequence[SpeechLevel | None]) -> float | None:
    """Share of replies that show the level asked for, among those that show one; None when none does.

    Where no level was asked for there is nothing to keep to, and the reply is left out.
    """
    shown = [(speech_level_of(reply), level) for reply, level in zip(replies, asked, strict=True) if level is not None]
    kept = [found is level for found, level in shown if found is not None]
    return sum(kept) / len(kept) if kept else None


def normalised(reply: str) -> str:
    """`reply` for comparing: cleaned, lower-cased letters and digits; as cleaned where it has none ("?!", an emoji)."""
    cleaned = clean_text(reply)
    return "".join(c for c in cleaned.lower() if c.isalnum()) or cleaned


def verbatim_copies(replies: Sequence[str], known: Collection[str]) -> float:
    """Share of replies that, normalised, are among the `known` (normalised already, best a set).

    Everyday short answers ("응, 맞아.") are copies without being memorised: compare models, not one with zero.
    """
    return sum(normalised(reply) in known for reply in replies) / len(replies)
