from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from model import checkpoint as checkpoints
from model.files import sha256
from model.manifest import Manifest
from tests.training.builders import DIALOGUES, invoke, logged, losses, save_tiny, tiny, weights
from training.finetune import app
from training.trainer import last_checkpoint, run_folder

RUN: list[str | Path] = [
    "--data",
    DIALOGUES,
    "--cpu",
    "--batch-size",
    "8",
    "--log-steps",
    "1",
    "--learning-rate",
    "3e-3",
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("base") / "tiny")


def finetune(base: Path, out: Path, *arguments: str | Path) -> list[float]:
    """The losses of a run that must succeed."""
    result = invoke(app, "--base", base, "--out", out, *RUN, *arguments)
    assert result.exit_code == 0, result.stderr
    return losses(out)


@pytest.mark.slow
def test_a_base_learns_to_answer(tmp_path: Path, base: Path) -> None:
    out = tmp_path / "out"
    found = finetune(base, out, "--max-steps", "40")
    assert [entry["step"] for entry in logged(out)] == [*range(1, 41)]
    assert found[-1] < found[0] - 0.5
    made = checkpoints.load(out)
    assert (made.manifest.version, made.manifest.parent, made.manifest.format) == ("out", "tiny", "malbeot")
    assert made.manifest.data_sha256 == sha256([DIALOGUES])
    assert made.manifest.metrics == {"training_loss": found[-1]}
    assert made.manifest.created_at is not None
    assert made.tokenizer.get_vocab() == checkpoints.load(base).tokenizer.get_vocab()
    run = run_folder(out)
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert [path.stat().st_size > 0 for path in (run / "tensorboard").glob("events.out.tfevents.*")] == [True]
    assert list(run.glob("checkpoint-*")) == []


def test_the_next_utterance_loss_is_weighed_in(tmp_path: Path, base: Path) -> None:
    """At birth both candidates score alike: the choice costs about log 2."""
    alone = finetune(base, tmp_path / "alone", "--max-steps", "1", "--choice-weight", "0")
    half = finetune(base, tmp_path / "half", "--max-steps", "1", "--choice-weight", "0.5")
    assert half[0] - alone[0] == pytest.approx(0.5 * 0.693, abs=0.05)
    none = finetune(base, tmp_path / "none", "--max-steps", "1", "--distractors", "0")
    assert none[0] == pytest.approx(alone[0], abs=1e-5)


def wait_for_state(process: subprocess.Popen[bytes], out: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while last_checkpoint(run_folder(out)) is None:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run wrote no state in time"
        time.sleep(0.005)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_where_it_would_have(tmp_path: Path) -> None:
    base, steps = save_tiny(tmp_path / "base", dropout=0.1), 30
    options = ["--max-steps", str(steps), "--save-steps", "4"]
    out = tmp_path / "killed"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "training.finetune",
        "--base",
        base,
        "--out",
        out,
        *RUN,
        *options,
    ]
    with subprocess.Popen(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for_state(process, out, seconds=200)
        finally:
            process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    last = last_checkpoint(run_folder(out))
    assert last is not None
    done = int(last.name.partition("-")[2])
    assert 4 <= done < steps
    refused = invoke(app, "--base", base, "--out", out, *RUN, *options)
    assert (refused.exit_code, "add --resume to go on" in refused.stderr) == (2, True)

    resumed = invoke(app, "--base", base, "--out", out, *RUN, *options, "--resume")
    assert resumed.exit_code == 0, resumed.stderr
    assert len(re.findall(r"'loss'", resumed.stdout)) == steps - done
    assert [entry["step"] for entry in logged(out)] == [*range(1, steps + 1)]
    assert list(run_folder(out).glob("checkpoint-*")) == []
    whole = finetune(base, tmp_path / "whole", *options)
    assert losses(out) == pytest.approx(whole, abs=1e-4)
    expected, found = weights(tmp_path / "whole"), weights(out)
    assert all(torch.allclose(found[name], expected[name], atol=1e-4) for name in expected)


@pytest.mark.slow
def test_a_batch_may_be_cut_into_parts(tmp_path: Path, base: Path) -> None:
    whole = finetune(base, tmp_path / "whole", "--max-steps", "12")
    parts = finetune(base, tmp_path / "parts", "--max-steps", "12", "--accumulation", "2")
    assert parts == pytest.approx(whole, rel=0.01)
    assert parts != whole
    norms = [[entry["grad_norm"] for entry in logged(tmp_path / name)] for name in ("whole", "parts")]
    assert norms[1] == pytest.approx(norms[0], rel=0.1)


def test_bf16_trains_on_a_cpu(tmp_path: Path, base: Path) -> None:
    half = finetune(base, tmp_path / "bf16", "--max-steps", "2", "--precision", "bf16")
    full = finetune(base, tmp_path / "fp32", "--max-steps", "2")
    assert half == pytest.approx(full, rel=0.01)
    assert half != full
    assert {weight.dtype for weight in weights(tmp_path / "bf16").values()} == {torch.float32}


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft asks for it
@pytest.mark.filterwarnings("ignore:Setting .save_embedding_layers. to .True.:UserWarning")  # as is right here
def test_low_rank_adapters_learn_and_end_in_a_plain_checkpoint(tmp_path: Path, base: Path) -> None:
    out = tmp_path / "out"
    options = ["--lora", "--lora-rank", "2", "--format", "usr-sys", "--max-steps", "3", "--warmup", "0"]
    result = invoke(app, "--base", base, "--out", out, *RUN, *options)
    assert result.exit_code == 0, result.stderr
    counts = re.search(r"([\d,]+) of ([\d,]+) parameters learn", result.stdout)
    assert counts is not None
    learning, every = (int(count.replace(",", "")) for count in counts.groups())
    assert 0 < learning < every / 10
    made = checkpoints.load(out)
    assert made.chat_format.name == made.manifest.format == "usr-sys"
    before, after = weights(base), weights(out)
    assert before.keys() == after.keys()
    old = len(before["transformer.wte.weight"])
    assert len(after["transformer.wte.weight"]) == len(made.tokenizer) > old
    changed = {name for name in before if not torch.equal(before[name], after[name][: len(before[name])])}
    layer = "transformer.h.0."
    adapted = {f"{layer}{part}.weight" for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")}
    assert adapted <= changed <= adapted | {f"multiple_choice_head.summary.{part}" for part in ("weight", "bias")}
    assert torch.equal(after["lm_head.weight"], after["transformer.wte.weight"])


REFUSED: list[tuple[list[str], str]] = [
    (["--resume"], "out.run holds no run to resume; leave --resume out to start one."),
    (["--data", "absent.jsonl"], "absent.jsonl"),
    (["--data", "empty.jsonl"], "empty.jsonl: the file is empty; expected JSONL"),
    (["--data", "lone.jsonl"], "1 distractors need more than 1 different replies"),
    (["--base", "absent/folder"], "'absent/folder' is neither a local folder nor a model the hub can be asked for"),
    (["--base", "/absent/folder/of/none"], "is neither a local folder nor a model the hub can be asked for"),
    (["--base", "."], "config.json is missing or broken"),
    (["--batch-size", "8", "--accumulation", "3"], "choose a multiple of 3"),
    (["--precision", "fp8"], "There is no precision 'fp8'; choose fp32, bf16 or fp16."),
    (["--format", "alpaca"], "There is no chat format 'alpaca'; choose one of"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of a command, with no way to the hub."""
    (tmp_path / "empty.jsonl").touch()
    line = '{"turns": [{"speaker": "user", "text": "안녕"}, {"speaker": "bot", "text": "안녕하세요."}]}\n'
    (tmp_path / "lone.jsonl").write_text(line * 2, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path


def the_sentence(stderr: str) -> str:
    """The only line on stderr that is not a progress bar's."""
    (line,) = [line for line in stderr.splitlines() if line and "it/s]" not in line]
    return line


def refuse(folder: Path, base: Path, arguments: list[str]) -> str:
    """What a command says that must refuse and leave everything as it is."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    chosen: dict[str, str | Path] = {"--data": DIALOGUES, "--base": base, "--out": "out"}
    given = [part for name, value in chosen.items() if name not in arguments for part in (name, value)]
    result = invoke(app, *given, "--cpu", *arguments)
    assert result.exit_code == 2
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    return the_sentence(result.stderr)


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_refusals(folder: Path, base: Path, arguments: list[str], sentence: str) -> None:
    assert sentence in refuse(folder, base, arguments)


def test_no_data_is_refused(folder: Path, base: Path) -> None:
    result = invoke(app, "--base", base, "--out", "out")
    assert result.exit_code == 2
    assert the_sentence(result.stderr) == (
        "There is nothing to learn from in data/exports: there is no new export there. "
        "Export consented talk with python -m training.export, or give --data FILE."
    )
    assert not (folder / "out.run").exists()


def test_data_needs_a_name_for_what_is_made_of_it(folder: Path, base: Path) -> None:
    result = invoke(app, "--base", base, "--data", DIALOGUES)
    assert (result.exit_code, the_sentence(result.stderr)) == (2, "Name the checkpoint folder to write with --out.")


def test_what_a_base_learnt_of_people_stays_in_what_is_made_of_it(tmp_path: Path) -> None:
    known = Manifest("known", "malbeot", exports=("20261120-030000",), tainted="forgotten: p1")
    checkpoints.save(replace(tiny(), manifest=known), tmp_path / "known")
    finetune(tmp_path / "known", tmp_path / "out", "--max-steps", "1")
    made = checkpoints.load(tmp_path / "out").manifest
    assert (made.parent, made.exports, made.tainted) == ("known", known.exports, known.tainted)


def test_an_unfinished_run_is_refused_without_resume(folder: Path, base: Path) -> None:
    state = folder / "out.run" / "checkpoint-5"
    state.mkdir(parents=True)
    (state / "trainer_state.json").write_text("{}")
    assert "out.run holds an unfinished run; add --resume to go on" in refuse(folder, base, [])


@pytest.mark.parametrize("option", ["--batch-size", "--accumulation", "--save-steps", "--log-steps"])
def test_counts_start_at_one(folder: Path, base: Path, option: str) -> None:
    result = invoke(app, "--data", DIALOGUES, "--base", base, "--out", "out", option, "0")
    assert result.exit_code == 2
    assert option in result.stderr
    assert not (folder / "out.run").exists()
