"""The next-utterance score of a reply by two encoders over sentence vectors (Henderson et al. 2017). No torch.

One encoder reads the conversation (the newest turn, the bot's turn before, the user's before that), another the reply,
a third looks at each persona fact. All are the identity plus a low-rank map, over the vectors of `model.line_vectors`,
so that a score costs a few small products and the vectors of lines that are known already cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.dialogue import DialogueContext
from model.line_vectors import LineVectors, read_arrays
from model.lines import earlier_line, previous_reply

Array = NDArray[np.float32]
DUAL_ENCODER = Path(__file__).resolve().parent / "retrieval" / "dual_encoder.npz"
FACTS = 6
"""Persona facts looked at; those of a longer one are left out."""
TURNS = ("newest", "bot", "user")
"""The turns that the context encoder reads: the newest, the bot's before it, the user's before that."""


def turns_read(context: DialogueContext) -> tuple[str | None, str | None, str | None]:
    """The text of each of `TURNS`, None where the conversation has none."""
    newest = context.turns[-1].text if context.turns else None
    return newest, previous_reply(context.turns), earlier_line(context.turns)


class DualEncoder:
    """Weights by name: `weight.X` and `down.X`, `up.X` (the low-rank map) for each of `TURNS`, "reply" and "fact"."""

    def __init__(self, weights: dict[str, Array], vectors: LineVectors) -> None:
        self._weights = weights
        self._vectors = vectors

    @classmethod
    def load(cls, path: Path, vectors: LineVectors) -> DualEncoder:
        """Read the weights. Raises BadCheckpoint when they are none of ours or damaged."""
        stored = read_arrays(path, weight_names(), "training.dual_encoder")
        return cls({name: weight.astype(np.float32) for name, weight in stored.items()}, vectors)

    def scores(self, context: DialogueContext, replies: Sequence[str]) -> list[float]:
        """One score a reply, higher is better; logits, comparable within one conversation only."""
        if not replies:
            return []
        turns, persona = turns_read(context), context.persona[:FACTS]
        texts = [*replies, *persona, *(text for text in turns if text is not None)]
        vectors = self._vectors.of(texts)
        given, facts = vectors[: len(replies)], vectors[len(replies) : len(replies) + len(persona)]
        said = iter(vectors[len(replies) + len(persona) :])
        read = np.zeros(vectors.shape[1], np.float32)
        for name, text in zip(TURNS, turns, strict=True):
            if text is not None:
                read += self._encoded(name, next(said))
        scores = self._encoded("reply", given) @ read
        if len(facts):
            scores = scores + (given @ self._encoded("fact", facts).T).max(axis=1)
        return [float(score) for score in scores * self._weights["scale"]]

    def _encoded(self, name: str, vectors: Array) -> Array:
        low_rank = vectors @ self._weights[f"down.{name}"] @ self._weights[f"up.{name}"]
        return np.asarray(self._weights[f"weight.{name}"] * vectors + low_rank, np.float32)


def weight_names() -> list[str]:
    """All names a file of weights holds."""
    return ["scale", *(f"{part}.{name}" for name in (*TURNS, "reply", "fact") for part in ("weight", "down", "up"))]
