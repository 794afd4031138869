from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import Tensor
from transformers import TrainerControl, TrainerState, TrainingArguments

from model import checkpoint as checkpoints
from model.gpt2 import IGNORED
from tests.training.builders import logged, losses, talk, tiny
from training.dataset import Item, Packer, encode_example
from training.errors import BadOption
from training.examples import examples_of, with_distractors
from training.finetune import lora_config
from training.trainer import (
    TrainOptions,
    Validation,
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


def unseen() -> list[dict[str, Tensor]]:
    """Two batches of replies that are not learnt, of three and of one."""
    examples = [examples_of(talk(f"{food} 있어?", reply))[0] for food, reply in REPLIES.items()]
    encoded = [encode_example(tiny().chat_format, example, 64) for example in examples]
    return [Packer(64, 0)(encoded[:3]), Packer(64, 0)(encoded[3:])]


REPLIES = {
    "호떡": "네.",
    "수박": "수박은 아직 없어요, 미안해요.",
    "빵": "그럼요!",
    "떡": "방금 다 팔렸어요. 내일 오세요.",
}


def mean_loss(model: torch.nn.Module, batches: Sequence[dict[str, Tensor]]) -> float:
    """Of all learnt tokens alike, without dropout."""
    model.eval()
    with torch.no_grad():
        found = [(float(model(**batch).tokens), int((batch["targets"] != IGNORED).sum())) for batch in batches]
    return sum(nats * tokens for nats, tokens in found) / sum(tokens for _, tokens in found)


def test_the_loss_on_unseen_replies_is_measured_on_the_way(tmp_path: Path) -> None:
    batches = unseen()
    assert len({int((batch["targets"] != IGNORED).sum()) for batch in batches}) == 2
    torch.manual_seed(0)
    model = tiny(dropout=0.1).model
    log = train(model, items(), Packer(64, 0), tmp_path / "out", OPTIONS, Validation(batches, 4))
    measured = json.loads((run_folder(tmp_path / "out") / "validation.json").read_text(encoding="utf-8"))
    assert [entry["step"] for entry in measured] == [4, 8]
    assert measured[1]["validation_loss"] == pytest.approx(mean_loss(model, batches), abs=1e-5)
    assert measured[0]["validation_loss"] > measured[1]["validation_loss"]
    assert [entry["step"] for entry in log] == [entry["step"] for entry in logged(tmp_path / "out")] == [*range(1, 9)]
    assert not any("validation_loss" in entry for entry in log)


def test_measuring_changes_nothing_that_is_learnt(tmp_path: Path) -> None:
    weights = []
    for name, validation in (("with", Validation(unseen(), 1)), ("without", None)):
        torch.manual_seed(0)
        model = tiny(dropout=0.1).model
        train(model, items(), Packer(64, 0), tmp_path / name, OPTIONS, validation)
        weights.append(model.state_dict())
    assert losses(tmp_path / "with") == pytest.approx(losses(tmp_path / "without"), abs=1e-6)
    assert all(torch.allclose(value, weights[1][name], atol=1e-6) for name, value in weights[0].items())
    assert json.loads((run_folder(tmp_path / "without") / "validation.json").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_mode_it_was_in(tmp_path: Path, training: bool) -> None:
    model = tiny(dropout=0.1).model
    model.train(training)
    state, control = TrainerState(global_step=6), TrainerControl()
    validation = Validation(unseen(), 3)
    for _ in range(2):
        validation.on_step_end(TrainingArguments(str(tmp_path)), state, control, model=model)
        assert model.training is training
    first, second = (entry["validation_loss"] for entry in state.log_history)
    assert first == second, "dropout is off while the loss is measured"
    state.global_step = 7
    validation.on_step_end(TrainingArguments(str(tmp_path)), state, control, model=model)
    assert [entry["step"] for entry in state.log_history] == [6, 6]


def test_the_validation_loss_is_drawn_beside_the_other(tmp_path: Path) -> None:
    log = [{"step": step, "loss": 6 / step} for step in range(1, 20)]
    draw_curve(log, tmp_path / "alone.png")
    draw_curve(log, tmp_path / "both.png", [{"step": 10, "validation_loss": 2.0}, {"step": 19, "validation_loss": 3.0}])
    assert (tmp_path / "alone.png").read_bytes() != (tmp_path / "both.png").read_bytes()
