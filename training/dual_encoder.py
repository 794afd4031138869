"""`python -m training.dual_encoder`: train the next-utterance ranker over sentence vectors (`model.dual_encoder`).

Every reply of a batch is a wrong candidate for all other contexts of it (Henderson et al. 2017). Learns from the
project's own dialogues less the held-out ones; seconds on a CPU, as the vectors are made already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from model.dual_encoder import DUAL_ENCODER, FACTS, TURNS, turns_read
from model.line_vectors import VECTORS, LineVectors, write_arrays
from training import options
from training.collected import BASE_DATA
from training.corpora import load_dialogues
from training.examples import HELD_OUT_PERCENT, TrainingExample, examples_of, split_by_hash
from training.vectors import own_vectors

_ROLES = (*TURNS, "reply", "fact")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train."""

    rank: int = 64
    epochs: int = 8
    batch_size: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    dropout: float = 0.3
    seed: int = 0


DEFAULTS = Plan()


class Encoders(nn.Module):
    """What `model.dual_encoder.DualEncoder` computes, with gradients. Row -1 of `vectors` is a turn that is missing."""

    def __init__(self, vectors: Tensor, plan: Plan) -> None:
        super().__init__()
        self.vectors = vectors
        size = vectors.shape[1]
        start = {"newest": 1.0, "bot": 0.3, "user": 0.2, "reply": 1.0, "fact": 1.0}
        self.weight = nn.ParameterDict({name: nn.Parameter(torch.tensor(start[name])) for name in _ROLES})
        self.down = nn.ParameterDict({n: nn.Parameter(torch.randn(size, plan.rank) * size**-0.5) for n in _ROLES})
        self.up = nn.ParameterDict({name: nn.Parameter(torch.zeros(plan.rank, size)) for name in _ROLES})
        self.log_scale = nn.Parameter(torch.tensor(2.5))
        self.dropout = nn.Dropout(plan.dropout)

    def encoded(self, name: str, rows: Tensor) -> Tensor:
        """The vectors of `rows` as encoder `name` gives them, [..., size]."""
        vectors = self.vectors[rows]
        found: Tensor = self.weight[name] * vectors + self.dropout(vectors @ self.down[name]) @ self.up[name]
        return found

    def forward(self, batch: Tensor) -> Tensor:
        """Scores of every reply in every context of the batch, [examples, examples]. `batch`: see `as_rows`."""
        read = torch.stack([self.encoded(name, batch[:, column]) for column, name in enumerate(TURNS)]).sum(0)
        replies = batch[:, len(TURNS)]
        scores = read @ self.encoded("reply", replies).T
        facts = batch[:, len(TURNS) + 1 :]
        fits = self.encoded("fact", facts) @ self.vectors[replies].T
        best = fits.masked_fill((facts < 0).unsqueeze(-1), float("-inf")).amax(dim=1)
        scores = (scores + torch.where(best.isinf(), 0.0, best)) * self.log_scale.exp()
        same = replies[:, None] == replies[None]
        twin = same & ~torch.eye(len(batch), dtype=torch.bool)
        return scores.masked_fill(twin, float("-inf"))


def as_rows(examples: Sequence[TrainingExample], vectors: LineVectors) -> tuple[Tensor, Tensor]:
    """Vectors of all texts, float32 [texts + 1, size], the last of zeros; and the examples as indices into them.

    int64 [examples, 3 turns, the reply, facts]; -1 stands for what is not there.
    """
    numbers: dict[str, int] = {}

    def number(text: str | None) -> int:
        return -1 if text is None else numbers.setdefault(text, len(numbers))

    rows = []
    for example in examples:
        facts = [number(fact) for fact in example.context.persona[:FACTS]]
        turns = [number(text) for text in turns_read(example.context)]
        rows.append([*turns, number(example.reply), *facts, *[-1] * (FACTS - len(facts))])
    found = torch.from_numpy(vectors.of(list(numbers)))
    return torch.cat([found, torch.zeros(1, found.shape[1])]), torch.tensor(rows)


def train(examples: Sequence[TrainingExample], vectors: LineVectors, plan: Plan) -> dict[str, np.ndarray]:
    """Weights for `DualEncoder`, by name."""
    torch.manual_seed(plan.seed)
    table, rows = as_rows(examples, vectors)
    model = Encoders(table, plan)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    batches = max(1, len(rows) // plan.batch_size)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, plan.epochs * batches)
    for epoch in range(plan.epochs):
        total = 0.0
        for picked in torch.randperm(len(rows)).tensor_split(batches):
            loss = cross_entropy(model(rows[picked]), torch.arange(len(picked)))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1}: loss {total / batches:.3f} (chance {np.log(len(rows) / batches):.3f})")
    weights = {"scale": model.log_scale.exp()}
    for name in _ROLES:
        weights |= {
            f"weight.{name}": model.weight[name],
            f"down.{name}": model.down[name],
            f"up.{name}": model.up[name],
        }
    return {name: weight.detach().numpy() for name, weight in weights.items()}


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Folder of the project's own dialogues.")] = BASE_DATA,
    vectors: Annotated[Path, typer.Option(help="Their sentence vectors.")] = VECTORS,
    out: Annotated[Path, typer.Option(help="File to write.")] = DUAL_ENCODER,
    epochs: Annotated[int, typer.Option(min=1)] = DEFAULTS.epochs,
    rank: Annotated[int, typer.Option(min=1)] = DEFAULTS.rank,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Train the ranker."""
    with options.plain_errors():
        known = own_vectors(vectors)
        kept, _ = split_by_hash(load_dialogues([str(data)]).dialogues, HELD_OUT_PERCENT)
        examples = [example for dialogue in kept for example in examples_of(dialogue)]
        plan = Plan(rank=rank, epochs=epochs, seed=seed)
        weights = train(examples, known, plan)
        write_arrays(out, {name: weight.astype(np.float16) for name, weight in weights.items()})
        print(f"{out}: learnt from {len(examples):,} replies.")


if __name__ == "__main__":
    app()
