from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.floor import Floor, FloorMeter, ModelSize, floor_of
from benchmarks.workload import Workload
from model import checkpoint as checkpoints

# 12 x 768, 51,200 entries.
KOGPT2 = ModelSize(layers=84_934_656, head=39_321_600, cache=18_432)


def test_the_size_counts_the_matrices(tiny: Path) -> None:
    model = checkpoints.load(tiny).model
    matrices = sum(weight.numel() for weight in model.transformer.h.parameters() if weight.dim() == 2)
    size = ModelSize.of(tiny)
    assert size.layers == matrices
    assert size.head == model.lm_head.weight.numel()
    assert size.cache == 2 * 2 * 128


def test_alone_the_weights_must_be_read_and_together_they_must_be_multiplied() -> None:
    floor = Floor(KOGPT2, bytes_a_number=1, bandwidth=33e9, rate=847e9)
    assert floor.step(1, 144) == pytest.approx((KOGPT2.weights + 144 * KOGPT2.cache) / 33e9)
    assert floor.step(64, 144) == pytest.approx(2 * 64 * (KOGPT2.weights + 144 * KOGPT2.cache) / 847e9)


def test_the_known_machines_floor_comes_out() -> None:
    """33 GB/s and 847 GFLOP/s were published with a floor of 3.9 ms, about 700 and about 800 tokens/s."""
    least = Floor(KOGPT2, bytes_a_number=1, bandwidth=33e9, rate=847e9).metrics(Workload())
    assert least["one_chat_ms_per_token"] == pytest.approx(3.9, abs=0.1)
    assert least["tokens_per_s_8"] == pytest.approx(700, rel=0.1)
    assert least["tokens_per_s_32"] == pytest.approx(800, rel=0.15)


def test_wider_weights_take_longer_to_read() -> None:
    best = {"gb_per_s": 30.0, "int8": 0.0, "bf16": 100.0, "fp32": 900.0}
    int8, fp32 = (floor_of(KOGPT2, precision, best).step(1, 10) for precision in ("int8", "fp32"))
    assert fp32 == pytest.approx(4 * int8)


def test_the_meter_measures_this_machine() -> None:
    values = FloorMeter(weight_bytes=1 << 20, threads=1).measure("rates", 0)
    assert set(values) == {"gb_per_s", "int8", "bf16", "fp32"}
    assert values["gb_per_s"] > 0.1
    assert values["fp32"] > 0.1
