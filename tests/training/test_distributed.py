"""The training commands under torchrun: two processes on one machine, joined by gloo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model import checkpoint as checkpoints
from tests.training.builders import DIALOGUES, TEXTS, invoke, logged, losses, save_tiny
from training import finetune, pretrain

SHAPE = ["--layers", "1", "--width", "32", "--heads", "2", "--positions", "64", "--vocab-size", "400", "--dropout", "0"]
RUN = ["--cpu", "--batch-size", "8", "--log-steps", "1", "--learning-rate", "3e-3", "--save-steps", "4"]


def torchrun(module: str, *arguments: str | Path) -> str:
    """What two processes print together; they must succeed."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, "-m", module, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def files(folder: Path) -> list[str]:
    """Names under `folder`, with the time and process in a TensorBoard file's name left out."""
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))]
    return [name.partition(".tfevents.")[0] for name in names]


def norms(out: Path) -> list[float]:
    return [entry["grad_norm"] for entry in logged(out)]


@pytest.mark.slow
def test_two_processes_fine_tune_as_one_does(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    run: list[str | Path] = ["--data", DIALOGUES, "--base", base, *RUN, "--max-steps", "15"]
    assert invoke(finetune.app, *run, "--out", tmp_path / "one" / "out").exit_code == 0
    printed = torchrun("training.finetune", *run, "--out", tmp_path / "two" / "out")
    one, two = tmp_path / "one" / "out", tmp_path / "two" / "out"
    assert [entry["step"] for entry in logged(two)] == [*range(1, 16)]
    assert losses(two) == pytest.approx(losses(one), rel=0.02)
    assert norms(two) == pytest.approx(norms(one), rel=0.1)
    assert losses(two)[-1] < losses(two)[0] - 0.2
    assert printed.count("parameters learn") == 1
    assert printed.count("'loss'") == 15
    # Not a file more than one process leaves, be it a second log or what is left of a second writer.
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert checkpoints.load(two).manifest.metrics == {"training_loss": losses(two)[-1]}


@pytest.mark.slow
def test_two_processes_pretrain_as_one_does(tmp_path: Path) -> None:
    """Here one head is never asked, which the processes must agree on."""
    text = tmp_path / "text.txt"
    text.write_text("\n".join(TEXTS * 40), encoding="utf-8")
    run: list[str | Path] = ["--text", text, *SHAPE, *RUN, "--max-steps", "5"]
    assert invoke(pretrain.app, *run, "--out", tmp_path / "one").exit_code == 0
    printed = torchrun("training.pretrain", *run, "--out", tmp_path / "two")
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=0.02)
    assert printed.count("documents in") == 1
    assert checkpoints.load(tmp_path / "two").model.config.n_layer == 1
