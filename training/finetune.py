"""`python -m training.finetune`: teach a base to answer, with the LM and the next-utterance loss (Wolf et al. 2019)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import set_seed

from model.checkpoint import Checkpoint
from model.gpt2 import DialogueModel, parameter_count
from training import options
from training.base import finished, load_base, pad_id
from training.corpora import load_dialogues
from training.dataset import ItemDataset, Packer, encode_example
from training.errors import BadOption
from training.examples import TrainingExample, examples_of, with_distractors
from training.trainer import TrainOptions, is_main_process, train, write_result

DEFAULT_BASE = Path(__file__).resolve().parent.parent / "model" / "default"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def finetune(
    base: Checkpoint,
    examples: Sequence[TrainingExample],
    out: Path,
    settings: TrainOptions,
    files: Sequence[Path] = (),
    lora: LoraConfig | None = None,
) -> Checkpoint:
    """Train `base` on `examples` (with the distractors they carry) and write the checkpoint `out`."""
    length = base.max_positions
    items = [encode_example(base.chat_format, example, length) for example in examples]
    trained: torch.nn.Module = get_peft_model(base.model, lora) if lora else base.model
    learning = sum(weight.numel() for weight in trained.parameters() if weight.requires_grad)
    if is_main_process():
        print(
            f"{learning:,} of {parameter_count(trained):,} parameters learn, {len(items):,} examples, "
            f"{ItemDataset(items).tokens:,} tokens an epoch"
        )
    log = train(trained, items, Packer(length, pad_id(base)), out, settings)
    result = replace(base, model=_merged(trained))
    result = finished(result, out, base.manifest.version, list(files), log)
    write_result(result, out)
    return result


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


@app.command()
def main(
    out: options.Out,
    data: options.Data = None,
    base: Annotated[str, typer.Option(help="Checkpoint folder or hub name to start from.")] = str(DEFAULT_BASE),
    chat_format: options.ChatFormatName = None,
    distractors: Annotated[int, typer.Option(min=0, help="Wrong candidates an example is ranked against.")] = 1,
    choice_weight: Annotated[float, typer.Option(min=0, help="Weight of the next-utterance loss.")] = 0.5,
    lora: Annotated[bool, typer.Option("--lora", help="Train low-rank adapters only: for large bases.")] = False,
    lora_rank: Annotated[int, typer.Option(min=1)] = 16,
    epochs: options.Epochs = 3.0,
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
    """Fine-tune a model on dialogues."""
    settings = TrainOptions(
        epochs=epochs,
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
    with options.plain_errors():
        set_seed(seed)
        if not data:
            raise BadOption("There is nothing to learn from; give --data FILE.")
        corpus = load_dialogues(data)
        model, new_ids = load_base(base, chat_format)
        examples = [example for dialogue in corpus.dialogues for example in examples_of(dialogue)]
        if distractors:
            examples = with_distractors(examples, distractors, random.Random(seed))
        adapters = lora_config(lora_rank, new_ids) if lora else None
        finetune(model, examples, out, settings, corpus.files, adapters)


if __name__ == "__main__":
    app()
