"""Which persona fact a question is about, over sentence vectors. No torch.

Asked about itself, the bot should say what its persona says, whoever it was made to be. Two small models decide: one
with a hidden layer tells questions about the bot from everything else, and a bilinear form (the identity plus a
low-rank map) tells which fact answers the question.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.dialogue import DialogueContext
from model.line_vectors import LineVectors, read_arrays
from model.lines import is_question

Array = NDArray[np.float32]
FACT_READER = Path(__file__).resolve().parent / "retrieval" / "fact_reader.npz"
NAMES = ("hidden", "hidden.bias", "asks", "asks.bias", "scale", "down", "up", "fit.bias")


@dataclass(frozen=True, slots=True)
class Asked:
    """The fact that would answer best. Logits: of the line asking about the bot, and of the fact answering it."""

    fact: str
    asks: float
    fit: float

    @property
    def chance(self) -> float:
        """That the line asks for this fact."""
        return 1 / (1 + math.exp(-self.asks)) / (1 + math.exp(-self.fit))


class FactReader:
    """Weights by name: see `NAMES`."""

    def __init__(self, weights: dict[str, Array], vectors: LineVectors) -> None:
        self._weights = weights
        self._vectors = vectors

    @classmethod
    def load(cls, path: Path, vectors: LineVectors) -> FactReader:
        """Read the weights. Raises BadCheckpoint when they are none of ours or damaged."""
        stored = read_arrays(path, NAMES, "training.fact_reader")
        return cls({name: weight.astype(np.float32) for name, weight in stored.items()}, vectors)

    def asked(self, context: DialogueContext) -> Asked | None:
        """The fact that would answer the newest turn best, however badly; None where nothing is asked or known."""
        if not context.persona or not context.turns or not is_question(context.turns[-1].text):
            return None
        question, *facts = self._vectors.of([context.turns[-1].text, *context.persona])
        hidden = np.maximum(question @ self._weights["hidden"] + self._weights["hidden.bias"], 0)
        asks = float(hidden @ self._weights["asks"] + self._weights["asks.bias"])
        read = self._weights["scale"] * question + question @ self._weights["down"] @ self._weights["up"]
        fits = np.stack(facts) @ read
        best = int(fits.argmax())
        return Asked(context.persona[best], asks, float(fits[best] + self._weights["fit.bias"]))
