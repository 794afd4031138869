"""What was already read, kept for whoever begins the same way: the next turn, another chat with the same persona.

Blocks of tokens form a tree, as in vLLM's prefix caching (Kwon et al. 2023): a block is known by its tokens and the
block before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 8
_Key = tuple[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Block:
    number: int
    values: Tensor  # [layers, 2, heads, BLOCK, head_size]


class PrefixCache:
    """Blocks within `limit` bytes; those that were not asked for the longest go first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        # Least recently used first. A block is touched before the one it continues, so that ends go before beginnings.
        self._blocks: OrderedDict[_Key, _Block] = OrderedDict()
        self._next = 1

    def find(self, tokens: Sequence[int]) -> list[Tensor]:
        """The blocks that `tokens` begin with, each [layers, 2, heads, BLOCK, head_size]."""
        keys, blocks = self._walk(tokens)
        for key in reversed(keys):
            self._blocks.move_to_end(key)
        return [block.values for block in blocks]

    def _walk(self, tokens: Sequence[int]) -> tuple[list[_Key], list[_Block]]:
        keys: list[_Key] = []
        blocks: list[_Block] = []
        for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
            key = (blocks[-1].number if blocks else 0, tuple(tokens[start : start + BLOCK]))
            block = self._blocks.get(key)
            if block is None:
                break
            keys.append(key)
            blocks.append(block)
        return keys, blocks

    def known(self, tokens: Sequence[int]) -> int:
        """How many of `tokens`, from the first on, are here already."""
        return BLOCK * len(self._walk(tokens)[0])

    def add(self, tokens: Sequence[int], start: int, values: Tensor) -> None:
        """Keep the blocks of `tokens` from `start` (what `known` said) on.

        `values` [layers, 2, heads, positions, head_size] begin at `start`; an unfinished block at the end is left out.
        """
        keys, blocks = self._walk(tokens[:start])
        parent = blocks[-1].number if blocks else 0
        for offset in range(0, len(tokens) - start - BLOCK + 1, BLOCK):
            key = (parent, tuple(tokens[start + offset : start + offset + BLOCK]))
            block = _Block(
                self._next, values[..., offset : offset + BLOCK, :].clone(memory_format=torch.contiguous_format)
            )
            self._next += 1
            self._blocks[key] = block
            self.bytes += block.values.nbytes
            keys.append(key)
            parent = block.number
        for key in reversed(keys):
            self._blocks.move_to_end(key)
        self.shrink(self.limit)

    def shrink(self, limit: int) -> None:
        """Forget the least recently used until no more than `limit` bytes are taken, now and from now on."""
        self.limit = limit
        while self.bytes > limit and self._blocks:
            _, block = self._blocks.popitem(last=False)
            self.bytes -= block.values.nbytes
