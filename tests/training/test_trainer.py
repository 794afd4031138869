from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import Tensor

from model import checkpoint as checkpoints
from tests.training.builders import logged, losses, talk, tiny
from training.dataset import Item, Packer, encode_example
from training.errors import BadOption
from training.examples import examples_of, with_distractors
from training.finetune import lora_config
from training.trainer import (
    TrainOptions,
    draw_curve,
    is_main_process,
    last_checkpoint,
    run_folder,
    train,
    write_result,
)

OPTIONS = TrainOptions(
    max_steps=8, batch_size=4, learning_rate=3e-3, choice_weight=0.5, save_steps=3, log_steps=1, cpu=True
)
Collate = Callable[[Sequence[Item]], dict[str, Tensor]]


class Interrupted(Exception):
    """Stands for whatever ends a process in the middle of a step."""


class InterruptedPacker(Packer):
    """Hands out `batches` batches, then stops the run."""

    def __init__(self, row_length: int, pad_id: int, batches: int) -> None:
        super().__init__(row_length, pad_id)
        self.left = batches

    def __call__(self, items: Sequence[Item]) -> dict[str, Tensor]:
        self.left -= 1
        if self.left < 0:
            raise Interrupted
        return super().__call__(items)


def items() -> list[Item]:
    foods = ["김밥", "라면", "떡볶이", "순대", "냉면", "빵", "죽", "국수", "만두", "전"]
    examples = [examples_of(talk(f"{food} 먹을래?", f"{food} 좋아요!"))[0] for food in foods]
    judged = with_distractors(examples, 1, random.Random(0))
    chat_format = tiny().chat_format
    return [encode_example(chat_format, example, 64) for example in judged]


def run(out: Path, options: TrainOptions, collate: Collate, lora: bool = False) -> dict[str, Tensor]:
    """Train a tiny model with dropout; its weights afterwards."""
    torch.manual_seed(0)
    model: torch.nn.Module = tiny(dropout=0.1).model
    if lora:
        model = get_peft_model(tiny(dropout=0.1).model, lora_config(4, [7, 8]))
    train(model, items(), collate, out, options)
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize(("lora", "resumed_from"), [(False, 3), (True, 6)])
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft asks for it
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path: Path, lora: bool, resumed_from: int) -> None:
    whole = run(tmp_path / "whole", OPTIONS, Packer(64, 0), lora)
    cut = tmp_path / "cut"
    with pytest.raises(Interrupted):
        run(cut, OPTIONS, InterruptedPacker(64, 0, batches=7), lora)
    if resumed_from == 3:  # as after a kill while the last state was written
        (run_folder(cut) / "checkpoint-6" / "trainer_state.json").unlink()
    # No more batches than are left, and one read ahead: it cannot have begun anew.
    resumed = run(cut, replace(OPTIONS, resume=True), InterruptedPacker(64, 0, batches=9 - resumed_from), lora)
    assert [entry["step"] for entry in logged(cut)] == [*range(1, 9)]
    assert losses(cut) == pytest.approx(losses(tmp_path / "whole"), abs=1e-6)
    assert resumed.keys() == whole.keys()
    assert all(torch.allclose(resumed[name], whole[name], atol=1e-6) for name in whole)


def state(folder: Path, step: int, content: str | None = "{}") -> Path:
    """A state of a run; without `content`, one that a kill left without its last file."""
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    if content is not None:
        (path / "trainer_state.json").write_text(content)
    return path


def test_the_newest_complete_state_is_the_one_to_resume(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "none") is None
    state(tmp_path, 900)
    newest = state(tmp_path, 1000)
    assert last_checkpoint(tmp_path) == newest
    state(tmp_path, 1100, content=None)
    state(tmp_path, 1200, content='{"global_st')
    assert last_checkpoint(tmp_path) == newest


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"resume": True}, "holds no run to resume; leave --resume out"),
    ({"batch_size": 8, "accumulation": 3}, "choose a multiple of 3"),
    ({"batch_size": 2, "accumulation": 4}, "choose a multiple of 4"),
    ({"precision": "fp8"}, "no precision 'fp8'; choose fp32, bf16 or fp16"),
]


@pytest.mark.parametrize(("change", "sentence"), REFUSED)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadOption, match=sentence):
        train(tiny().model, items(), Packer(64, 0), tmp_path / "out", replace(OPTIONS, **change))
    assert list(tmp_path.iterdir()) == []


def test_a_batch_is_shared_by_processes_and_accumulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(BadOption, match=r"A batch of 8 cannot be shared by 3 processes with 2 .* a multiple of 6"):
        train(tiny().model, items(), Packer(64, 0), tmp_path / "out", replace(OPTIONS, batch_size=8, accumulation=2))


def test_an_unfinished_run_is_not_overwritten(tmp_path: Path) -> None:
    kept = state(tmp_path / "out.run", 3)
    with pytest.raises(BadOption, match="unfinished run; add --resume to go on, or remove the folder"):
        train(tiny().model, items(), Packer(64, 0), tmp_path / "out", OPTIONS)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept / "trainer_state.json"]


def test_the_first_process_alone_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = state(tmp_path / "out.run", 3)
    monkeypatch.setenv("RANK", "1")
    write_result(tiny(), tmp_path / "out")
    assert not is_main_process()
    assert kept.exists()
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("RANK", "0")
    write_result(tiny(), tmp_path / "out")
    assert is_main_process()
    assert not kept.exists()
    assert checkpoints.load(tmp_path / "out").manifest.version == "tiny"


def test_a_curve_is_drawn_of_any_log(tmp_path: Path) -> None:
    draw_curve([], tmp_path / "empty.png")
    draw_curve([{"step": step, "loss": 6 / step} for step in range(1, 20)], tmp_path / "falling.png")
    images = [(tmp_path / name).read_bytes() for name in ("empty.png", "falling.png")]
    assert all(image.startswith(b"\x89PNG\r\n\x1a\n") for image in images)
    assert images[0] != images[1]
