"""Nearness by meaning: cosines of sentence vectors of what was said, and of the bot's turn before. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.dialogue import DialogueContext
from model.line_vectors import LineVectors
from model.lines import Entry, earlier_line, has_words, previous_reply

# What a differing turn of the bot's before costs, what a like one of the user's gains, and what it costs an opening's
# reply to come in the middle of a talk: chosen by how near the found replies are to the true ones of held-out talks.
_PREVIOUS_WEIGHT = 0.2
_EARLIER_WEIGHT = 0.2
_OPENING_WEIGHT = 0.2
# A reply that is nearer to what it answered than to what is said now hangs on details that are not there. The weight
# was chosen on replies that readers judged (docs/log.md); the difference counts up to _MOST.
_REPLY_WEIGHT = 0.4
_MOST = 0.25


class VectorIndex:
    """The entries, ready to be compared with a conversation."""

    def __init__(self, entries: Sequence[Entry], vectors: LineVectors) -> None:
        self._vectors = vectors
        self._replies = [entry.reply for entry in entries]
        said = [entry.said for entry in entries]
        before = [entry.previous for entry in entries if entry.previous is not None]
        earlier = [entry.earlier for entry in entries if entry.earlier is not None]
        # Most lines come more than once: what was said is what was said earlier to the entry that follows.
        places = {text: place for place, text in enumerate(dict.fromkeys([*said, *before, *earlier]))}
        every = vectors.of(list(places))
        self._said = every[[places[text] for text in said]]
        self._is_deep = np.array([entry.previous is not None for entry in entries], bool)
        self._before = every[[places[text] for text in before]]
        self._has_earlier = np.array([entry.earlier is not None for entry in entries], bool)
        self._earlier = every[[places[text] for text in earlier]]

    def query(self, context: DialogueContext) -> VectorQuery | None:
        """The entries as seen from `context`; None where the newest turn holds no word."""
        if not has_words(context.turns):
            return None
        previous, earlier = previous_reply(context.turns), earlier_line(context.turns)
        lines = [text for text in (context.turns[-1].text, previous, earlier) if text is not None]
        newest, *before = self._vectors.of(lines)
        similarities = self._said @ newest
        if previous is None:
            similarities[self._is_deep] -= _PREVIOUS_WEIGHT
        else:
            similarities[self._is_deep] -= _PREVIOUS_WEIGHT * (1 - self._before @ before[0])
            similarities[~self._is_deep] -= _OPENING_WEIGHT
        if earlier is not None:
            similarities[self._has_earlier] += _EARLIER_WEIGHT * (self._earlier @ before[-1])
        return VectorQuery(self, similarities, newest)

    def hangs_on_details(self, number: int, newest: NDArray[np.float32]) -> float:
        """How much nearer the reply of entry `number` is to what it answered than to `newest`, at most _MOST."""
        reply = self._vectors.of([self._replies[number]])[0]
        return float(np.clip(reply @ self._said[number] - reply @ newest, -_MOST, _MOST))


class VectorQuery:
    """See `model.retriever.Query`."""

    def __init__(self, index: VectorIndex, similarities: NDArray[np.float32], newest: NDArray[np.float32]) -> None:
        self.bounds = similarities + np.float32(_REPLY_WEIGHT * _MOST)
        self._similarities = similarities
        self._index, self._newest = index, newest

    def similarity(self, number: int) -> float:
        """Cosine of what was said, less where the turns before differ and where the reply hangs on details."""
        return float(self._similarities[number]) - _REPLY_WEIGHT * self._index.hangs_on_details(number, self._newest)
