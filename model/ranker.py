"""From a request to its reply: where candidates come from, and which of them is sent. No torch."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Protocol

from model.dialogue import Candidate, DialogueContext, Finish, Reply, Sampling
from model.errors import EngineFailed
from model.lines import normalise
from model.protocol import EngineConfig, Submit
from model.retriever import Match
from model.scheduler import Answer
from model.speech_level import speech_level_of
from model.text import clean_text

# With the generator that ships, what is looked up goes out unasked where it fits with TAKE_CONFIDENCE, and what is
# generated fits with GENERATOR_CONFIDENCE (shares that readers found, docs/log.md). Raise both with a better generator.
TAKE_CONFIDENCE = 0.1
GENERATOR_CONFIDENCE = 0.05
# Matches that are told of beside the best one.
_LOOKED_UP = 3


class Generation(Protocol):
    """One request in the backend: candidates that share a prompt, advanced by the backend's steps."""

    @property
    def finished(self) -> bool:
        """Every candidate has ended."""
        ...

    def text(self) -> str:
        """The first candidate so far; later text only adds to it."""
        ...

    def candidates(self) -> list[Candidate]:
        """The candidates, once finished.

        With their scores where several were asked for and the backend gets these without reading the prompt again.
        """
        ...

    def close(self) -> None:
        """Free everything at once, finished or not. Closing twice is no error."""
        ...


class Backend(Protocol):
    """A loaded model."""

    version: str

    def start(self, context: DialogueContext, sampling: Sampling) -> Generation:
        """Admit a request; the model's work on it is done by `step`. Raises ContextTooLong when it can never fit."""
        ...

    def step(self) -> None:
        """One step of the model for all open generations; nothing when there are none."""
        ...

    def score(self, context: DialogueContext, texts: Sequence[str]) -> list[float] | None:
        """Next-utterance scores of `texts`, higher is better; None from a model that cannot tell."""
        ...


class Lookup(Protocol):
    """Replies that need no generating: `model.finder.Finder`, or a fixed answer in tests."""

    def nearest(self, context: DialogueContext, count: int) -> list[Match]:
        """At most `count` matches, best first; their confidence is the chance that they fit."""
        ...

    def scores(self, context: DialogueContext, texts: Sequence[str]) -> list[float] | None:
        """Next-utterance scores of `texts`, higher is better; None where the model's own are to be taken."""
        ...


class Answerer:
    """Makes replies: looks them up or generates candidates, ranks them, takes the best."""

    def __init__(self, backend: Backend, lookup: Lookup | None, config: EngineConfig) -> None:
        self._backend = backend
        self._lookup = lookup
        self._take = config.take_confidence
        self._generator = config.generator_confidence

    def answer(self, request: Submit) -> Answer:
        """One request, advanced once after each step of the backend.

        Raises ContextTooLong, and EngineFailed when the model says nothing at all.
        """
        began = time.monotonic()
        found = [_as_candidate(match) for match in self._found(request.context)]
        best_found = found[0].score if found else None
        if best_found is not None and best_found >= log_odds(self._take):
            if request.streamed:
                yield found[0].text
            written, ranked = [], found
        elif request.streamed:
            written = yield from self._written(request.context, replace(request.sampling, candidates=1), streamed=True)
            ranked = written
        else:
            written = yield from self._written(request.context, request.sampling, streamed=False, enough=bool(found))
            ranked = choose([*self._ranked(written, request.context), *found], request.context)
        best = ranked[0]
        return Reply(
            text=best.text,
            source=best.source,
            model_version=self._backend.version,
            finish=best.finish,
            seconds=time.monotonic() - began,
            candidates=tuple(ranked),
            tokens=sum(candidate.tokens for candidate in written),
        )

    def _found(self, context: DialogueContext) -> list[Match]:
        """What was looked up, without what is less likely to fit than what the model would write."""
        found = self._lookup.nearest(context, _LOOKED_UP) if self._lookup is not None else []
        return [match for match in found if match.text.strip() and match.confidence >= self._generator]

    def _written(
        self, context: DialogueContext, sampling: Sampling, streamed: bool, enough: bool = False
    ) -> Generator[str, None, list[Candidate]]:
        """Generated candidates, at least one of them not empty unless there is `enough` without them."""
        seed = sampling.seed or 0
        for attempt in (seed, seed + 1):
            written = yield from self._generate(context, replace(sampling, seed=attempt), streamed)
            if enough or any(candidate.text for candidate in written):
                return written
        raise EngineFailed("The model had nothing to say, twice; ask again, or in other words.")

    def _generate(
        self, context: DialogueContext, sampling: Sampling, streamed: bool
    ) -> Generator[str, None, list[Candidate]]:
        generation = self._backend.start(context, sampling)
        try:
            shown = 0
            while True:
                text = generation.text() if streamed else ""
                if generation.finished and len(text) == shown:
                    return generation.candidates()
                yield text[shown:]
                shown = len(text)
        finally:
            generation.close()

    def _ranked(self, written: Sequence[Candidate], context: DialogueContext) -> list[Candidate]:
        """The model's candidates, best first, on the scale of what was looked up: the log-odds that they fit.

        One alone is not ranked, nor are any where nothing was looked up to compare them with.
        """
        kept = eligible(written, context)
        ranked = choose(self._scored(kept, context) if len(kept) > 1 else kept, context)
        if self._lookup is None:
            return ranked
        best = log_odds(self._generator)
        return [replace(candidate, score=best - place) for place, candidate in enumerate(ranked)]

    def _scored(self, candidates: Sequence[Candidate], context: DialogueContext) -> Sequence[Candidate]:
        """The candidates with next-utterance scores: the lookup's, else those that the backend has or gives."""
        found = self._lookup.scores(context, [each.text for each in candidates]) if self._lookup is not None else None
        if found is not None:
            return [replace(each, score=score) for each, score in zip(candidates, found, strict=True)]
        without = [candidate.text for candidate in candidates if candidate.score is None]
        found = self._backend.score(context, without) if without else []
        if found is None:
            return candidates
        scores = iter(found)
        return [replace(each, score=next(scores)) if each.score is None else each for each in candidates]


def _as_candidate(match: Match) -> Candidate:
    return Candidate(match.text.strip(), match.source, Finish.STOP, log_odds(match.confidence))


def log_odds(chance: float) -> float:
    """log(p / (1 - p)), finite at both ends."""
    kept = min(max(chance, 1e-6), 1 - 1e-6)
    return math.log(kept / (1 - kept))


def choose(candidates: Sequence[Candidate], context: DialogueContext) -> list[Candidate]:
    """The eligible candidates, best first: in the asked speech level, whole, then by score."""

    def rank(candidate: Candidate) -> tuple[bool, bool, float]:
        shown = speech_level_of(candidate.text)
        wrong_level = None not in (shown, context.speech_level) and shown is not context.speech_level
        return wrong_level, candidate.finish is Finish.LENGTH, -(candidate.score or 0.0)

    return sorted(eligible(candidates, context), key=rank)


def eligible(candidates: Sequence[Candidate], context: DialogueContext) -> list[Candidate]:
    """Candidates with text, each text once, without what must not be repeated unless nothing else is left."""
    distinct: dict[str, Candidate] = {}
    for candidate in candidates:
        if candidate.text.strip():
            distinct.setdefault(candidate.text, candidate)
    said = {_essence(text) for text in context.said_before()}
    fresh = [candidate for candidate in distinct.values() if _essence(candidate.text) not in said]
    return fresh or list(distinct.values())


def _essence(text: str) -> str:
    """What lines share that differ only in spacing, case and the like; the line itself when that is nothing."""
    return normalise(text) or clean_text(text)
