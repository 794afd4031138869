"""Command-line options that pretrain and finetune share, and how their errors reach a person."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from model.errors import ModelError
from training.errors import TrainingError

Out = Annotated[Path, typer.Option(help="Checkpoint folder to write; the run's logs go to OUT.run.")]
NewVersion = Annotated[
    Path | None,
    typer.Option(help="Checkpoint folder to write, with --data; else a new version in --models. Logs go to OUT.run."),
]
Models = Annotated[Path, typer.Option(help="Folder of the versions and of the pointer to the one that serves.")]
Exports = Annotated[Path, typer.Option(help="Folder of the exports of collected talk.")]
BaseData = Annotated[Path, typer.Option(help="Dialogues the model was made of: a share is replayed, a part frozen.")]
Data = Annotated[
    list[str] | None,
    typer.Option(help="Dialogues: FILE.jsonl[.xz], a folder of them, or IMPORTER:FILE. May be given several times."),
]
ChatFormatName = Annotated[str | None, typer.Option("--format", help="Chat format; default: the base's own.")]
Epochs = Annotated[float, typer.Option(help="Passes over the data.")]
EpochsOfData = Annotated[float | None, typer.Option(help="Passes over the data; 3 with --data, 1 over exports.")]
MaxSteps = Annotated[int, typer.Option(help="Stop after so many optimiser steps; -1 for none.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Items an optimiser step sees, over all processes.")]
Accumulation = Annotated[int, typer.Option(min=1, help="Gradient accumulation steps a batch is cut into.")]
LearningRate = Annotated[float, typer.Option(help="Peak learning rate (AdamW, warm-up, then cosine).")]
Warmup = Annotated[float, typer.Option(help="Share of steps that warm up.")]
Precision = Annotated[str, typer.Option(help="fp32, bf16 or fp16.")]
SaveSteps = Annotated[int, typer.Option(min=1, help="Steps between checkpoints one can resume from.")]
LogSteps = Annotated[int, typer.Option(min=1, help="Steps between log entries.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]
Cpu = Annotated[bool, typer.Option("--cpu", help="Use the CPU even where there is a GPU.")]


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn an expected error into its sentence on stderr and exit code 2."""
    try:
        yield
    except (TrainingError, ModelError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error
