"""`python -m training.act_reader`: train what tells the act of a line (`model.act_reader`), in seconds.

Learns from lines whose fitting acts were labelled (training/data/acts) and from the examples of the general listening
classes; a line may have several acts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from model.act_reader import ACT_READER
from model.finder import LISTENING
from model.line_vectors import VECTORS, LineVectors, write_arrays
from model.listener import GENERAL, ListeningClass, load_listening
from training import options
from training.collected import BASE_DATA
from training.errors import BadData
from training.vectors import own_vectors

ACTS = BASE_DATA / "acts"
_EPOCHS = 20
_BATCH = 128
_LEARNING_RATE = 0.02
_WEIGHT_DECAY = 0.05

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def labelled_lines(folder: Path, classes: Sequence[ListeningClass]) -> list[tuple[str, list[str]]]:
    """Lines with the names of their acts. Raises BadData where the labels cannot be read."""
    lines = [(text, [each.act]) for each in classes if each.topic == GENERAL for text in each.said]
    for path in sorted(folder.glob("*.jsonl")):
        try:
            records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
            lines += [(str(record["text"]), [str(act) for act in record["acts"]]) for record in records]
        except (ValueError, KeyError, TypeError) as error:
            raise BadData(f"{path}: no labelled acts ({error!r}).") from error
    return lines


def train(
    lines: Sequence[tuple[str, Sequence[str]]], acts: Sequence[str], vectors: LineVectors, seed: int
) -> dict[str, np.ndarray]:
    """Weights for `ActReader`, by name."""
    torch.manual_seed(seed)
    table = torch.from_numpy(vectors.of([text for text, _ in lines]))
    truth = torch.tensor([[float(act in own) for act in acts] for _, own in lines])
    model = nn.Linear(table.shape[1], len(acts))
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    for _ in range(_EPOCHS):
        for picked in torch.randperm(len(table)).tensor_split(max(1, len(table) // _BATCH)):
            loss = binary_cross_entropy_with_logits(model(table[picked]), truth[picked])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    weight, bias = model.weight.detach().T.numpy(), model.bias.detach().numpy()
    return {"acts": np.array(acts), "weight": weight.astype(np.float16), "bias": bias.astype(np.float16)}


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Folder of the project's own dialogues.")] = BASE_DATA,
    labels: Annotated[Path, typer.Option(help="Folder of lines with their acts.")] = ACTS,
    vectors: Annotated[Path, typer.Option(help="Sentence vectors.")] = VECTORS,
    out: Annotated[Path, typer.Option(help="File to write.")] = ACT_READER,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Train the reader."""
    with options.plain_errors():
        known = own_vectors(vectors)
        classes = load_listening(data / LISTENING)
        acts = [each.act for each in classes if each.topic == GENERAL]
        lines = labelled_lines(labels, classes)
        if not acts:
            raise BadData(f"{data}: there is no general listening class, so there are no acts to tell.")
        write_arrays(out, train(lines, acts, known, seed))
        print(f"{out}: {len(acts)} acts, learnt from {len(lines):,} lines.")


if __name__ == "__main__":
    app()
