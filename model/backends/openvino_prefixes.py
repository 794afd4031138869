"""When a prompt should wait for another that is being read. Pure; no OpenVINO.

GenAI's prefix cache shares blocks of 32 tokens that were read before. Two things it leaves to its user:

- Prompts that start in the same step share nothing. A prompt that waits one step for another with the same beginning
  finds that in the cache.
- A block that was filled in part, where an earlier text ended, is shared too, by several prompts at once; each then
  writes its own next tokens into it, over those of the others (seen in 2026.4.1: two conversations get into each
  other's replies). So of prompts that go on differently from such a place, one is read at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

BLOCK = 32
"""Tokens a block of the cache, on a CPU."""


class Trail:
    """A text as a list of keys: `keys[n - 1]` stands for its first n ids, equal where those are equal."""

    def __init__(self, ids: Iterable[int]) -> None:
        self.keys: list[int] = []
        self._before = 0
        self._block: list[int] = []
        for token in ids:
            self.add(token)

    def add(self, token: int) -> None:
        """One more id."""
        self._block.append(token)
        self.keys.append(hash((self._before, *self._block)))
        if len(self._block) == BLOCK:
            self._before = self.keys[-1]
            self._block.clear()


class Prefixes:
    """What the cache may hold: whole blocks, and places within a block at which a text ended."""

    def __init__(self, capacity: int) -> None:
        """`capacity` in keys; the oldest are forgotten. A block of the cache has at most BLOCK of them."""
        self._capacity = capacity
        self._held: dict[int, None] = {}

    def note(self, keys: Sequence[int]) -> None:
        """A text has been read: its whole blocks, and where it ends."""
        for key in [*keys[BLOCK - 1 :: BLOCK], *keys[-1:]]:
            self._held.pop(key, None)
            self._held[key] = None
        while len(self._held) > self._capacity:
            del self._held[next(iter(self._held))]

    def must_wait(self, keys: Sequence[int], reading: Iterable[Sequence[int]]) -> bool:
        """Whether a prompt should start only when one of those that are being `reading` has been read."""
        blocks = keys[BLOCK - 1 :: BLOCK]
        known = sum(1 for _ in takewhile(self._held.__contains__, blocks))
        return any(self._depends(keys, known, other) for other in reading)

    def _depends(self, keys: Sequence[int], known: int, other: Sequence[int]) -> bool:
        same = common(keys, other)
        if same == len(keys) == len(other):
            return keys[-1] not in self._held  # equal prompts write the same into a block they share
        if same >= (known + 1) * BLOCK:
            return True
        inside = keys[same - same % BLOCK : same]
        return any(key in self._held for key in inside)


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids two trails have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[middle - 1] == other[middle - 1]:
            low = middle
        else:
            high = middle - 1
    return low
