"""Sentence vectors: of the project's own lines from a file, of others made when they are met. No torch.

The file (`python -m training.vectors` writes it) holds the vectors of multilingual-e5-small less their mean, in 4 bits
a number: e5's vectors all point one way (cosines of .8 and more between any two lines), and what tells lines apart is
in the rest (Mu and Viswanath 2018). Rounding leaves their cosine with themselves at .99.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from model.embedding import Embedder
from model.errors import BadCheckpoint
from model.files import write_bytes
from model.text import clean_text

VECTORS = Path(__file__).resolve().parent / "retrieval" / "vectors.npz"
# 4 bits: -7 to 7, stored from 1 to 15, two numbers a byte.
_LEVELS = 7
_ZERO = 8
# Both numbers of each byte: reading a table is several times as fast as shifting and masking.
_PAIRS = np.array([(byte >> 4, byte & 15) for byte in range(256)], np.float32) - np.float32(_ZERO)


def line_key(text: str) -> int:
    """What a line is found by in the file: 64 bits of a hash of its cleaned text."""
    return int.from_bytes(hashlib.blake2b(clean_text(text).encode(), digest_size=8).digest(), "little")


class LineVectors:
    """Unit vectors of lines, less what all lines share.

    `keys`: uint64 [lines], ascending; `codes`: uint8 [lines, 192], two of the 384 numbers a byte; `mean`: float32
    [384].
    """

    def __init__(
        self, keys: NDArray[np.uint64], codes: NDArray[np.uint8], mean: NDArray[np.float32], embedder: Embedder
    ) -> None:
        self.keys, self.codes, self.mean = keys, codes, mean
        self._embedder = embedder

    @classmethod
    def load(cls, path: Path, embedder: Embedder) -> LineVectors:
        """Read the file. Raises BadCheckpoint when it is none of ours or damaged."""
        stored = read_arrays(path, ("keys", "codes", "mean"), "training.vectors")
        return cls(stored["keys"], stored["codes"], stored["mean"], embedder)

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, float32 [texts, 384]."""
        vectors = np.zeros((len(texts), len(self.mean)), np.float32)
        places = self._places(texts)
        known = places >= 0
        vectors[known] = unpacked(self.codes[places[known]])
        new = [text for text, place in zip(texts, places, strict=True) if place < 0]
        if new:
            vectors[~known] = self._embedder.embed(new) - self.mean
        return unit(vectors)

    def _places(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Row of each text in the file, -1 for those it lacks."""
        wanted = np.array([line_key(text) for text in texts], np.uint64)
        places = np.searchsorted(self.keys, wanted)
        inside = np.minimum(places, max(0, len(self.keys) - 1))
        found = (self.keys[inside] == wanted) if len(self.keys) else np.zeros(len(texts), bool)
        return np.where(found, inside, -1).astype(np.int64)


def read_arrays(path: Path, names: Sequence[str], maker: str) -> dict[str, NDArray[Any]]:
    """The arrays called `names` of an .npz that `python -m maker` writes. Raises BadCheckpoint where there are none."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile) as error:
        raise BadCheckpoint(f"{path} cannot be read ({error}); make it anew with python -m {maker}.") from error


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an .npz that `read_arrays` reads, wholly or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def packed(vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Directions of the rows, which are all that a cosine looks at, uint8 [rows, half of the dimensions]."""
    largest = np.maximum(np.abs(vectors).max(axis=-1, keepdims=True), 1e-12)
    levels = (np.rint(vectors / largest * _LEVELS) + _ZERO).astype(np.uint8)
    return np.asarray(levels[:, ::2] << 4 | levels[:, 1::2], np.uint8)


def unpacked(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The rows that `packed` was given, rounded and not of unit length, float32."""
    return _PAIRS[codes].reshape(len(codes), 2 * codes.shape[1])
