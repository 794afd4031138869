"""`python -m training.abuse --data FILE --out FILE`: the classifier of abusive lines (bot/safety/abuse.py).

Logistic regression with L2 over hashed character n-grams, fitted with L-BFGS (Liu and Nocedal 1989). A fifth of each
source and label is held out and only measured. What makes it fit for chat are lines of everyday chat as benign
examples: taught with labelled comments alone it took 28% of such lines for abuse at .5 (development part), so 0.2%.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from bot.safety import abuse
from bot.safety.curses import has_curse
from bot.safety.spelling import fold, squeeze
from model.files import sha256
from training import options
from training.corpora import load_dialogues
from training.errors import BadData
from training.importers.reading import numbered_lines, parse_line, read_text
from training.importers.records import BadRecord, as_text

AUTHORED = Path(__file__).resolve().parent / "data"
EXPECTED = 'JSONL with "text", "label", "source" and "licence" in each line'
ABUSIVE = frozenset({"hate", "offensive"})
FINE = frozenset({"none", "safe"})
# Judgements of a sentence in its context. Letters alone cannot tell them (precision .58 where half are positive), and
# learning them makes the mere names of groups look like abuse.
LEFT_OUT = frozenset({"unsafe"})
CHAT = "chat"
# Of a line in the loss, where it is not 1: sentences that name groups, and chat, of which there is far more.
WEIGHTS = {"safe": 0.5, CHAT: 0.3}
L2 = 1e-5
HELD_OUT = 5
# Lines of each chat source that are measured.
CHAT_MEASURED = 2000
THRESHOLDS = (abuse.TRAINING_LIMIT, abuse.OUTPUT_LIMIT)


@dataclass(frozen=True, slots=True)
class Line:
    """A text. `label` is the data's own, or CHAT."""

    text: str
    label: str
    source: str
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one group of lines at one threshold; precision and recall are None where nothing was flagged or abusive."""

    group: str
    threshold: float
    lines: int
    abusive: int
    flagged: int
    precision: float | None
    recall: float | None

    def __str__(self) -> str:
        shares = f"precision {_share(self.precision)} recall {_share(self.recall)}"
        return f"{self.group} at {self.threshold}: {shares}, {self.flagged} of {self.lines} flagged"


def _share(value: float | None) -> str:
    return "  - " if value is None else f"{value:.3f}"


def read_labelled(path: Path) -> list[Line]:
    """The lines of a labelled file. Raises BadData naming file and line when one is broken or of an unknown label."""
    lines = []
    for number, raw in numbered_lines(read_text(path, EXPECTED)):
        try:
            record = parse_line(raw)
            text, label, source, licence = (
                as_text(record.get(name), f'"{name}"') for name in ("text", "label", "source", "licence")
            )
        except BadRecord as error:
            raise BadData(f"{path}: line {number}: {error}; mend or remove the line. Expected {EXPECTED}.") from error
        if label not in ABUSIVE | FINE | LEFT_OUT:
            known = ", ".join(sorted(ABUSIVE | FINE | LEFT_OUT))
            raise BadData(f"{path}: line {number}: the label '{label}' is unknown; use one of {known}.")
        lines.append(Line(text, label, source, licence))
    return lines


def read_chat(specs: Sequence[str]) -> list[Line]:
    """The turns of the dialogues that `specs` name, as benign lines. Raises BadData."""
    return [
        Line(turn.text, CHAT, f"{CHAT}: {Path(spec).name}")
        for spec in specs
        for dialogue in load_dialogues([spec]).dialogues
        for turn in dialogue.turns
    ]


def split(lines: Iterable[Line], rng: random.Random) -> tuple[list[Line], list[Line]]:
    """Lines to learn from, and a fifth of each source and label. Of texts that are spelled alike the first counts."""
    groups: dict[tuple[str, str], list[Line]] = defaultdict(list)
    seen: set[str] = set()
    for line in lines:
        spelling = squeeze(fold(line.text))
        if spelling and spelling not in seen:
            seen.add(spelling)
            groups[line.source, line.label].append(line)
    learnt: list[Line] = []
    held_out: list[Line] = []
    for name in sorted(groups):
        group = groups[name]
        rng.shuffle(group)
        held_out += group[: len(group) // HELD_OUT]
        learnt += group[len(group) // HELD_OUT :]
    return learnt, held_out


def learn(lines: Sequence[Line], steps: int = 100) -> abuse.Classifier:
    """Fit a classifier in at most `steps` iterations. Raises BadData when there is nothing to tell apart.

    Chat lines with curses are left out: they are no example of benign talk.
    """
    used = [line for line in lines if line.label not in LEFT_OUT and (line.label != CHAT or not _cursed(line))]
    target = np.array([line.label in ABUSIVE for line in used], np.float64)
    if not 0 < target.sum() < len(target):
        raise BadData("There is nothing to tell apart; name data with abusive lines and with others.")
    weight = np.array([WEIGHTS.get(line.label, 1.0) for line in used], np.float64)
    found = [abuse.buckets_of(squeeze(fold(line.text))) for line in used]
    solution = _minimise(_loss(found, target, weight / weight.sum()), steps)
    return abuse.rounded(solution[:-1], float(solution[-1]))


def _cursed(line: Line) -> bool:
    return has_curse(fold(line.text))


_Loss = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]


def _loss(found: Sequence[NDArray[np.int64]], target: NDArray[np.float64], weight: NDArray[np.float64]) -> _Loss:
    """Weighted logistic loss of rows of length 1 with L2, and its gradient, at (weights, bias)."""
    counts = np.array([len(buckets) for buckets in found])
    starts = np.cumsum(counts) - counts
    columns = np.concatenate(found)
    values = np.repeat(1 / np.sqrt(counts), counts)

    def at(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = point[:-1], point[-1]
        logits = np.add.reduceat(values * weights[columns], starts) + bias
        error = weight * (1 / (1 + np.exp(-logits)) - target)
        loss = weight @ (np.logaddexp(0, logits) - target * logits) + L2 / 2 * (weights @ weights)
        slopes = np.bincount(columns, values * np.repeat(error, counts), abuse.BUCKETS) + L2 * weights
        return float(loss), np.append(slopes, error.sum())

    return at


def _minimise(loss: _Loss, steps: int) -> NDArray[np.float64]:
    point = torch.zeros(abuse.BUCKETS + 1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([point], max_iter=steps, line_search_fn="strong_wolfe", tolerance_change=1e-7)

    def closure() -> float:
        value, slope = loss(point.detach().numpy())
        point.grad = torch.from_numpy(slope)
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    solution: NDArray[np.float64] = point.detach().numpy()
    return solution


def measure(lines: Sequence[Line], score: Callable[[str], float]) -> list[Figures]:
    """Figures of each source and of all labelled lines, at the thresholds in use. Unsafe lines count as abusive."""
    groups: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for line in lines:
        judged = score(line.text), line.label in ABUSIVE | LEFT_OUT
        groups[line.source].append(judged)
        if line.label != CHAT:
            groups["all labelled"].append(judged)
    return [_figures(name, groups[name], threshold) for name in sorted(groups) for threshold in THRESHOLDS]


def _figures(group: str, judged: Sequence[tuple[float, bool]], threshold: float) -> Figures:
    abusive = sum(is_abusive for _, is_abusive in judged)
    flagged = sum(score >= threshold for score, _ in judged)
    hits = sum(score >= threshold and is_abusive for score, is_abusive in judged)
    precision, recall = hits / flagged if flagged else None, hits / abusive if abusive else None
    return Figures(group, threshold, len(judged), abusive, flagged, precision, recall)


def sample_chat(lines: Sequence[Line], count: int, rng: random.Random) -> list[Line]:
    """The labelled lines, and of each source of chat at most `count`."""
    groups: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.source if line.label == CHAT else ""].append(line)
    labelled = groups.pop("", [])
    return labelled + [line for group in groups.values() for line in rng.sample(group, min(count, len(group)))]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Labelled lines, .jsonl or .jsonl.xz.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = abuse.MODEL_FILE,
    chat: Annotated[list[str] | None, typer.Option(help="Benign dialogues; default: the project's own.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
) -> None:
    """Train the classifier of abusive lines, print what it does on held-out lines, write it."""
    with options.plain_errors():
        rng = random.Random(seed)
        labelled = read_labelled(data)
        learnt, held_out = split([*labelled, *read_chat(chat or [str(AUTHORED)])], rng)
        classifier = learn(learnt)
        measured = sample_chat(held_out, CHAT_MEASURED, rng)
        found = measure(measured, lambda text: abuse.score(text, classifier))
        for figures in found:
            print(figures)
        about = {
            "data_sha256": sha256([data]),
            "sources": {line.source: line.licence for line in [*labelled, *learnt]},
            "figures": [asdict(figures) for figures in found],
            "seed": seed,
        }
        abuse.save(classifier, out, about)


if __name__ == "__main__":
    app()
