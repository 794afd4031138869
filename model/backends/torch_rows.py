"""The keys and values of the sequences that are being written: one row a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Sizes grow by doubling from here, so that few requests make the memory move.
_LEAST_POSITIONS = 64


@dataclass(slots=True, eq=False)
class Row:
    """A sequence's place: its number, and how many positions of it are filled."""

    slot: int = -1
    length: int = 0


@dataclass(frozen=True, slots=True)
class KeyValueShape:
    """What one position of a sequence needs."""

    layers: int
    heads: int
    head_size: int
    dtype: torch.dtype
    device: torch.device

    @property
    def position_bytes(self) -> int:
        """Bytes of one position of one row."""
        return self.layers * 2 * self.heads * self.head_size * self.dtype.itemsize


class RowCache:
    """Rows of equal length without gaps: rows 0 to `count - 1` are in use, whichever of them are given back.

    `layers[n]` is [2 (key, value), rows, heads, positions, head_size]; `ids` int64 [rows, positions] has the tokens,
    filled up with the first one, so that whoever looks at a whole row sees only tokens that are in it. Memory is taken
    for what runs now, within `limit` bytes, and changes its form with it.
    """

    def __init__(self, shape: KeyValueShape, limit: int) -> None:
        self._shape = shape
        self._limit = limit
        self._fixed = False
        self._owners: list[Row] = []
        self._allocate(0, 0)

    def _allocate(self, rows: int, positions: int) -> None:
        self.rows, self.positions = rows, positions
        shape = (2, rows, self._shape.heads, positions, self._shape.head_size)
        # Zeros, not whatever was there: attention multiplies masked values by 0, and NaN * 0 is NaN.
        self.layers = [self._zeros(shape) for _ in range(self._shape.layers)]
        self.ids = torch.zeros(rows, positions, dtype=torch.long, device=self._shape.device)

    def _zeros(self, shape: tuple[int, ...]) -> Tensor:
        return torch.zeros(shape, dtype=self._shape.dtype, device=self._shape.device)

    @property
    def count(self) -> int:
        """Rows in use."""
        return len(self._owners)

    @property
    def bytes(self) -> int:
        """Memory taken."""
        return self.rows * self.positions * self._shape.position_bytes

    def fix(self, positions: int) -> None:
        """Take all the memory now, as rows of `positions` each, and leave it where it is."""
        self._allocate(max(1, self._limit // (positions * self._shape.position_bytes)), positions)
        self._fixed = True

    def lengths(self, rows: int) -> list[int]:
        """How much of each of the first `rows` rows is filled."""
        return [*(row.length for row in self._owners[:rows]), *[0] * (rows - self.count)]

    def holds(self, rows: int, positions: int) -> bool:
        """Whether so much can be had at all, with nothing else beside it."""
        if self._fixed:
            return rows <= self.rows and positions <= self.positions
        return rows * positions * self._shape.position_bytes <= self._limit

    def fit(self, rows: int, positions: int) -> bool:
        """Make room for `rows` rows of `positions` each, those in use among them; False when the limit forbids it."""
        if rows <= self.rows and positions <= self.positions:
            return True
        if self._fixed:
            return False
        doubled = _doubled(rows, 1), _doubled(positions, _LEAST_POSITIONS)
        kept = max(self.rows, doubled[0]), max(self.positions, doubled[1])
        for form in (kept, doubled, (rows, positions)):
            if self.holds(*form):
                self._reform(*form)
                return True
        return False

    def _reform(self, rows: int, positions: int) -> None:
        used = max((row.length for row in self._owners), default=0)
        count = self.count
        shape = (2, rows, self._shape.heads, positions, self._shape.head_size)
        for number, old in enumerate(self.layers):  # layer by layer, so that at most one of them is there twice
            new = self._zeros(shape)
            new[:, :count, :, :used] = old[:, :count, :, :used]
            self.layers[number] = new
        ids = torch.zeros(rows, positions, dtype=torch.long, device=self._shape.device)
        ids[:count] = self.ids[:count, :1] if self.positions else 0
        ids[:count, : min(positions, self.positions)] = self.ids[:count, :positions]
        self.ids, self.rows, self.positions = ids, rows, positions

    def take(self, row: Row, ids: Sequence[int]) -> None:
        """Give `row` a place for a sequence that begins with `ids`; `fit` has made room for it."""
        row.slot, row.length = self.count, 0
        self._owners.append(row)
        self.ids[row.slot] = ids[0]
        self.ids[row.slot, : len(ids)] = torch.tensor(ids, device=self.ids.device)

    def copy(self, source: Row, target: Row) -> None:
        """Make `target`, a place taken, the same as `source`."""
        for layer in self.layers:
            layer[:, target.slot, :, : source.length] = layer[:, source.slot, :, : source.length]
        self.ids[target.slot] = self.ids[source.slot]
        target.length = source.length

    def release(self, row: Row) -> None:
        """Give a place back; the last row moves into the gap. A row without a place is no error."""
        if row.slot < 0:
            return
        last = self._owners.pop()
        if last is not row:
            slot, last_slot = row.slot, last.slot
            for layer in self.layers:
                layer[:, slot, :, : last.length] = layer[:, last_slot, :, : last.length]
            self.ids[slot] = self.ids[last_slot]
            last.slot = slot
            self._owners[slot] = last
        row.slot = -1

    def read(self, row: Row, start: int, end: int) -> Tensor:
        """A copy of some positions, [layers, 2, heads, end - start, head_size]."""
        return torch.stack([layer[:, row.slot, :, start:end] for layer in self.layers])

    def write(self, row: Row, values: Tensor) -> None:
        """Append what `read` gave."""
        end = row.length + values.shape[3]
        for layer, value in zip(self.layers, values, strict=True):
            layer[:, row.slot, :, row.length : end] = value
        row.length = end


def _doubled(number: int, least: int) -> int:
    while least < number:
        least *= 2
    return least
