"""Stand-ins for the real sentence vectors: what shares letters is near, and every run gives the same."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.dual_encoder import TURNS
from model.embedding import DIMENSIONS
from model.line_vectors import LineVectors, line_key, packed, unit

Array = NDArray[np.float32]


class BigramEmbedder:
    """Pairs of neighbouring letters, hashed into 384 signed counts; `embedded` are all texts that were asked for."""

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> Array:
        self.embedded += texts
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            letters = f"^{text.replace(' ', '')}$"
            for first, second in pairwise(letters):
                code = zlib.crc32((first + second).encode())
                row[code % DIMENSIONS] += 1 if code >> 16 & 1 else -1
        return unit(vectors)


class FixedEmbedder:
    """The given numbers for each text, as the first of 384; texts it was not given are an error."""

    def __init__(self, numbers: Mapping[str, Sequence[float]]) -> None:
        self.numbers = numbers

    def embed(self, texts: Sequence[str]) -> Array:
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[: len(self.numbers[text])] = self.numbers[text]
        return vectors


def no_lines(embedder: BigramEmbedder | FixedEmbedder | None = None) -> LineVectors:
    """Vectors of a file without a line: all are made by `embedder`."""
    keys, codes = np.zeros(0, np.uint64), np.zeros((0, DIMENSIONS // 2), np.uint8)
    return LineVectors(keys, codes, np.zeros(DIMENSIONS, np.float32), embedder or BigramEmbedder())


def stored_lines(path: Path, lines: Sequence[str], mean: Array | None = None) -> Path:
    """A file with the bigram vectors of `lines`."""
    ordered = sorted(set(lines), key=line_key)
    keys = np.array([line_key(line) for line in ordered], np.uint64)
    codes = packed(BigramEmbedder().embed(ordered))
    np.savez(path, keys=keys, codes=codes, mean=np.zeros(DIMENSIONS, np.float32) if mean is None else mean)
    return path


def identity_ranker(**weights: float) -> dict[str, Array]:
    """Weights of a dual encoder that compares plain vectors; `weights`: those that are not 1 (scale, newest, ...)."""
    found: dict[str, Array | float] = {"scale": weights.get("scale", 1.0)}
    for name in (*TURNS, "reply", "fact"):
        found[f"weight.{name}"] = weights.get(name, 1.0)
        found[f"down.{name}"] = np.zeros((DIMENSIONS, 2), np.float32)
        found[f"up.{name}"] = np.zeros((2, DIMENSIONS), np.float32)
    return {name: np.asarray(values, np.float32) for name, values in found.items()}


def plain_reader(asks: Array, bias: float = 0.0, scale: float = 1.0, fit_bias: float = 0.0) -> dict[str, Array]:
    """Weights of a fact reader that compares plain vectors, and takes what is near `asks` for a question."""
    weights: dict[str, Array | float | tuple[float, ...]] = {
        # What is below zero goes through the second unit.
        "hidden": np.stack([asks, -asks], axis=1),
        "hidden.bias": (0.0, 0.0),
        "asks": (1.0, -1.0),
        "asks.bias": bias,
        "scale": scale,
        "down": np.zeros((DIMENSIONS, 2), np.float32),
        "up": np.zeros((2, DIMENSIONS), np.float32),
        "fit.bias": fit_bias,
    }
    return {name: np.asarray(values, np.float32) for name, values in weights.items()}


def damaged(path: Path, how: str) -> Path:
    """Make `path` unreadable: "missing", "empty", "text", "cut", "array" or "other" names than the right ones."""
    whole = path.read_bytes() if path.exists() else b""
    path.unlink(missing_ok=True)
    if how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("<html>404: Not Found</html>", encoding="utf-8")
    elif how == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif how == "other":
        np.savez(path, something=np.zeros(3))
    return path


WAYS_TO_DAMAGE = ("missing", "empty", "text", "cut", "array", "other")
