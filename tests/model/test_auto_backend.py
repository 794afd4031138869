from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from model.backends import torch_backend
from model.backends.auto import load
from model.backends.openvino_backend import OpenVinoBackend
from model.backends.openvino_cache import FACTS, Order
from model.backends.openvino_export import make
from model.backends.torch_backend import TorchBackend
from model.dialogue import DialogueContext, Role, Sampling, Turn
from model.errors import BadCheckpoint
from model.protocol import EngineConfig
from model.ranker import Backend
from tests.model.conftest import make_checkpoint

CONTEXT = DialogueContext(turns=(Turn(Role.USER, "뭐 먹을까?"),))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineConfig:
    """A tiny checkpoint of its own, whose exports go nowhere else."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return EngineConfig(make_checkpoint(tmp_path / "tiny", "malbeot"), precision="fp32", cache_mb=4)


def reply(backend: Backend) -> str:
    generation = backend.start(CONTEXT, Sampling(temperature=0, candidates=1, max_new_tokens=12))
    while not generation.finished:
        backend.step()
    text = generation.candidates()[0].text
    generation.close()
    return text


@pytest.mark.slow
def test_openvino_serves_a_checkpoint_that_nobody_converted_before(
    config: EngineConfig, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        backend = load(config)
    assert isinstance(backend, OpenVinoBackend)
    assert backend.version == "tiny-malbeot"
    assert "OpenVINO serves" in caplog.text
    assert reply(backend) == reply(torch_backend.load(config))


def test_torch_serves_what_has_token_types(tiny_folders: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    backend = load(EngineConfig(tiny_folders["transfertransfo"]))
    assert isinstance(backend, TorchBackend)
    assert "token types" in caplog.text


@pytest.mark.parametrize(
    ("fact", "value", "told"), [("agreement", 0.5, "50% of next tokens"), ("score_error", 3.0, "3.00 in scores")]
)
def test_torch_serves_where_an_export_does_not_agree(
    config: EngineConfig, caplog: pytest.LogCaptureFixture, fact: str, value: float, told: str
) -> None:
    folder = make(Order(config.model, "malbeot", "fp32"))
    facts = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps(facts | {fact: value}))
    assert isinstance(load(config), TorchBackend)
    assert told in caplog.text


def test_torch_serves_where_openvino_is_missing(
    config: EngineConfig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    for name in [name for name in sys.modules if name.partition(".")[0] in {"openvino", "openvino_genai"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path_importer_cache", {})
    assert isinstance(load(config), TorchBackend)
    assert "openvino and openvino_genai cannot be imported" in caplog.text


def test_torch_serves_on_other_devices_than_a_cpu(config: EngineConfig, caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(load(replace(config, device="cpu:0")), TorchBackend)
    assert "the device is cpu:0" in caplog.text


def test_a_broken_checkpoint_is_an_error_whoever_serves(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="no such model folder"):
        load(EngineConfig(tmp_path / "nowhere"))


def test_loading_again_makes_nothing_again(config: EngineConfig) -> None:
    folder = make(Order(config.model, "malbeot", "fp32"))
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    first, second = load(config), load(config)
    assert isinstance(first, OpenVinoBackend)
    assert reply(first) == reply(second)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == stamps
