"""`python -m training.fact_reader`: train what tells which persona fact a question is about (`model.fact_reader`).

The project's own persona questions name their fact by what the reply says; openings of talks without a persona, and
questions whose fact is missing, teach when there is nothing to tell.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from model.fact_reader import FACT_READER
from model.line_vectors import VECTORS, LineVectors, write_arrays
from model.lines import normalise
from training import options
from training.collected import BASE_DATA
from training.corpora import load_dialogues
from training.examples import HELD_OUT_PERCENT, Dialogue, split_by_hash
from training.vectors import own_vectors

# Files of dialogues whose first turn asks the bot about itself.
QUESTIONS = ("persona_questions.jsonl", "persona_answers.jsonl")
# Facts of other personas that stand beside the right one.
_OTHERS = 6
_STEPS, _BATCH, _RANK, _HIDDEN = 600, 256, 32, 64
_DROPOUT, _LEARNING_RATE, _WEIGHT_DECAY = 0.4, 2e-3, 0.05

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about the bot, the fact that answers it, and the persona's other facts."""

    text: str
    fact: str
    others: tuple[str, ...]


def question_of(dialogue: Dialogue) -> Question | None:
    """The dialogue's first turn as a question; None where the reply does not show clearly which fact it tells."""
    facts = dialogue.persona
    if len(facts) < 2 or len(dialogue.turns) < 2:
        return None
    said = _bigrams(dialogue.turns[1].text)
    shares = [len(_bigrams(fact) & said) / max(3, len(_bigrams(fact))) for fact in facts]
    best, second = sorted(shares, reverse=True)[:2]
    if best < 0.15 or best - second < 0.1:
        return None
    index = shares.index(best)
    return Question(dialogue.turns[0].text, facts[index], (*facts[:index], *facts[index + 1 :]))


def _bigrams(text: str) -> set[str]:
    plain = normalise(text.removeprefix("나는 ").removeprefix("내 이름은 "))
    return {plain[i : i + 2] for i in range(len(plain) - 1)}


class Reader(nn.Module):
    """What `model.fact_reader.FactReader` computes, with gradients."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size, _HIDDEN)
        self.asks = nn.Linear(_HIDDEN, 1)
        self.fit_bias = nn.Parameter(torch.tensor(-1.0))
        self.scale = nn.Parameter(torch.tensor(8.0))
        self.down = nn.Parameter(torch.randn(size, _RANK) * 0.05)
        self.up = nn.Parameter(torch.zeros(_RANK, size))
        self.dropout = nn.Dropout(_DROPOUT)

    def asked(self, lines: Tensor) -> Tensor:
        """Logits of each line being a question about the bot, [lines]."""
        found: Tensor = self.asks(self.dropout(torch.relu(self.hidden(lines)))).squeeze(-1)
        return found

    def fits(self, questions: Tensor, facts: Tensor) -> Tensor:
        """How well each fact answers, [questions, facts]. `facts`: [questions, facts, size]."""
        read = self.scale * questions + self.dropout(questions @ self.down) @ self.up * self.scale.detach()
        return torch.einsum("nd,nfd->nf", read, facts)


def train(questions: Sequence[Question], others: Sequence[str], vectors: LineVectors, seed: int) -> dict[str, Tensor]:
    """Weights for `FactReader`, by name. `others`: lines that ask nothing about the bot."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    texts = list(dict.fromkeys([*others, *(t for q in questions for t in (q.text, q.fact, *q.others))]))
    number = {text: index for index, text in enumerate(texts)}
    table = torch.from_numpy(vectors.of(texts))
    model = Reader(table.shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    pool = [fact for question in questions for fact in (question.fact, *question.others)]
    for _ in range(_STEPS):
        drawn = rng.choices(questions, k=_BATCH)
        rows = [
            [number[q.fact], *(number[fact] for fact in [*q.others[:3], *rng.choices(pool, k=_OTHERS)][:_OTHERS])]
            for q in drawn
        ]
        asked = table[[number[q.text] for q in drawn]]
        said = table[[number[text] for text in rng.choices(others, k=_BATCH)]]
        truth = torch.cat([torch.ones(_BATCH), torch.zeros(_BATCH)])
        loss = binary_cross_entropy_with_logits(model.asked(torch.cat([asked, said])), truth)
        fits = model.fits(asked, table[torch.tensor(rows)])
        loss = loss + cross_entropy(fits, torch.zeros(_BATCH, dtype=torch.long))
        # How good a fit has to be is learnt apart, from the best wrong fact beside the right one.
        best = torch.cat([fits[:, 0], fits[:, 1:].amax(dim=1)]).detach() + model.fit_bias
        loss = loss + binary_cross_entropy_with_logits(best, truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return {
        "hidden": model.hidden.weight.T,
        "hidden.bias": model.hidden.bias,
        "asks": model.asks.weight[0],
        "asks.bias": model.asks.bias[0],
        "scale": model.scale,
        "down": model.down,
        "up": model.up * model.scale,
        "fit.bias": model.fit_bias,
    }


def read_data(folder: Path) -> tuple[list[Question], list[str]]:
    """The questions, and lines that ask nothing about the bot; the held-out dialogues are left out."""
    questions: list[Question] = []
    others: list[str] = []
    for path in sorted(folder.glob("*.jsonl")):
        kept, _ = split_by_hash(load_dialogues([str(path)]).dialogues, HELD_OUT_PERCENT)
        if path.name in QUESTIONS:
            questions += [question for dialogue in kept if (question := question_of(dialogue)) is not None]
        else:
            others += [dialogue.turns[0].text for dialogue in kept if not dialogue.persona]
    return questions, others


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Folder of the project's own dialogues.")] = BASE_DATA,
    vectors: Annotated[Path, typer.Option(help="Their sentence vectors.")] = VECTORS,
    out: Annotated[Path, typer.Option(help="File to write.")] = FACT_READER,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Train the reader."""
    with options.plain_errors():
        known = own_vectors(vectors)
        questions, others = read_data(data)
        weights = train(questions, others, known, seed)
        write_arrays(out, {name: weight.detach().numpy().astype(np.float16) for name, weight in weights.items()})
        print(f"{out}: learnt from {len(questions):,} questions and {len(others):,} other lines.")


if __name__ == "__main__":
    app()
