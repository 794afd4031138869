"""Replies to the nearest contexts in our own dialogues (retrieve and refine: Weston, Dinan and Miller 2018).

The index holds the project's dialogues only, never a user's lines. No torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.character_index import CharacterIndex
from model.dialogue import DialogueContext, Source
from model.lines import Entry, normalise

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Match:
    """A reply that may be said. `confidence`: how near it is, or the chance that it fits, as whoever found it tells."""

    text: str
    confidence: float
    source: Source = Source.RETRIEVER
    said: str | None = None
    """What it answered once, where that is known."""
    deep: bool = False
    """Whether it did so in the midst of a talk."""
    general: bool = False
    """Whether it answers what is done with the words (a plan, a regret), whatever they are about."""
    chance: float | None = None
    """Of a reaction, how surely what it reacts to was told."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The chances that a reply is sensible as the next line, and that it is sensible and about this very line."""

    sensible: float
    specific: float


class Query(Protocol):
    """The entries of an index as seen from one conversation."""

    bounds: NDArray[np.float32]
    """What each entry's similarity is at most, float32 [entries]."""

    def similarity(self, number: int) -> float:
        """How near the context of entry `number` is."""
        ...


class Index(Protocol):
    """What tells how near contexts are: `CharacterIndex` or `VectorIndex`."""

    def query(self, context: DialogueContext) -> Query | None:
        """The entries as seen from `context`; None where nothing can be near."""
        ...


class Retriever:
    """The entries, their index, and the rules on which of the replies may be said here."""

    def __init__(self, entries: Sequence[Entry], index: Index | None = None) -> None:
        self._entries = list(entries)
        self._index: Index = index or CharacterIndex(self._entries)
        self._personas = _Numbered(entry.persona for entry in entries)
        self._levels = _Numbered(entry.speech_level for entry in entries)

    def __len__(self) -> int:
        return len(self._entries)

    def nearest(self, context: DialogueContext, count: int, own_only: bool = False) -> list[Match]:
        """The `count` best replies that may be said in `context`, best first, none twice; their confidence is nearness.

        Eligible is an entry whose own persona is empty or the active one, whose reply shows no other speech level
        than asked, and whose reply the bot has not said in this conversation. With `own_only`, as where the bot is
        asked about itself, the entry's persona has to be the active one.
        """
        query = self._index.query(context)
        if query is None:
            return []
        bounds = query.bounds * self._may_be_said(context, own_only)
        used = {normalise(text) for text in context.said_before()}
        matches: dict[str, Match] = {}
        for number in np.argsort(-bounds, kind="stable"):
            # No similarity is above its bound, so what follows cannot come before what is there.
            best = sorted((match.confidence for match in matches.values()), reverse=True)[:count]
            if bounds[number] <= 0 or (len(best) == count and bounds[number] <= best[-1]):
                break
            entry = self._entries[number]
            reply = normalise(entry.reply)
            similarity = query.similarity(int(number))
            if reply not in used and (reply not in matches or similarity > matches[reply].confidence):
                matches[reply] = Match(entry.reply, similarity, said=entry.said, deep=entry.previous is not None)
        return sorted(matches.values(), key=lambda match: -match.confidence)[:count]

    def knows(self, persona: Iterable[str]) -> bool:
        """Whether any entry has this very persona."""
        return self._personas.number(frozenset(persona)) >= 0

    def _may_be_said(self, context: DialogueContext, own_only: bool) -> NDArray[np.bool_]:
        """Which entries persona and speech level allow, bool [entries]."""
        personas = [frozenset(context.persona)] if own_only else [frozenset(context.persona), frozenset[str]()]
        allowed = np.isin(self._personas.of, [self._personas.number(persona) for persona in personas])
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
