"""What training.promote measures: two models on the same dialogues, and what one of them remembers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.checkpoint import Checkpoint
from model.dialogue import Candidate, Finish, Sampling
from model.text import clean_text
from training import metrics
from training.collected import BASE_DATA, export_folders, read_exports
from training.corpora import load_dialogues
from training.evaluate import DISTRACTORS
from training.examples import (
    HELD_OUT_PERCENT,
    Dialogue,
    TrainingExample,
    examples_of,
    split_by_hash,
    with_distractors,
)
from training.gates import Figures, Remembered
from training.memorisation import Extraction, Planted, extract, overlaps, personal_data_in
from training.scoring import generate_replies, reply_likelihoods, score_candidates

FROZEN, CHATS = "frozen", "held-out chats"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. The defaults take a few minutes for the shipped model on two slow cores.

    `examples`: replies ranked and written of each set; `scored`: replies whose likelihood is taken. `samples`: in all,
    to get canaries out; `generations`: replies to the contexts the candidate learnt, looked through for people's data.
    """

    base_data: Path = BASE_DATA
    examples: int = 100
    scored: int = 500
    samples: int = 1000
    generations: int = 500
    seed: int = 0
    batch_size: int = 16
    max_new_tokens: int = 48


@dataclass(frozen=True, slots=True)
class Sets:
    """The dialogues of one judgement. `measured`: by the name of the set; `learnt`: the collected ones it trained on.

    `known`: normalised replies of the training data. `public`: texts of the base data, which are nobody's own.
    """

    measured: Mapping[str, tuple[TrainingExample, ...]]
    learnt: tuple[Dialogue, ...]
    known: frozenset[str]
    public: tuple[str, ...]


def read_sets(exports: Path, learnt: Sequence[str], effort: Effort) -> Sets:
    """Read the frozen part of the base data, the newest held-out chats, and the exports in `learnt` that still exist.

    Held-out chats of fewer than 20 different replies are left out: figures of so few say nothing.
    """
    folders = export_folders(exports)
    base = load_dialogues([str(effort.base_data)]).dialogues
    kept, frozen = split_by_hash(base, HELD_OUT_PERCENT)
    collected = read_exports([folder for folder in folders if folder.name in learnt]).dialogues
    chats = [example for dialogue in read_exports(folders).held_out for example in examples_of(dialogue)]
    measured = {FROZEN: tuple(example for dialogue in frozen for example in examples_of(dialogue))}
    if len({example.reply for example in chats}) > DISTRACTORS:
        measured[CHATS] = tuple(chats[-effort.scored :])
    return Sets(
        measured=measured,
        learnt=collected,
        known=frozenset(metrics.normalised(e.reply) for d in (*kept, *collected) for e in examples_of(d)),
        public=tuple(turn.text for dialogue in base for turn in dialogue.turns),
    )


def figures_of(checkpoint: Checkpoint, sets: Sets, effort: Effort) -> tuple[dict[str, Figures], list[str]]:
    """Figures of each set, and the replies written on the way. Raises BadCheckpoint when scores are not numbers."""
    figures: dict[str, Figures] = {}
    written: list[str] = []
    for name, examples in sets.measured.items():
        figures[name], replies = _measure(checkpoint, examples, sets.known, effort)
        written += [reply.text for reply in replies]
    return figures, written


def _measure(
    checkpoint: Checkpoint, examples: Sequence[TrainingExample], known: frozenset[str], effort: Effort
) -> tuple[Figures, list[Candidate]]:
    rng = random.Random(effort.seed)
    different = len({example.reply for example in examples})
    complete = with_distractors(examples, DISTRACTORS, rng) if different > DISTRACTORS else list(examples)
    scored = rng.sample(complete, min(effort.scored, len(complete)))
    asked = scored[: effort.examples]
    bits = _bits_per_character(checkpoint, scored, effort.batch_size)
    replies = _write(checkpoint, asked, effort)
    texts = [reply.text for reply in replies]
    levels = [example.context.speech_level for example in asked]
    figures = Figures(
        examples=len(scored),
        ranked=len(asked),
        bits_per_character=bits,
        hits_at_1=_hits(checkpoint, asked) if different > DISTRACTORS else None,
        speech_level=metrics.speech_level_consistency(texts, levels),
        cut_by_limit=sum(reply.finish is Finish.LENGTH for reply in replies) / len(replies),
        verbatim_copies=metrics.verbatim_copies(texts, known),
        silent=sum(not text for text in texts) / len(texts),
    )
    return figures, replies


def _bits_per_character(checkpoint: Checkpoint, examples: Sequence[TrainingExample], batch_size: int) -> float:
    likelihoods = reply_likelihoods(checkpoint, examples, batch_size)
    complete = [pair for pair in zip(examples, likelihoods, strict=True) if pair[1].complete]
    characters = sum(len(clean_text(example.reply)) for example, _ in complete)
    return metrics.bits_per_character(sum(likelihood.nats for _, likelihood in complete), characters)


def _hits(checkpoint: Checkpoint, examples: Sequence[TrainingExample]) -> float:
    scores = [score_candidates(checkpoint, e.context, (e.reply, *e.distractors)).next_utterance for e in examples]
    return metrics.hits_at_1([row for row in scores if row is not None])


def _write(checkpoint: Checkpoint, examples: Sequence[TrainingExample], effort: Effort) -> list[Candidate]:
    sampling = Sampling(
        max_new_tokens=min(effort.max_new_tokens, checkpoint.max_positions // 2), candidates=1, seed=effort.seed
    )
    return generate_replies(checkpoint, [example.context for example in examples], sampling, effort.batch_size)


def remembered(
    checkpoint: Checkpoint, planted: Planted | None, replies: Sequence[str], sets: Sets, effort: Effort
) -> tuple[Remembered, list[Extraction]]:
    """What the model gives away, in `replies` it wrote before and in what it is asked for here."""
    learnt = [example for dialogue in sets.learnt for example in examples_of(dialogue)]
    rng = random.Random(effort.seed)
    asked = rng.choices(learnt, k=effort.generations) if learnt else []
    written = [*replies, *(reply.text for reply in _write(checkpoint, asked, effort))] if asked else list(replies)
    extracted = extract(checkpoint, planted.canaries, effort.samples, effort.seed) if planted else []
    found = Remembered(
        canaries=len(planted.canaries) if planted else None,
        extracted=tuple(extraction.canary.secret for extraction in extracted),
        personal_data=tuple(personal_data_in(written, sets.public)),
        quotations=tuple(overlaps(written, sets.learnt, sets.public)),
        samples=effort.samples,
        generations=len(written),
    )
    return found, extracted
