"""`python -m training.act_reader`: train what tells the act of a line (`model.act_reader`), in some minutes.

Learns from lines whose fitting acts were labelled (training/data/acts), from the examples of the general listening
classes (a line may have several acts), and from what readers found of the general replies they were offered
(`training.judged`): a reply to an act that was none is seldom sensible. Nearly all the time goes into sentence vectors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from model.act_reader import ACT_READER
from model.dialogue import Source
from model.finder import LISTENING
from model.line_vectors import VECTORS, LineVectors, write_arrays
from model.listener import GENERAL, REACTION, ListeningClass, load_listening
from training import options
from training.collected import BASE_DATA
from training.errors import BadData
from training.judged import JUDGED, Judged, load_judged
from training.vectors import own_vectors

ACTS = BASE_DATA / "acts"
_EPOCHS = 8
_BATCH = 256
_LEARNING_RATE = 0.02
_WEIGHT_DECAY = 0.05
# Of each of a labelled line's acts, told or not, beside one judged reply: chosen on the conversations for development.
_LABELLED_WEIGHT = 0.5

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A line, its acts, and those it was labelled among: of the others nothing is known."""

    text: str
    acts: tuple[str, ...]
    among: frozenset[str]


def labelled_lines(folder: Path, classes: Sequence[ListeningClass]) -> list[Labelled]:
    """Lines with the names of their acts; a file is taken to know of the acts it names.

    Raises BadData where the labels cannot be read.
    """
    files: list[list[tuple[str, tuple[str, ...]]]] = [
        [(text, (each.act,)) for each in classes if each.topic == GENERAL for text in each.said]
    ]
    for path in sorted(folder.glob("*.jsonl")):
        try:
            records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
            files.append([(str(record["text"]), tuple(map(str, record["acts"]))) for record in records])
        except (ValueError, KeyError, TypeError) as error:
            raise BadData(f"{path}: no labelled acts ({error!r}).") from error
    return [
        Labelled(text, acts, among)
        for lines in files
        for among in [frozenset(act for _, acts in lines for act in acts)]
        for text, acts in lines
    ]


def found_acts(judged: Iterable[Judged], acts: Sequence[str]) -> list[tuple[str, str, bool]]:
    """Newest turns, an act that was answered, and whether that was sensible; none of those kept for development."""
    known = set(acts)
    return [
        (each.context.turns[-1].text, match.said, sensible)
        for each in judged
        if not each.development
        for match, sensible in zip(each.matches, each.sensible, strict=True)
        if match.source is Source.LISTENER and match.said in known
    ]


def train(
    lines: Sequence[Labelled],
    found: Sequence[tuple[str, str, bool]],
    acts: Sequence[str],
    vectors: LineVectors,
    seed: int,
) -> dict[str, np.ndarray]:
    """Weights for `ActReader`, by name."""
    torch.manual_seed(seed)
    texts = [*(line.text for line in lines), *(text for text, _, _ in found)]
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    table = torch.from_numpy(vectors.of(list(places)))
    truth, weight = _told(lines, found, acts)
    rows = torch.tensor([places[text] for text in texts])
    model = nn.Linear(table.shape[1], len(acts))
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    for _ in range(_EPOCHS):
        for picked in torch.randperm(len(rows)).tensor_split(max(1, len(rows) // _BATCH)):
            logits = model(table[rows[picked]])
            loss = binary_cross_entropy_with_logits(logits, truth[picked], weight[picked], reduction="sum")
            optimizer.zero_grad()
            (loss / len(picked)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    matrix, bias = model.weight.detach().T.numpy(), model.bias.detach().numpy()
    return {"acts": np.array(acts), "weight": matrix.astype(np.float16), "bias": bias.astype(np.float16)}


def _told(
    lines: Sequence[Labelled], found: Sequence[tuple[str, str, bool]], acts: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Truth and weight of each act in each row, float32 [rows, acts]; of a judged reply only its act counts."""
    truth = torch.zeros(len(lines) + len(found), len(acts))
    weight = torch.zeros_like(truth)
    numbers = {act: number for number, act in enumerate(acts)}
    for row, line in enumerate(lines):
        truth[row, [numbers[act] for act in line.acts if act in numbers]] = 1
        weight[row, [numbers[act] for act in line.among if act in numbers]] = _LABELLED_WEIGHT
    for row, (_, act, sensible) in enumerate(found, len(lines)):
        truth[row, numbers[act]] = float(sensible)
        weight[row, numbers[act]] = 1
    return truth, weight


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Folder of the project's own dialogues.")] = BASE_DATA,
    labels: Annotated[Path, typer.Option(help="Folder of lines with their acts.")] = ACTS,
    judged: Annotated[Path, typer.Option(help="Folder of judged candidates.")] = JUDGED,
    vectors: Annotated[Path, typer.Option(help="Sentence vectors.")] = VECTORS,
    out: Annotated[Path, typer.Option(help="File to write.")] = ACT_READER,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Train the reader."""
    with options.plain_errors():
        known = own_vectors(vectors)
        classes = load_listening(data / LISTENING)
        acts = [each.act for each in classes if each.topic in (GENERAL, REACTION)]
        lines = labelled_lines(labels, classes)
        if not acts:
            raise BadData(f"{data}: there is no general listening class, so there are no acts to tell.")
        found = found_acts(load_judged(judged), acts)
        write_arrays(out, train(lines, found, acts, known, seed))
        print(f"{out}: {len(acts)} acts, learnt from {len(lines):,} lines and {len(found):,} judged replies.")


if __name__ == "__main__":
    app()
