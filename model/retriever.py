"""Replies to the nearest contexts in our own dialogues: TF-IDF over character n-grams (Salton and Buckley 1988).

The index holds the project's dialogues only, never a user's lines. Pure Python and numpy; no torch.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.dialogue import DialogueContext, Role, SpeechLevel, Turn
from model.speech_level import speech_level_of
from model.text import clean_text

NGRAMS = (1, 2, 3)
# What the turn before adds to a match that agrees in it, and costs one that was said deep in another conversation.
_PREVIOUS_WEIGHT = 0.4


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Match:
    """A reply whose context is near. `similarity`: cosine, 1 for the same words."""

    text: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One reply of the index with what it answered; `previous` is the bot's turn before, None at an opening."""

    said: str
    reply: str
    previous: str | None
    persona: frozenset[str]
    speech_level: SpeechLevel | None


def normalise(text: str) -> str:
    """Text without what people leave out or double at will: case, spaces, punctuation, ㅋㅋ and ㅠㅠ."""
    return "".join(c for c in clean_text(text).casefold() if c.isalnum() and not "ㄱ" <= c <= "ㅣ")


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


class Retriever:
    """The index, and the rules on which of its replies may be said here."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = list(entries)
        self._said = _NgramIndex([normalise(entry.said) for entry in entries])
        self._replies = [normalise(entry.reply) for entry in entries]
        self._personas = _Numbered(entry.persona for entry in entries)
        self._levels = _Numbered(entry.speech_level for entry in entries)

    @classmethod
    def load(cls, folder: Path) -> Retriever:
        """Index every *.jsonl of `folder` (this project's dialogue format)."""
        files = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jsonl"))]
        lines = (line for text in files for line in text.split("\n") if line)
        return cls([entry for line in lines for entry in _entries(json.loads(line))])

    def __len__(self) -> int:
        return len(self._entries)

    def nearest(self, context: DialogueContext, count: int) -> list[Match]:
        """The `count` best replies that may be said in `context`, best first, none twice.

        Eligible is an entry whose own persona is empty or the active one, whose reply shows no other speech level
        than asked, and whose reply the bot has not said in this conversation.
        """
        said = normalise(context.turns[-1].text) if context.turns else ""
        if not said:
            return []
        scores = self._said.similarities(said) * self._may_be_said(context)
        previous = _previous_reply(context.turns)
        used = {normalise(text) for text in context.said_before()}
        matches: dict[str, Match] = {}
        for number in np.argsort(-scores, kind="stable"):
            # The turn before can only lower a score, so what follows cannot come before what is there.
            best = sorted((match.similarity for match in matches.values()), reverse=True)[:count]
            if scores[number] <= 0 or (len(best) == count and scores[number] <= best[-1]):
                break
            entry, reply = self._entries[number], self._replies[number]
            similarity = float(scores[number]) * _agreement(entry.previous, previous)
            if reply not in used and (reply not in matches or similarity > matches[reply].similarity):
                matches[reply] = Match(entry.reply, similarity)
        return sorted(matches.values(), key=lambda match: -match.similarity)[:count]

    def _may_be_said(self, context: DialogueContext) -> NDArray[np.bool_]:
        """Which entries persona and speech level allow, bool [entries]."""
        persona = frozenset(context.persona)
        allowed = np.isin(self._personas.of, [self._personas.number(frozenset()), self._personas.number(persona)])
        if context.speech_level is not None:
            allowed &= self._levels.of == self._levels.number(context.speech_level)
        return allowed


class _Numbered(Generic[Value]):
    """Equal values as equal numbers, so that all entries are compared at once."""

    def __init__(self, values: Iterable[Value]) -> None:
        self._numbers: dict[Value, int] = {}
        self.of = np.array([self._numbers.setdefault(value, len(self._numbers)) for value in values], np.int32)

    def number(self, value: Value) -> int:
        """The number of `value`, -1 where no entry has it."""
        return self._numbers.get(value, -1)


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


def _previous_reply(turns: Sequence[Turn]) -> str | None:
    return next((turn.text for turn in reversed(turns[:-1]) if turn.role is Role.BOT), None)


def _entries(dialogue: dict[str, object]) -> Iterable[Entry]:
    turns = dialogue["turns"]
    persona = dialogue.get("persona", [])
    assert isinstance(turns, list) and isinstance(persona, list)
    texts = [str(turn["text"]) for turn in turns]
    for index in range(1, len(turns)):
        if turns[index]["speaker"] == "bot" and turns[index - 1]["speaker"] == "user":
            yield Entry(
                said=texts[index - 1],
                reply=texts[index],
                previous=texts[index - 2] if index >= 2 else None,
                persona=frozenset(persona),
                speech_level=speech_level_of(texts[index]) or _labelled_level(dialogue),
            )


def _labelled_level(dialogue: dict[str, object]) -> SpeechLevel | None:
    label = dialogue.get("speech")
    return SpeechLevel(label) if isinstance(label, str) else None
