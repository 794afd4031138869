"""Tiny checkpoints with random weights, made once a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model import checkpoint as checkpoints
from model.chat_format import FORMATS, get_format, new_tokens
from model.checkpoint import Checkpoint
from model.e5_weights import E5Weights
from model.gpt2 import Shape, fit_vocabulary, new_model
from model.manifest import Manifest
from model.reranker import UpperLayers
from model.tokenizer import train_tokenizer
from tests.model.e5_file import tiny_weights
from tests.model.tiny_reranker import upper_of

TEXTS = (
    "오늘 점심 뭐 먹을까요? 떡볶이 어때요?",
    "나는 비 오는 날의 분위기를 좋아한다.",
    "내 이름은 유희다. 나는 사람들과 이야기하는 걸 좋아하는 AI 말벗이다.",
    "요즘 잠을 잘 못 자서 피곤해요. 많이 힘들었겠네요.",
    "그 영화 진짜 재밌더라! 나도 보고 싶다 ㅋㅋㅋ",
)


def make_checkpoint(folder: Path, name: str) -> Path:
    """A checkpoint of chat format `name` with 256 positions."""
    tokenizer = train_tokenizer(TEXTS * 4, vocab_size=400)
    tokenizer.add_tokens(list(new_tokens(name)), special_tokens=True)
    torch.manual_seed(0)
    model = new_model(tokenizer, Shape(layers=2, width=32, heads=4, positions=256))
    fit_vocabulary(model, tokenizer)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(8)  # at birth, weights are so small that neither context nor position matters
    checkpoint = Checkpoint(
        model, tokenizer, get_format(name, tokenizer), Manifest(version=f"tiny-{name}", format=name)
    )
    checkpoints.save(checkpoint, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny checkpoint's folder for each chat format."""
    root = tmp_path_factory.mktemp("models")
    return {name: make_checkpoint(root / name, name) for name in FORMATS}


@pytest.fixture(scope="session")
def tiny_folder(tiny_folders: dict[str, Path]) -> Path:
    """The tiny checkpoint of the default format."""
    return tiny_folders["malbeot"]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> E5Weights:
    """Of a tiny encoder."""
    return tiny_weights(tmp_path_factory.mktemp("e5") / "tiny.bin")


@pytest.fixture(scope="session")
def upper(weights: E5Weights) -> UpperLayers:
    """Not to be handed to a Reranker, which packs what it is given."""
    return upper_of(weights)
