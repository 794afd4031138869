"""The systems that are compared: what is served, its parts alone, and plain retrieval.

Each answers a list of contexts at once. The lookups hold the project's own dialogues less those held out, so that no
measured line can be found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from model.checkpoint import Checkpoint
from model.dialogue import Candidate, DialogueContext, Finish, Sampling, Source
from model.finder import Finder
from model.lines import Entry, load_entries
from model.ranker import choose, log_odds
from training.collected import BASE_DATA
from training.examples import HELD_OUT_PERCENT, is_held_out
from training.scoring import generate_replies

System = Callable[[Sequence[DialogueContext]], list[Candidate]]
CANDIDATES = 4
_BATCH = 32


def learnt_entries(folder: Path = BASE_DATA) -> list[Entry]:
    """The entries of the dialogues that training may see."""
    return load_entries(folder, lambda opening: not is_held_out(opening, HELD_OUT_PERCENT))


def generator_alone(checkpoint: Checkpoint, finder: Finder | None, seed: int = 0) -> System:
    """Four candidates of the model, the best by the served ranker (the dual encoder where there is one)."""

    def answer(contexts: Sequence[DialogueContext]) -> list[Candidate]:
        sampling = Sampling(candidates=1, max_new_tokens=min(48, checkpoint.max_positions // 2))
        drafts = [
            generate_replies(checkpoint, contexts, replace(sampling, seed=seed + number), _BATCH)
            for number in range(CANDIDATES)
        ]
        return [
            _best_written([draft[index] for draft in drafts], context, finder) for index, context in enumerate(contexts)
        ]

    return answer


def _best_written(written: Sequence[Candidate], context: DialogueContext, finder: Finder | None) -> Candidate:
    scores = finder.scores(context, [candidate.text for candidate in written]) if finder is not None else None
    if scores is not None:
        written = [replace(candidate, score=score) for candidate, score in zip(written, scores, strict=True)]
    ranked = choose(written, context)
    return ranked[0] if ranked else Candidate("", Source.GENERATOR, Finish.STOP)


def plain_retrieval(finder: Finder) -> System:
    """The reply to the nearest question, however far it is."""

    def answer(contexts: Sequence[DialogueContext]) -> list[Candidate]:
        return [_found(finder.nearest_dialogue(context)) for context in contexts]

    return answer


def _found(text: str | None) -> Candidate:
    return Candidate(text or "", Source.RETRIEVER, Finish.STOP)


def served(finder: Finder, generator: System, generator_confidence: float) -> System:
    """What the bot answers: the likeliest of what was looked up, or the model's where that is likelier to fit."""

    def answer(contexts: Sequence[DialogueContext]) -> list[Candidate]:
        matches = [next(iter(finder.nearest(context, 1)), None) for context in contexts]
        likely = [match if match and match.confidence >= generator_confidence else None for match in matches]
        left = [context for context, match in zip(contexts, likely, strict=True) if match is None]
        written = iter(generator(left) if left else [])
        return [
            next(written)
            if match is None
            else Candidate(match.text, match.source, Finish.STOP, log_odds(match.confidence))
            for match in likely
        ]

    return answer
