"""What somebody does with a line: tells of a joy, plans, regrets, asks for advice. A linear map, no torch.

The acts are those that general listening lines and reactions are there for (`model.listener`); the map goes from the
sentence vector of the newest turn to one logit an act (`python -m training.act_reader`).
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.dialogue import DialogueContext
from model.line_vectors import LineVectors, read_arrays
from model.lines import has_words

ACT_READER = Path(__file__).resolve().parent / "retrieval" / "act_reader.npz"


class ActReader:
    """`acts`: their names; `weight`: float32 [384, acts]; `bias`: float32 [acts]."""

    def __init__(
        self, acts: list[str], weight: NDArray[np.float32], bias: NDArray[np.float32], vectors: LineVectors
    ) -> None:
        self._acts, self._weight, self._bias = acts, weight, bias
        self._vectors = vectors

    @classmethod
    def load(cls, path: Path, vectors: LineVectors) -> ActReader:
        """Read the weights. Raises BadCheckpoint when they are none of ours or damaged."""
        stored = read_arrays(path, ("acts", "weight", "bias"), "training.act_reader")
        weight, bias = stored["weight"].astype(np.float32), stored["bias"].astype(np.float32)
        return cls([str(act) for act in stored["acts"]], weight, bias, vectors)

    def acts(self, context: DialogueContext, count: int, among: Collection[str]) -> dict[str, float]:
        """The `count` likeliest of the acts `among` with their chances, the likeliest first; none without a word."""
        if not has_words(context.turns):
            return {}
        logits = self._vectors.of([context.turns[-1].text])[0] @ self._weight + self._bias
        chances = 1 / (1 + np.exp(-logits))
        ordered = (number for number in np.argsort(-logits, kind="stable") if self._acts[number] in among)
        return {self._acts[number]: float(chances[number]) for number in islice(ordered, count)}
