"""Nearness by characters: TF-IDF over character n-grams (Salton and Buckley 1988). Pure Python and numpy; no torch.

It needs no weights and runs anywhere; where there are sentence vectors, `model.vector_index` finds more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.dialogue import DialogueContext
from model.lines import Entry, normalise, previous_reply

NGRAMS = (1, 2, 3)
# What the turn before adds to a match that agrees in it, and costs one that was said deep in another conversation.
_PREVIOUS_WEIGHT = 0.4


class CharacterIndex:
    """The entries, ready to be compared with a conversation."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._said = _NgramIndex([normalise(entry.said) for entry in entries])

    def query(self, context: DialogueContext) -> CharacterQuery | None:
        """The entries as seen from `context`; None where the newest turn holds no word."""
        said = normalise(context.turns[-1].text) if context.turns else ""
        if not said:
            return None
        return CharacterQuery(self._entries, self._said.similarities(said), previous_reply(context.turns))


class CharacterQuery:
    """See `model.retriever.Query`."""

    def __init__(self, entries: Sequence[Entry], similarities: NDArray[np.float32], previous: str | None) -> None:
        self.bounds = similarities
        self._entries = entries
        self._previous = previous

    def similarity(self, number: int) -> float:
        """Cosine of what was said, less for one from deep in a talk, unless the turn before was alike."""
        return float(self.bounds[number]) * _agreement(self._entries[number].previous, self._previous)


class _NgramIndex:
    """Cosine similarity of a text to many, through posting lists."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [_ngrams(text) for text in texts]
        documents = Counter(ngram for count in counts for ngram in count)
        self._idf = {ngram: math.log((1 + len(texts)) / (1 + n)) + 1 for ngram, n in documents.items()}
        self._size = len(texts)
        postings: dict[str, tuple[list[int], list[float]]] = {ngram: ([], []) for ngram in documents}
        for number, count in enumerate(counts):
            for ngram, weight in self._weights(count).items():
                postings[ngram][0].append(number)
                postings[ngram][1].append(weight)
        self._postings = {
            ngram: (np.array(numbers, np.int32), np.array(weights, np.float32))
            for ngram, (numbers, weights) in postings.items()
        }

    def _weights(self, count: Counter[str]) -> dict[str, float]:
        raw = {ngram: (1 + math.log(n)) * self._idf[ngram] for ngram, n in count.items() if ngram in self._idf}
        norm = math.sqrt(sum(weight * weight for weight in raw.values())) or 1.0
        return {ngram: weight / norm for ngram, weight in raw.items()}

    def similarities(self, text: str) -> NDArray[np.float32]:
        """Cosine to every text of the index, float32 [texts]."""
        scores = np.zeros(self._size, np.float32)
        count = _ngrams(text)
        weights = self._weights(count)
        # What the index never saw counts as difference too, else a rare word would vanish from the query.
        unseen = sum((1 + math.log(n)) ** 2 for ngram, n in count.items() if ngram not in self._idf)
        known = sum(((1 + math.log(n)) * self._idf[ngram]) ** 2 for ngram, n in count.items() if ngram in self._idf)
        idf_unseen = math.log(1 + self._size) + 1
        share = math.sqrt(known / (known + unseen * idf_unseen**2)) if known else 0.0
        for ngram, weight in weights.items():
            numbers, values = self._postings[ngram]
            scores[numbers] += values * np.float32(weight * share)
        return scores


def _ngrams(text: str) -> Counter[str]:
    # The bars mark the ends, so that how a line starts and ends weighs too.
    padded = f"|{text}|"
    return Counter(padded[i : i + n] for n in NGRAMS for i in range(len(padded) - n + 1))


def _agreement(entry_previous: str | None, previous: str | None) -> float:
    """1 for an opening's reply; less for one from deep in a talk, unless the turn before was alike."""
    if entry_previous is None:
        return 1.0
    shared = _overlap(entry_previous, previous) if previous else 0.0
    return 1 - _PREVIOUS_WEIGHT * (1 - shared)


def _overlap(left: str, right: str) -> float:
    """Dice coefficient of the character bigrams of two lines."""
    a, b = ({text[i : i + 2] for i in range(len(text) - 1)} for text in (normalise(left), normalise(right)))
    return 2 * len(a & b) / (len(a) + len(b)) if a and b else 0.0
