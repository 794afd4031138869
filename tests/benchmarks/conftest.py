"""A tiny checkpoint that cannot end a reply, and a workload that fits it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.engine_measures import prompts_for
from benchmarks.workload import Prompts, Workload, never_ending, random_checkpoint
from model import checkpoint as checkpoints
from model.gpt2 import Shape

TINY = Workload(
    prompt_tokens=24, new_tokens=3, growth=8, persona_tokens=8, few=2, many=3, candidates=2, chats=1
)  # fmt: skip


def save_tiny(folder: Path) -> Path:
    """Write a random model of two small layers that goes on for ever."""
    shape = Shape(layers=2, width=128, heads=4, positions=64)
    checkpoints.save(never_ending(random_checkpoint(shape, vocabulary=300)), folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint's folder."""
    return save_tiny(tmp_path_factory.mktemp("benchmarks") / "tiny")


@pytest.fixture
def prompts(tiny: Path) -> Prompts:
    """Prompts for the tiny checkpoint."""
    return prompts_for(tiny, TINY)
