from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model import checkpoint as checkpoints
from model.files import sha256
from model.tokenizer import SPECIAL_TOKENS
from tests.training.builders import TEXTS, invoke, losses, talk, tiny, weights
from training.corpora import write_dialogues
from training.pretrain import app

SHAPE = ["--layers", "1", "--width", "32", "--heads", "2", "--positions", "64", "--vocab-size", "400"]
RUN = ["--cpu", "--batch-size", "4", "--log-steps", "1", "--dropout", "0"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(TEXTS * 8), encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    write_dialogues([talk(text, "그렇군요!", persona=("나는 유희다.",)) for text in TEXTS], path)
    return path


def test_a_new_model_learns_texts_and_dialogues(tmp_path: Path, text: Path, data: Path) -> None:
    out = tmp_path / "out"
    steps = ["--max-steps", "25", "--learning-rate", "1e-2"]
    result = invoke(app, "--text", text, "--data", data, "--out", out, *SHAPE, *RUN, *steps)
    assert result.exit_code == 0, result.stderr
    assert "36 documents in " in result.stdout
    assert losses(out)[-1] < losses(out)[0] - 0.5
    made = checkpoints.load(out)
    assert made.model.config.to_dict().items() >= {"n_layer": 1, "n_embd": 32, "n_head": 2, "n_positions": 64}.items()
    assert set(SPECIAL_TOKENS) <= made.tokenizer.get_vocab().keys()
    assert 256 < len(made.tokenizer) <= 400
    manifest = made.manifest
    assert (manifest.version, manifest.format, manifest.parent) == ("out", "malbeot", None)
    assert manifest.data_sha256 == sha256([text, data])
    assert manifest.metrics == {"training_loss": losses(out)[-1]}
    assert list((tmp_path / "out.run").glob("checkpoint-*")) == []
    assert list((tmp_path / "out.run" / "tensorboard").glob("events.out.tfevents.*")) != []
    assert (tmp_path / "out.run" / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_base_is_trained_on_with_texts_and_dialogues_in_segments(tmp_path: Path, text: Path, data: Path) -> None:
    checkpoints.save(tiny("transfertransfo"), tmp_path / "base")
    out = tmp_path / "out"
    source: list[str | Path] = ["--text", text, "--data", data, "--base", tmp_path / "base"]
    result = invoke(app, *source, "--out", out, *RUN, "--max-steps", "2", "--learning-rate", "1e-2")
    assert result.exit_code == 0, result.stderr
    made = checkpoints.load(out)
    assert (made.manifest.parent, made.manifest.format) == ("tiny", "transfertransfo")
    assert made.tokenizer.get_vocab() == tiny("transfertransfo").tokenizer.get_vocab()
    before, after = weights(tmp_path / "base"), weights(out)
    assert not torch.equal(before["transformer.wte.weight"], after["transformer.wte.weight"])


def test_a_tokenizer_can_be_taken_from_elsewhere(tmp_path: Path, text: Path) -> None:
    checkpoints.save(tiny(), tmp_path / "base")
    out = tmp_path / "out"
    # Fewer steps than lie between two log entries: there is no loss to tell of.
    options = [*SHAPE, "--cpu", "--batch-size", "4", "--max-steps", "1"]
    result = invoke(app, "--text", text, "--out", out, "--tokenizer", tmp_path / "base", *options)
    assert result.exit_code == 0, result.stderr
    made = checkpoints.load(out)
    assert made.tokenizer.get_vocab() == tiny().tokenizer.get_vocab()
    assert made.manifest.metrics == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "There is nothing to learn from; give --text FILE or --data FILE."),
        (["--text", "absent.txt"], "absent.txt"),
        (["--data", "absent.jsonl"], "absent.jsonl"),
        (
            ["--text", "text.txt", "--tokenizer", "nowhere"],
            "nowhere: there is no such folder; name one",
        ),
        (["--text", "text.txt", "--batch-size", "4", "--accumulation", "3"], "choose a multiple of 3"),
        (["--text", "text.txt", "--resume"], "holds no run to resume"),
    ],
)
def test_refusals(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(app, "--out", "out", *SHAPE, "--cpu", *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [text]
