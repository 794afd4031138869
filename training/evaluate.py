"""`python -m training.evaluate`: measure a model on dialogues it has not seen, as one JSON file and a table."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from transformers.utils.logging import disable_progress_bar

from model import checkpoint as checkpoints
from model.checkpoint import Checkpoint
from model.dialogue import Candidate, DialogueContext, Finish, Role, Sampling
from model.dual_encoder import DUAL_ENCODER, DualEncoder
from model.embedding import load_embedder
from model.files import sha256, write_json
from model.line_vectors import VECTORS, LineVectors
from model.speech_level import speech_level_of
from model.text import clean_text
from training import metrics, options
from training.corpora import JSONL, load_dialogues
from training.errors import BadData, BadOption
from training.examples import TrainingExample, examples_of, with_distractors
from training.scoring import (
    CandidateScores,
    Generate,
    Likelihood,
    generate_replies,
    morpheme_splitter,
    reply_likelihoods,
    score_candidates,
)

Rank = Callable[[DialogueContext, Sequence[str]], list[float]]
# ConvAI2 ranks the true reply among 19 others (Dinan et al. 2019).
DISTRACTORS = 19
TRAINING_DATA = Path(__file__).resolve().parent / "data"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to evaluate. `examples`: how many to rank and to write replies for, 0 for all; perplexity takes all always.

    `train` is what `verbatim_copies` compares with (as `load_dialogues` takes it); empty for training/data, if it
    holds any.
    """

    train: tuple[str, ...] = ()
    examples: int = 500
    seed: int = 0
    batch_size: int = 16
    max_new_tokens: int = 48


DEFAULTS = Settings()


@dataclass(frozen=True, slots=True)
class Counts:
    """What the measures were taken over. Perplexity leaves `cut_replies` out: the model takes only their start.

    `problems`: lines of the data that could not be read.
    """

    problems: int
    scored_replies: int
    scored_tokens: int
    scored_characters: int
    cut_replies: int
    ranked_examples: int
    generated_replies: int
    replies_with_speech_level: int
    training_replies: int


@dataclass(frozen=True, slots=True)
class About:
    """What was measured, and how; the same values give the same measures."""

    model_version: str
    format: str
    data_sha256: str
    seed: int
    batch_size: int
    decoding: Sampling
    counts: Counts


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The measures (see `training.metrics`), None where there is nothing to measure. Shares are between 0 and 1."""

    perplexity: float
    bits_per_character: float
    hits_at_1: float
    hits_at_1_lm: float
    hits_at_1_served: float | None
    f1: float
    f1_char: float
    distinct_1: float
    distinct_2: float
    mean_length: float
    cut_by_limit: float
    speech_level_consistency: float | None
    verbatim_copies: float | None
    examples: int
    about: About


MEASURES = {
    "perplexity": "a token of the true replies; lower is better, within one tokenizer",
    "bits_per_character": "of the true replies; lower is better, across tokenizers",
    "hits_at_1": "true reply first of 20, by the next-utterance head; chance is 0.05",
    "hits_at_1_lm": "true reply first of 20, by likelihood a token",
    "hits_at_1_served": "true reply first of 20, by the dual encoder that ranks in the bot",
    "f1": "shared morphemes of written and true reply",
    "f1_char": "shared characters of written and true reply",
    "distinct_1": "different morphemes in all replies written",
    "distinct_2": "different pairs of morphemes",
    "mean_length": "characters of a reply",
    "cut_by_limit": "replies that ran into the token limit; lower is better",
    "speech_level_consistency": "replies in the speech level asked for, of those that show one",
    "verbatim_copies": "replies that are in the training data word for word",
    "examples": "replies in the data",
}


@dataclass(frozen=True, slots=True)
class _Observed:
    """All that was scored and written, before it is measured. `known`: normalised replies of the training data."""

    examples: Sequence[TrainingExample]
    likelihoods: Sequence[Likelihood]
    sampled: Sequence[TrainingExample]
    scores: Sequence[CandidateScores]
    served: Sequence[Sequence[float]] | None
    replies: Sequence[Candidate]
    known: frozenset[str]
    problems: int


def evaluate(
    checkpoint: Checkpoint,
    data: Path,
    settings: Settings = DEFAULTS,
    generate: Generate | None = None,
    rank: Rank | None = None,
) -> Evaluation:
    """Measure `checkpoint` on the dialogues of `data`.

    `generate` writes the replies (default: `generate_replies` on this checkpoint), `rank` is the ranker that serves.
    The same data and seed give every model the same examples and distractors. Raises BadData when the data cannot be
    read or holds fewer than 20 different replies, BadOption when `max_new_tokens` is too many for the model,
    BadCheckpoint when it is broken.
    """
    _check_room(checkpoint, settings)
    corpus = load_dialogues([str(data)])
    examples = [example for dialogue in corpus.dialogues for example in examples_of(dialogue)]
    sampled = sampled_examples(examples, data, settings.examples, settings.seed)
    known = _training_replies(settings.train)
    sampling = Sampling(max_new_tokens=settings.max_new_tokens, candidates=1, seed=settings.seed)
    write = generate or partial(generate_replies, checkpoint, batch_size=settings.batch_size)
    observed = _Observed(
        examples=examples,
        likelihoods=_likelihoods(checkpoint, examples, settings),
        sampled=sampled,
        scores=[score_candidates(checkpoint, e.context, (e.reply, *e.distractors)) for e in sampled],
        served=[rank(e.context, (e.reply, *e.distractors)) for e in sampled] if rank else None,
        replies=write([example.context for example in sampled], sampling),
        known=known,
        problems=len(corpus.problems),
    )
    about = About(
        model_version=checkpoint.manifest.version,
        format=checkpoint.chat_format.name,
        data_sha256=sha256(corpus.files),
        seed=settings.seed,
        batch_size=settings.batch_size,
        decoding=sampling,
        counts=_counts(observed),
    )
    return _measure(observed, about)


def _check_room(checkpoint: Checkpoint, settings: Settings) -> None:
    if settings.max_new_tokens > checkpoint.max_positions // 2:
        raise BadOption(
            f"{settings.max_new_tokens} new tokens leave too little of the model's {checkpoint.max_positions} "
            f"positions to what was said before; ask for at most {checkpoint.max_positions // 2}."
        )


def sampled_examples(examples: Sequence[TrainingExample], data: Path, count: int, seed: int) -> list[TrainingExample]:
    """`count` examples (0: all) to rank and to write replies for, the same for the same seed.

    Distractors come from the whole file, not from the sample. Raises BadData where it is too small.
    """
    different = len({example.reply for example in examples})
    if different <= DISTRACTORS:
        raise BadData(
            f"{data}: holds {different} different replies, and ranking needs {DISTRACTORS + 1}; add dialogues."
        )
    rng = random.Random(seed)
    complete = with_distractors(examples, DISTRACTORS, rng)
    if count == 0 or count >= len(complete):
        return complete
    return [complete[index] for index in sorted(rng.sample(range(len(complete)), count))]


def _likelihoods(checkpoint: Checkpoint, examples: Sequence[TrainingExample], settings: Settings) -> list[Likelihood]:
    likelihoods = reply_likelihoods(checkpoint, examples, settings.batch_size)
    if not any(likelihood.complete for likelihood in likelihoods):
        raise BadData(f"Every reply is longer than the model's {checkpoint.max_positions} positions can take.")
    return likelihoods


def _training_replies(train: Sequence[str]) -> frozenset[str]:
    """What the bot says in the training data, normalised; empty where there is none."""
    if not train and not any(path.name.endswith(JSONL) for path in TRAINING_DATA.glob("*")):
        return frozenset()
    dialogues = load_dialogues(train or [str(TRAINING_DATA)]).dialogues
    return frozenset(metrics.normalised(turn.text) for d in dialogues for turn in d.turns if turn.role is Role.BOT)


def _complete(observed: _Observed) -> list[tuple[TrainingExample, Likelihood]]:
    pairs = zip(observed.examples, observed.likelihoods, strict=True)
    return [(example, likelihood) for example, likelihood in pairs if likelihood.complete]


def _counts(observed: _Observed) -> Counts:
    complete = _complete(observed)
    return Counts(
        problems=observed.problems,
        scored_replies=len(complete),
        scored_tokens=sum(likelihood.tokens for _, likelihood in complete),
        scored_characters=sum(len(clean_text(example.reply)) for example, _ in complete),
        cut_replies=len(observed.examples) - len(complete),
        ranked_examples=len(observed.scores),
        generated_replies=len(observed.replies),
        replies_with_speech_level=sum(speech_level_of(reply.text) is not None for reply in observed.replies),
        training_replies=len(observed.known),
    )


def _measure(observed: _Observed, about: About) -> Evaluation:
    nats = sum(likelihood.nats for _, likelihood in _complete(observed))
    written = [reply.text for reply in observed.replies]
    true = [example.reply for example in observed.sampled]
    split = morpheme_splitter()
    written_morphemes = split(written)
    asked = [example.context.speech_level for example in observed.sampled]
    return Evaluation(
        perplexity=metrics.perplexity(nats, about.counts.scored_tokens),
        bits_per_character=metrics.bits_per_character(nats, about.counts.scored_characters),
        hits_at_1=metrics.hits_at_1([scores.next_utterance for scores in observed.scores]),
        hits_at_1_lm=metrics.hits_at_1([scores.log_likelihood for scores in observed.scores]),
        hits_at_1_served=metrics.hits_at_1(observed.served) if observed.served else None,
        f1=metrics.mean_f1(written_morphemes, split(true)),
        f1_char=metrics.mean_f1(*([metrics.characters_of(text) for text in texts] for texts in (written, true))),
        distinct_1=metrics.distinct(written_morphemes, 1),
        distinct_2=metrics.distinct(written_morphemes, 2),
        mean_length=sum(map(len, written)) / len(written),
        cut_by_limit=sum(reply.finish is Finish.LENGTH for reply in observed.replies) / len(written),
        speech_level_consistency=metrics.speech_level_consistency(written, asked),
        verbatim_copies=metrics.verbatim_copies(written, observed.known) if observed.known else None,
        examples=len(observed.examples),
        about=about,
    )


def _table(evaluation: Evaluation) -> Table:
    table = Table(title=f"{evaluation.about.model_version} ({evaluation.about.format})")
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("of what")
    for name, meaning in MEASURES.items():
        value: float | None = getattr(evaluation, name)
        shown = "none" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
        table.add_row(name, shown, meaning)
    return table


def served_ranker() -> Rank | None:
    """What ranks in the bot, None where there are no sentence vectors."""
    embedder = load_embedder() if VECTORS.exists() else None
    return DualEncoder.load(DUAL_ENCODER, LineVectors.load(VECTORS, embedder)).scores if embedder else None


def _check_out(out: Path) -> None:
    if not out.parent.is_dir():
        raise BadOption(f"{out.parent}: there is no such folder to write the result to; create it first.")
    if out.is_dir():
        raise BadOption(f"{out} is a folder; give the name of a file for the result.")


@app.command()
def main(
    model: Annotated[Path, typer.Option(help="Checkpoint folder.")],
    data: Annotated[Path, typer.Option(help="Dialogues the model has not seen: FILE.jsonl[.xz].")],
    out: Annotated[Path, typer.Option("--json", help="File to write.")],
    chat_format: Annotated[str | None, typer.Option("--format", help="Chat format; default: the model's own.")] = None,
    examples: Annotated[int, typer.Option(min=0, help="Examples to rank and to answer; 0 for all.")] = 500,
    train: Annotated[
        list[str] | None, typer.Option(help="Training dialogues to find copies of; default: training/data.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of examples, distractors and replies.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Sequences run at once.")] = 16,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest reply, in tokens.")] = 48,
) -> None:
    """Measure a model on dialogues: perplexity, ranking, and the replies it writes."""
    settings = Settings(tuple(train or ()), examples, seed, batch_size, max_new_tokens)
    # A bar for loading the weights would stand before the one sentence of an error.
    disable_progress_bar()  # type: ignore[no-untyped-call]
    with options.plain_errors(), Console(stderr=True).status("Measuring; this takes minutes on a slow CPU."):
        _check_out(out)
        evaluation = evaluate(checkpoints.load(model, chat_format), data, settings, rank=served_ranker())
        write_json(out, asdict(evaluation))
    Console().print(_table(evaluation))


if __name__ == "__main__":
    app()
