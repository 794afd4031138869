"""transformers' Trainer as every command here uses it: options, a run folder, resuming, curves.

A run lives in `<out>.run` beside the checkpoint it makes: Trainer checkpoints, TensorBoard logs, `loss.json` and
`loss.png`. The checkpoint itself appears at `<out>` only when training is done.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from model import checkpoint
from model.checkpoint import Checkpoint
from model.files import write_json
from model.gpt2 import IGNORED, Losses
from training.dataset import Item, ItemDataset
from training.errors import BadOption


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train. `batch_size` is global: items an optimiser step sees over all processes and accumulation."""

    epochs: float = 1.0
    max_steps: int = -1
    batch_size: int = 32
    accumulation: int = 1
    learning_rate: float = 5e-4
    warmup: float = 0.05
    weight_decay: float = 0.01
    choice_weight: float = 0.0
    precision: str = "fp32"
    save_steps: int = 200
    log_steps: int = 10
    seed: int = 0
    resume: bool = False
    cpu: bool = False


class Validation(TrainerCallback):
    """Writes the loss on items that are not learnt into the run's log, every `steps` steps: the validation curve."""

    def __init__(self, batches: Sequence[Mapping[str, Tensor]], steps: int) -> None:
        self.batches = batches
        self.steps = steps

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Measure the model the Trainer passes."""
        if state.global_step % self.steps == 0:
            loss = _mean_loss(kwargs["model"], self.batches)
            state.log_history.append({"step": state.global_step, "validation_loss": loss})


def _mean_loss(model: torch.nn.Module, batches: Sequence[Mapping[str, Tensor]]) -> float:
    """Mean token loss in nats, each learnt token counting alike."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    nats, tokens = 0.0, 0
    with torch.no_grad():
        for batch in batches:
            losses: Losses = model(**{name: values.to(device) for name, values in batch.items()})
            learnt = int((batch["targets"] != IGNORED).sum())
            nats, tokens = nats + float(losses.tokens) * learnt, tokens + learnt
    model.train(was_training)
    return nats / tokens


class DialogueTrainer(Trainer):
    """Trainer over `DialogueModel.losses`; `choice_weight` is the next-utterance loss's (Wolf et al.: half LM's)."""

    choice_weight: float = 0.0

    def compute_loss(
        self, model: torch.nn.Module, inputs: Mapping[str, Tensor], *_: object, **__: object
    ) -> Tensor:  # the Trainer never asks these models for outputs
        losses: Losses = model(**inputs)
        if losses.choice is None:
            return losses.tokens
        return losses.tokens + self.choice_weight * losses.choice


def run_folder(out: Path) -> Path:
    """Where the state of the run that makes `out` is kept."""
    return out.with_name(out.name + ".run")


def train(
    model: torch.nn.Module,
    items: Sequence[Item],
    collate: Callable[[Sequence[Item]], dict[str, Tensor]],
    out: Path,
    options: TrainOptions,
    validation: Validation | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place; returns the log: one entry (step, loss, learning_rate, ...) a log step.

    What `validation` measures on the way goes into the run folder's `validation.json` and the curve.
    Works alone or under torchrun. Raises BadOption when a run to resume is asked for and there is none, or the
    other way round.
    """
    folder = run_folder(out)
    last = _state_to_resume(folder, options.resume)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    trainer = DialogueTrainer(
        model=model,
        args=_arguments(folder, options),
        train_dataset=ItemDataset(items),
        data_collator=collate,
        callbacks=[validation] if validation else None,
    )
    trainer.choice_weight = options.choice_weight
    trainer.model_accepts_loss_kwargs = False
    trainer.train(resume_from_checkpoint=last)
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    if trainer.is_world_process_zero():
        measured = [entry for entry in trainer.state.log_history if "validation_loss" in entry]
        write_json(folder / "loss.json", log)
        write_json(folder / "validation.json", measured)
        draw_curve(log, folder / "loss.png", measured)
    return log


def is_main_process() -> bool:
    """Whether this process prints and writes files: alone it does, of those that torchrun started the first."""
    return os.environ.get("RANK", "0") == "0"


def write_result(trained: Checkpoint, out: Path) -> None:
    """Write the checkpoint a run made and remove its optimiser states; its logs and curves stay.

    Under torchrun one process writes, and the others wait for it.
    """
    if is_main_process():
        checkpoint.save(trained, out)
        for path in run_folder(out).glob("checkpoint-*"):
            shutil.rmtree(path, ignore_errors=True)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def last_checkpoint(folder: Path) -> Path | None:
    """The newest state in a run folder one can resume from; what a kill left half written does not count."""
    newest_first = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]), reverse=True)
    return next((path for path in newest_first if _is_complete(path)), None)


def _is_complete(state: Path) -> bool:
    try:
        json.loads((state / "trainer_state.json").read_text(encoding="utf-8"))  # the Trainer writes it last
    except (OSError, ValueError):
        return False
    return True


def _state_to_resume(folder: Path, resume: bool) -> str | None:
    last = last_checkpoint(folder)
    if resume and last is None:
        raise BadOption(f"{folder} holds no run to resume; leave --resume out to start one.")
    if not resume and last is not None:
        raise BadOption(f"{folder} holds an unfinished run; add --resume to go on, or remove the folder to start anew.")
    return str(last) if last else None


def _arguments(folder: Path, options: TrainOptions) -> TrainingArguments:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    share, rest = divmod(options.batch_size, processes * options.accumulation)
    if rest or not share:
        raise BadOption(
            f"A batch of {options.batch_size} cannot be shared by {processes} processes with "
            f"{options.accumulation} accumulation steps; choose a multiple of {processes * options.accumulation}."
        )
    if options.precision not in {"fp32", "bf16", "fp16"}:
        raise BadOption(f"There is no precision '{options.precision}'; choose fp32, bf16 or fp16.")
    use_cpu = options.cpu or not torch.cuda.is_available()
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": options.epochs,
        "max_steps": options.max_steps,
        "per_device_train_batch_size": share,
        "gradient_accumulation_steps": options.accumulation,
        "learning_rate": options.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": options.warmup,
        "weight_decay": options.weight_decay,
        "bf16": options.precision == "bf16",
        "fp16": options.precision == "fp16",
        "use_cpu": use_cpu,
        "save_steps": options.save_steps,
        "save_total_limit": 2,
        "logging_steps": options.log_steps,
        "report_to": ["tensorboard"],
        "remove_unused_columns": False,
        "dataloader_pin_memory": not use_cpu,
        "seed": options.seed,
        # Pretraining leaves the next-utterance head without a gradient.
        "ddp_find_unused_parameters": options.choice_weight == 0,
    }
    if use_cpu and processes > 1:
        settings["ddp_backend"] = "gloo"
    return TrainingArguments(**settings)


def draw_curve(log: Sequence[Mapping[str, float]], path: Path, measured: Sequence[Mapping[str, float]] = ()) -> None:
    """The training loss over steps, and the validation loss where it was `measured`, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([entry["step"] for entry in log], [entry["loss"] for entry in log], label="training, all learnt tokens")
    if measured:
        validation = [entry["validation_loss"] for entry in measured]
        axes.plot([entry["step"] for entry in measured], validation, label="validation, tokens of unseen replies")
    axes.legend()
    axes.set_xlabel("optimiser step")
    axes.set_ylabel("loss (nats a token)")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120, bbox_inches="tight")
