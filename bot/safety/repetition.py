"""Whether a reply says again what was said: near an earlier reply, or in a loop of its own. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from model.lines import normalise
from model.text import clean_text

# Replies of the conversation that are looked back on.
REMEMBERED = 8
# Dice coefficient of letter bigrams from which two replies are nearly the same: one word of five may differ.
NEAR = 0.8
# Letters of a sentence that must not come back word for word. Shorter ones (그랬군요, 오늘은 어땠어요) are manners.
_LONG_SENTENCE = 12
# Longer texts are judged by their beginning, to keep time bounded.
_MAX_LETTERS = 1000
_SENTENCE = re.compile(r"[.!?~…\n]+")
_LOOPS = (
    # A phrase three times in a row, a word of cheering (화이팅, 빨리, 두근) five times, a clause twice.
    re.compile(r"(.{4,40}?)\1{2}"),
    re.compile(r"(.{2,3}?)\1{4}"),
    re.compile(r"(.{8,120}?)\1"),
)


def repeats(reply: str, said: Sequence[str]) -> bool:
    """Whether `reply` equals or nearly equals one of the last 8 of `said` (oldest first), or takes a long sentence.

    Compared are letters only, so that spaces, punctuation and ㅋㅋ make no difference; nearness is the Dice coefficient
    (Dice 1945) of their bigrams, ends included.
    """
    essence = _essence(reply)
    pairs, sentences = _bigrams(essence), set(_sentences(reply))
    for line in said[-REMEMBERED:]:
        earlier = _essence(line)
        if essence == earlier or (sentences and not sentences.isdisjoint(_sentences(line))):
            return True
        if _may_be_near(essence, earlier) and _dice(pairs, _bigrams(earlier)) >= NEAR:
            return True
    return False


def has_loop(reply: str) -> bool:
    """Whether a reply runs in circles: a phrase or a clause again and again, or a long sentence twice.

    Laughter, cheering and drawn out sounds (ㅋㅋㅋㅋ, 하하하하, 빨리 빨리, 와아아아) are none.
    """
    letters = normalise(reply)[:_MAX_LETTERS]
    if any(len(set(found[1])) > 1 for loop in _LOOPS for found in loop.finditer(letters)):
        return True
    sentences = _sentences(reply)
    return len(sentences) > len(set(sentences))


def _essence(text: str) -> str:
    """The letters; the text itself where there are none (ㅋㅋ, an emoji)."""
    return normalise(text)[:_MAX_LETTERS] or clean_text(text)


def _sentences(text: str) -> list[str]:
    """The long sentences, letters only."""
    parts: Iterable[str] = (normalise(part) for part in _SENTENCE.split(text))
    return [part for part in parts if len(part) >= _LONG_SENTENCE]


def _may_be_near(one: str, other: str) -> bool:
    """Whether the lengths alone allow a Dice coefficient of NEAR: most pairs of lines need no counting."""
    shorter, longer = sorted((len(one) + 1, len(other) + 1))
    return 2 * shorter >= NEAR * (shorter + longer)


def _bigrams(letters: str) -> Counter[str]:
    marked = f"^{letters}$"
    return Counter(first + second for first, second in pairwise(marked))


def _dice(one: Counter[str], other: Counter[str]) -> float:
    return 2 * (one & other).total() / (one.total() + other.total())
