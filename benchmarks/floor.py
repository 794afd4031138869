"""What the machine could do at best: how fast it reads memory and multiplies, and what a model costs at least."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.workload import Workload

BYTES = {"int8": 1, "bf16": 2, "fp32": 4}
BANDWIDTH = "gb_per_s"
_RATES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_TRIES = 5
# Rows as of a batch's prompts, and matrices large enough for the multipliers to be the limit.
_ROWS, _SIDE = 1024, 2048


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Numbers a model has to read and multiply by.

    `layers` and `head`: weights of the layers' matrices and of the projection onto the vocabulary; `cache`: keys and
    values of one token.
    """

    layers: int
    head: int
    cache: int

    @property
    def weights(self) -> int:
        """All that a step reads."""
        return self.layers + self.head

    @classmethod
    def of(cls, folder: Path) -> ModelSize:
        """That of a GPT-2 checkpoint, from its config.json."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        depth, width = int(config["n_layer"]), int(config["n_embd"])
        inner = int(config.get("n_inner") or 4 * width)
        return cls(
            layers=depth * (4 * width * width + 2 * width * inner),
            head=int(config["vocab_size"]) * width,
            cache=2 * depth * width,
        )


class FloorMeter:
    """Measures memory and multipliers, with torch on `threads` threads. Reads as much memory as the weights take."""

    def __init__(self, weight_bytes: int, threads: int) -> None:
        torch.set_num_threads(threads)
        self.about: dict[str, str] = {"torch": torch.__version__}
        self._memory = torch.ones(max(1, weight_bytes // 4))

    def measure(self, _name: str, _round: int, /) -> dict[str, float]:
        """GB/s read, and GFLOP/s multiplied in each precision (0 where torch cannot)."""
        seconds = _fastest(lambda: torch.dot(self._memory, self._memory))
        values = {BANDWIDTH: self._memory.numel() * 4 / seconds / 1e9, "int8": _int8_rate()}
        for precision, dtype in _RATES.items():
            rows, matrix = torch.ones(_ROWS, _SIDE, dtype=dtype), torch.ones(_SIDE, _SIDE, dtype=dtype)
            values[precision] = _gflops(lambda rows=rows, matrix=matrix: torch.mm(rows, matrix))  # type: ignore[misc]
        return values

    def close(self) -> None:
        """Nothing outlives the process."""


def _int8_rate() -> float:
    rows, matrix = torch.ones(_ROWS, _SIDE, dtype=torch.int8), torch.ones(_SIDE, _SIDE, dtype=torch.int8)
    try:
        return _gflops(lambda: torch._int_mm(rows, matrix))
    except RuntimeError:  # not on this machine
        return 0.0


def _gflops(work: Callable[[], object]) -> float:
    return 2 * _ROWS * _SIDE * _SIDE / _fastest(work) / 1e9


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the best of a few tries: a floor is what nothing disturbed."""
    work()
    seconds = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


@dataclass(frozen=True, slots=True)
class Floor:
    """The least a model can cost: every weight read once a step, every multiplication at the best rate measured.

    `bytes_a_number`: of weights, keys and values. `bandwidth` in bytes/s, `rate` in operations/s.
    """

    size: ModelSize
    bytes_a_number: int
    bandwidth: float
    rate: float

    def step(self, batch: int, positions: int) -> float:
        """Seconds to give each of `batch` chats a token, each with `positions` tokens before it."""
        numbers = self.size.weights + batch * positions * self.size.cache
        # Each key is multiplied once and each value once.
        operations = 2 * batch * (self.size.weights + positions * self.size.cache)
        return max(numbers * self.bytes_a_number / self.bandwidth, operations / self.rate)

    def prompts(self, batch: int, tokens: int) -> float:
        """Seconds to read `batch` prompts of `tokens` and to project their last positions."""
        attention = tokens * tokens / 2 * self.size.cache
        operations = 2 * batch * (tokens * self.size.layers + self.size.head + attention)
        return max(self.size.weights * self.bytes_a_number / self.bandwidth, operations / self.rate)

    def metrics(self, workload: Workload) -> dict[str, float]:
        """The metrics of `engine_statistics.METRICS` that have a floor, in the same units."""
        middle = workload.prompt_tokens + workload.new_tokens // 2
        return {
            "one_chat_ms_per_token": self.step(1, middle) * 1000,
            "first_token": self.prompts(1, workload.prompt_tokens) * 1000,
            "tokens_per_s_8": self._tokens_per_s(workload.few, middle, workload),
            "tokens_per_s_32": self._tokens_per_s(workload.many, middle, workload),
        }

    def _tokens_per_s(self, batch: int, middle: int, workload: Workload) -> float:
        steps = (workload.new_tokens - 1) * self.step(batch, middle)
        return batch * workload.new_tokens / (self.prompts(batch, workload.prompt_tokens) + steps)


def floor_of(size: ModelSize, precision: str, best: Mapping[str, float]) -> Floor:
    """The floor at `precision`; `best` are the greatest values that a FloorMeter showed.

    The rate is the greatest of any precision: a machine without fast int8 may compute in another.
    """
    rate = max(best[name] for name in BYTES)
    return Floor(size, BYTES[precision], best[BANDWIDTH] * 1e9, rate * 1e9)
