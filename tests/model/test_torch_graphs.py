"""Recorded steps: their arithmetic on any machine, and as CUDA graphs where there is a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model import checkpoint as checkpoints
from model.backends.torch_backend import TorchBackend, load
from model.backends.torch_graphs import Work
from model.chat_format import FORMATS
from model.dialogue import Role, Sampling, Turn
from model.protocol import EngineConfig
from tests.model.prompts import CONTEXT, PROMPTS
from tests.model.test_torch_backend import finish, run, written

SAMPLING = Sampling(temperature=1.5, candidates=3, max_new_tokens=12, seed=2)


class Recorder:
    """Does the work as it is, and counts how often each recording is used."""

    def __init__(self) -> None:
        self.used: list[int] = []

    def __call__(self, work: Work) -> Work:
        number = len(self.used)
        self.used.append(0)

        def counted() -> torch.Tensor:
            self.used[number] += 1
            return work()

        return counted


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_recorded_steps_say_what_free_ones_say(name: str, tiny_folders: dict[str, Path]) -> None:
    checkpoint = checkpoints.load(tiny_folders[name])
    recorder = Recorder()
    backend = TorchBackend(checkpoint, memory=6 << 20, record=recorder)
    contexts = [*PROMPTS[:4], replace(CONTEXT, turns=(Turn(Role.USER, "긴 말 " * 40),)), *PROMPTS[4:8]]
    together = []
    for number, context in enumerate(contexts):
        together.append(backend.start(context, replace(SAMPLING, candidates=1 + number % 3)))
        backend.step()
    finish(backend, *together)
    for number, (context, generation) in enumerate(zip(contexts, together, strict=True)):
        alone = run(TorchBackend(checkpoint), context, replace(SAMPLING, candidates=1 + number % 3))
        assert written(generation) == written(alone)
        scores = [draft.score for draft in alone.drafts]
        assert [draft.score for draft in generation.drafts] == pytest.approx(scores, abs=1e-4)
    assert sum(count > 0 for count in recorder.used) > 2, "several sizes were needed"


def test_a_fixed_cache_keeps_its_place_and_makes_requests_wait(tiny_folder: Path) -> None:
    checkpoint = checkpoints.load(tiny_folder)
    position = TorchBackend(checkpoint).model.shape.position_bytes
    backend = TorchBackend(checkpoint, memory=int(4 * 256 * position / 0.75) + 1, record=Recorder())
    before = backend.memory_used
    together = [backend.start(context, SAMPLING) for context in PROMPTS[:5]]
    finish(backend, *together)
    assert before <= backend.memory_used <= int(4 * 256 * position / 0.75) + 1
    alone = [written(run(TorchBackend(checkpoint), context, SAMPLING)) for context in PROMPTS[:5]]
    assert [written(generation) for generation in together] == alone


@pytest.mark.gpu
def test_graphs_on_a_gpu_say_what_its_free_steps_say(tiny_folder: Path) -> None:
    checkpoint = checkpoints.load(tiny_folder)
    recorded = load(EngineConfig(tiny_folder, device="cuda", precision="fp32", cache_mb=64))
    free = TorchBackend(checkpoint, "cuda", precision="fp32")
    greedy = Sampling(temperature=0, candidates=1, max_new_tokens=16)
    together = [recorded.start(context, greedy) for context in PROMPTS]
    finish(recorded, *together)
    assert [written(generation) for generation in together] == [
        written(run(free, context, greedy)) for context in PROMPTS
    ]


@pytest.mark.gpu
def test_a_gpu_answers_in_bfloat16(tiny_folder: Path) -> None:
    backend = load(EngineConfig(tiny_folder, device="cuda", cache_mb=64))
    generation = run(backend, CONTEXT, SAMPLING)
    assert any(candidate.text for candidate in generation.candidates())
    assert all(draft.score is not None for draft in generation.drafts if draft.ids)
