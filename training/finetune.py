"""`python -m training.finetune`: teach a base to answer, with the LM and the next-utterance loss (Wolf et al. 2019).

With --data it learns those dialogues. Without, it learns from the exports of collected talk that the serving model does
not know yet, beside a replay of the base data, and makes a new version of the model (`training.lesson`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import torch
import typer
from peft import LoraConfig, PeftModel, get_peft_model
from rich.console import Console
from transformers import set_seed

from model.checkpoint import Checkpoint
from model.gpt2 import DialogueModel, parameter_count
from model.manifest import Manifest
from training import lesson as lessons
from training import options
from training.base import finished, load_base, pad_id
from training.collected import BASE_DATA, EXPORTS
from training.corpora import load_dialogues
from training.dataset import ItemDataset, Packer, encode_example
from training.errors import BadOption
from training.examples import TrainingExample, examples_of, with_distractors
from training.lesson import Lesson, Plan, write_version
from training.preference import learn_preferences
from training.trainer import TrainOptions, Validation, is_main_process, train, write_result
from training.versions import MODELS, SHIPPED, alone, is_distributed, new_version, sweep

DATA_EPOCHS, EXPORT_EPOCHS = 3.0, 1.0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Method:
    """How a run learns, whatever it learns from. `distractors`: wrong candidates an example is ranked against."""

    settings: TrainOptions
    distractors: int = 1
    chat_format: str | None = None
    lora_rank: int | None = None

    def adapters(self, new_token_ids: Sequence[int]) -> LoraConfig | None:
        """What learns of a large base, None where all of it does."""
        return None if self.lora_rank is None else lora_config(self.lora_rank, new_token_ids)


def finetune(
    base: Checkpoint,
    examples: Sequence[TrainingExample],
    out: Path,
    settings: TrainOptions,
    files: Sequence[Path] = (),
    lora: LoraConfig | None = None,
    validation: Validation | None = None,
) -> Checkpoint:
    """Train `base` on `examples` (with the distractors they carry) and write the checkpoint `out`."""
    result, log = _learn(base, examples, out, settings, lora, validation)
    result = _inheriting(finished(result, out, base.manifest.version, list(files), log), base.manifest)
    write_result(result, out)
    return result


def _inheriting(made: Checkpoint, parent: Manifest, exports: Sequence[str] = ()) -> Checkpoint:
    """What a model learnt stays in those made from it: whose talk it was, and why it must not serve."""
    learnt = tuple(sorted({*parent.exports, *exports}))
    return replace(made, manifest=replace(made.manifest, exports=learnt, tainted=parent.tainted))


def _learn(
    base: Checkpoint,
    examples: Sequence[TrainingExample],
    out: Path,
    settings: TrainOptions,
    lora: LoraConfig | None,
    validation: Validation | None = None,
) -> tuple[Checkpoint, list[dict[str, float]]]:
    """`base` after learning `examples`, not written yet, and the run's log."""
    length = base.max_positions
    items = [encode_example(base.chat_format, example, length) for example in examples]
    trained: torch.nn.Module = get_peft_model(base.model, lora) if lora else base.model
    learning = sum(weight.numel() for weight in trained.parameters() if weight.requires_grad)
    if is_main_process():
        print(
            f"{learning:,} of {parameter_count(trained):,} parameters learn, {len(items):,} examples, "
            f"{ItemDataset(items).tokens:,} tokens an epoch"
        )
    log = train(trained, items, Packer(length, pad_id(base)), out, settings, validation)
    return replace(base, model=_merged(trained)), log


def _merged(trained: torch.nn.Module) -> DialogueModel:
    """A plain model again: low-rank updates are added into the weights they belong to."""
    merged = trained.merge_and_unload() if isinstance(trained, PeftModel) else trained
    assert isinstance(merged, DialogueModel)
    return merged


def lora_config(rank: int, new_token_ids: Sequence[int]) -> LoraConfig:
    """Low-rank adapters (Hu et al. 2021) on every linear layer; the next-utterance head and new tokens learn fully."""
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=["c_attn", "c_proj", "c_fc"],
        fan_in_fan_out=True,  # GPT-2's Conv1D keeps its weight transposed
        modules_to_save=["multiple_choice_head"],
        trainable_token_indices={"wte": list(new_token_ids)} if new_token_ids else None,
    )


def _learn_data(data: Sequence[str], base: str, out: Path | None, method: Method) -> None:
    """The run that --data asks for."""
    if out is None:
        raise BadOption("Name the checkpoint folder to write with --out.")
    corpus = load_dialogues(data)
    model, new_ids = load_base(base, method.chat_format)
    examples = [example for dialogue in corpus.dialogues for example in examples_of(dialogue)]
    if method.distractors:
        examples = with_distractors(examples, method.distractors, random.Random(method.settings.seed))
    finetune(model, examples, out, method.settings, corpus.files, method.adapters(new_ids))


def learn_exports(plan: Plan, base: str | None, out: Path | None, method: Method) -> Path:
    """Learn from exports as `plan` says and write a new version; returns its folder.

    Raises BadData when there is nothing to learn or an export is damaged, BadOption when another such run is at work.
    """
    if is_distributed():
        raise BadOption("A run over exports takes one process; start it without torchrun, or name files with --data.")
    with alone(plan.models, "finetune"):
        if not method.settings.resume:
            sweep(plan.models, lessons.PARTIAL)
        start = lessons.starting_point(base, plan.models)
        model, new_ids = load_base(start, method.chat_format)
        lesson = lessons.read_lesson(plan, model.manifest.exports, method.distractors, method.settings.seed)
        target = out or plan.models / new_version(plan.models, datetime.now(UTC))
        return _teach(model, lesson, target, method, method.adapters(new_ids))


def _teach(model: Checkpoint, lesson: Lesson, out: Path, method: Method, adapters: LoraConfig | None) -> Path:
    began = time.monotonic()
    before = lessons.losses(model, lesson)
    trained, log = _learn(model, lesson.examples, out, method.settings, adapters)
    if lesson.preferences:
        trained = learn_preferences(trained, lesson.preferences, out, method.settings)
    after = lessons.losses(trained, lesson)
    lessons.check_unchanged(lesson)
    made = finished(trained, out, model.manifest.version, list(lesson.files), log)
    write_version(_inheriting(made, model.manifest, lesson.exports), lesson.planted, out)
    Console().print(lessons.summary(lesson, before, after, out.name, time.monotonic() - began))
    print(f"{out} is written; python -m training.promote {out.name} lets it serve if it is no worse.")
    return out


@app.command()
def main(
    out: options.NewVersion = None,
    data: options.Data = None,
    base: Annotated[
        str | None,
        typer.Option(help="Checkpoint folder or hub name to start from; default: the shipped one, or the serving one."),
    ] = None,
    models: options.Models = MODELS,
    exports: options.Exports = EXPORTS,
    base_data: options.BaseData = BASE_DATA,
    newest: Annotated[int | None, typer.Option(min=1, help="Learn the newest N exports, known ones too.")] = None,
    replay: Annotated[float, typer.Option(min=0, help="Base examples a collected one (at least 2,000); 0: none.")] = 4,
    preference: Annotated[bool, typer.Option("--preference", help="Also learn from 👍 and 👎 (KTO).")] = False,
    canaries: Annotated[bool, typer.Option(help="Plant what training.promote looks for.")] = True,
    chat_format: options.ChatFormatName = None,
    distractors: Annotated[int, typer.Option(min=0, help="Wrong candidates an example is ranked against.")] = 1,
    choice_weight: Annotated[float, typer.Option(min=0, help="Weight of the next-utterance loss.")] = 0.5,
    lora: Annotated[bool, typer.Option("--lora", help="Train low-rank adapters only: for large bases.")] = False,
    lora_rank: Annotated[int, typer.Option(min=1)] = 16,
    epochs: options.EpochsOfData = None,
    max_steps: options.MaxSteps = -1,
    batch_size: options.BatchSize = 32,
    accumulation: options.Accumulation = 1,
    learning_rate: options.LearningRate = 2e-4,
    warmup: options.Warmup = 0.05,
    precision: options.Precision = "fp32",
    save_steps: options.SaveSteps = 200,
    log_steps: options.LogSteps = 10,
    seed: options.Seed = 0,
    resume: options.Resume = False,
    cpu: options.Cpu = False,
) -> None:
    """Fine-tune a model on dialogues: those of --data, or else what was collected."""
    settings = TrainOptions(
        epochs=epochs if epochs is not None else DATA_EPOCHS if data else EXPORT_EPOCHS,
        max_steps=max_steps,
        batch_size=batch_size,
        accumulation=accumulation,
        learning_rate=learning_rate,
        warmup=warmup,
        choice_weight=choice_weight if distractors else 0.0,
        precision=precision,
        save_steps=save_steps,
        log_steps=log_steps,
        seed=seed,
        resume=resume,
        cpu=cpu,
    )
    method = Method(settings, distractors, chat_format, lora_rank if lora else None)
    with options.plain_errors():
        set_seed(seed)
        if data:
            _learn_data(data, base or str(SHIPPED), out, method)
        else:
            learn_exports(Plan(models, exports, base_data, replay, newest, canaries, preference), base, out, method)


if __name__ == "__main__":
    app()
