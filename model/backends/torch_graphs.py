"""One token for many rows as a recording: on a GPU, starting a step's hundreds of kernels takes longer than they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from model.backends.torch_gpt2 import PackedGpt2, Plan, Span
from model.backends.torch_rows import RowCache

Work = Callable[[], Tensor]
Recorder = Callable[[Work], Work]
"""Makes of some work on fixed memory a faster form of it."""


def record_graph(work: Work) -> Work:
    """`work` as a CUDA graph; it is done a few times here, before and while it is recorded."""
    cuda: Any = torch.cuda
    side = cuda.Stream()
    side.wait_stream(cuda.current_stream())
    with cuda.stream(side):
        for _ in range(3):  # libraries choose their kernels and take their memory, which a recording may not see
            work()
    cuda.current_stream().wait_stream(side)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


class RowDecoder:
    """The forward of one token for each of the first 1, 2, 4, 8 ... rows, recorded for each of these numbers.

    Rows below the highest that takes part are gone through too: what that writes lies where a row's next token will be
    written over it. The rows' memory must stay where it is (`RowCache.fix`).
    """

    def __init__(self, model: PackedGpt2, rows: RowCache, segmented: bool, record: Recorder) -> None:
        self._rows = rows
        device = rows.ids.device

        def zeros() -> Tensor:
            return torch.zeros(rows.rows, dtype=torch.long, device=device)

        self._ids, self._positions = zeros(), zeros()
        self._kinds = zeros() if segmented else None
        self._mask = torch.zeros(rows.rows, 1, 1, rows.positions, dtype=rows.layers[0].dtype, device=device)
        self._places = torch.arange(rows.positions, device=device)
        slots = torch.arange(rows.rows, device=device)
        self._recorded: dict[int, Work] = {}
        for size in reversed(_sizes(rows.rows)):  # the largest first, whose memory the others then use
            self._recorded[size] = record(self._work(model, slots[:size]))

    def _work(self, model: PackedGpt2, slots: Tensor) -> Work:
        size = len(slots)
        plan = Plan(
            ids=self._ids[:size],
            kinds=self._kinds[:size] if self._kinds is not None else None,
            slots=slots,
            positions=self._positions[:size],
            singles=size,
            rows=size,
            length=self._rows.positions,
            mask=self._mask[:size],
            lanes=None,
            longs=(),
        )
        return lambda: model.forward(self._rows, plan)

    def run(self, spans: Sequence[Span]) -> Tensor:
        """Hidden states [spans, width] of spans of one token each."""
        highest = max(span.row.slot for span in spans)
        size = min(size for size in self._recorded if size > highest)
        ids, kinds = [0] * size, [0] * size
        positions = self._rows.lengths(size)
        for span in spans:
            ids[span.row.slot] = span.ids[0]
            kinds[span.row.slot] = span.kinds[0] if span.kinds is not None else 0
        self._ids[:size] = torch.tensor(ids)
        self._positions[:size] = torch.tensor(positions)
        if self._kinds is not None:
            self._kinds[:size] = torch.tensor(kinds)
        unseen = self._places > self._positions[:size, None]
        self._mask[:size, 0, 0] = torch.zeros_like(unseen, dtype=self._mask.dtype).masked_fill_(unseen, -torch.inf)
        return self._recorded[size]()[[span.row.slot for span in spans]]


def _sizes(rows: int) -> list[int]:
    sizes = [1]
    while sizes[-1] < rows:
        sizes.append(min(2 * sizes[-1], rows))
    return sizes
