"""Every system answers the tiny model's prompts, with as many tokens as asked for and what the measures need."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

from benchmarks.openvino_convert import convert
from benchmarks.systems import OUR_SOURCES, PEERS, Setup, Source, System
from benchmarks.workload import Prompts
from model.backends.openvino_silent import import_openvino
from tests.benchmarks.conftest import TINY

SOURCES = {**OUR_SOURCES, **PEERS}


def load(source: Source, setup: Setup) -> Any:
    module, _, function = source.load.partition(":")
    return getattr(importlib.import_module(module), function)(setup)


@pytest.mark.parametrize("name", SOURCES)
def test_a_system_answers_one_and_many(name: str, tiny: Path, tmp_path: Path, prompts: Prompts) -> None:
    setup = Setup(tiny, tmp_path, threads=1, backend="torch", precision="fp32", running=TINY.many)
    system: System = load(SOURCES[name], setup)
    try:
        (prompt,) = prompts.first(1)
        alone = system.run([prompt], TINY.sampling())
        assert alone.first is not None
        assert 0 < alone.first < alone.seconds
        assert len(alone.answers) == 1
        assert len(alone.answers[0].split()) <= TINY.new_tokens
        assert len(prompts.second(prompt, alone.answers[0]).ids) == TINY.second_tokens
        together = system.run(prompts.first(TINY.many), TINY.sampling())
        assert together.first is None
        assert len(together.answers) == TINY.many
        several = system.run(prompts.first(1), TINY.sampling(candidates=2))
        assert len(several.answers) == 1
    finally:
        system.close()


def test_the_plain_openvino_model_computes_what_torch_does(tiny: Path, tmp_path: Path) -> None:
    convert(tiny, tmp_path / "plain")
    ov = import_openvino()
    exact = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    request = ov.Core().compile_model(tmp_path / "plain" / "openvino_model.xml", "CPU", exact).create_infer_request()
    torch.manual_seed(0)
    ids = torch.randint(9, 300, (1, 12))
    model = GPT2LMHeadModel.from_pretrained(str(tiny), dtype=torch.float32)
    with torch.no_grad():
        expected = model(ids).logits[0].numpy()
    # In two parts, so that the second must remember the first.
    found = []
    for start, end in ((0, 7), (7, 12)):
        inputs = {
            "input_ids": ids[:, start:end].numpy(),
            "attention_mask": np.ones((1, end), dtype=np.int64),
            "position_ids": np.arange(start, end, dtype=np.int64)[None],
            "beam_idx": np.zeros(1, dtype=np.int32),
        }
        found.append(request.infer(inputs)["logits"][0])
    # 8-bit weights are within a percent or two of the others.
    error = np.abs(np.concatenate(found) - expected).mean() / np.abs(expected).mean()
    assert 0 < error < 0.03
