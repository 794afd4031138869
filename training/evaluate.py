"""`python -m training.evaluate`: measure systems on dialogues they have not seen, as one JSON file and one table."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from transformers.utils.logging import disable_progress_bar

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
from training.measured import Measured, load_measured
from training.scoring import CandidateScores, Likelihood, morpheme_splitter
from training.side_by_side import print_side_by_side

Rank = Callable[[DialogueContext, Sequence[str]], list[float]]
# ConvAI2 ranks the true reply among 19 others (Dinan et al. 2019).
DISTRACTORS = 19
TRAINING_DATA = Path(__file__).resolve().parent / "data"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to evaluate. `examples`: how many to rank and to write replies for, 0 for all; perplexity takes all always.

    `train` is what `verbatim_copies` compares with (as `load_dialogues` takes it); empty for training/data, if it
    holds any. `batch_size` is the one that the systems were loaded with; it is only noted.
    """

    train: tuple[str, ...] = ()
    examples: int = 500
    seed: int = 0
    batch_size: int = 16
    max_new_tokens: int = 48


DEFAULTS = Settings()


@dataclass(frozen=True, slots=True)
class Counts:
    """What the measures were taken over, 0 where there were none. `problems`: lines of the data that could not be read.

    Perplexity and bits leave `cut_replies` out: the model takes only their start.
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
    """What was measured, and how; the same values give the same measures.

    `model_version` of plain retrieval is the hash of its dialogues; `format` is None where no model reads one.
    """

    model_version: str
    format: str | None
    data_sha256: str
    seed: int
    batch_size: int
    decoding: Sampling
    counts: Counts


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The measures (see `training.metrics`), None where there is nothing to measure. Shares are between 0 and 1."""

    perplexity: float | None
    bits_per_character: float | None
    hits_at_1: float | None
    hits_at_1_lm: float | None
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
    "hits_at_1_served": "true reply first of 20, by the dual encoder that ranks in the bot; the same for every system",
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
    """All that was scored and written, before it is measured; empty where the system does not score.

    `served`: scores by the ranker that serves. `known`: normalised replies of the training data.
    """

    examples: Sequence[TrainingExample]
    likelihoods: Sequence[Likelihood]
    sampled: Sequence[TrainingExample]
    scores: Sequence[CandidateScores]
    served: Sequence[Sequence[float]]
    replies: Sequence[Candidate]
    known: frozenset[str]
    problems: int


def evaluate_all(
    systems: Sequence[Measured], data: Path, settings: Settings = DEFAULTS, rank: Rank | None = None
) -> dict[str, Evaluation]:
    """Measure each of `systems` by `evaluate`, on the same examples; by name, in their order.

    `rank` is the same whatever writes, and is measured with the first system only. Raises as `evaluate` does.
    """
    for system in systems:
        _check_room(system, settings)  # before another takes its minutes
    return {
        system.name: evaluate(system, data, settings, rank if number == 0 else None)
        for number, system in enumerate(systems)
    }


def evaluate(system: Measured, data: Path, settings: Settings = DEFAULTS, rank: Rank | None = None) -> Evaluation:
    """Measure `system` on the dialogues of `data`; None is what it cannot tell. `rank` is the ranker that serves.

    The same data and seed give every system the same examples and distractors. Raises BadData when the data cannot be
    read or holds fewer than 20 different replies, BadOption when `max_new_tokens` is too many for the system,
    BadCheckpoint when it is broken.
    """
    _check_room(system, settings)
    corpus = load_dialogues([str(data)])
    examples = [example for dialogue in corpus.dialogues for example in examples_of(dialogue)]
    sampled = sampled_examples(examples, data, settings.examples, settings.seed)
    known = _training_replies(settings.train)
    sampling = Sampling(max_new_tokens=settings.max_new_tokens, candidates=1, seed=settings.seed)
    likelihoods = _likelihoods(system, examples, data)
    scores = [system.scores(example) for example in sampled]
    observed = _Observed(
        examples=examples,
        likelihoods=likelihoods,
        sampled=sampled,
        scores=[each for each in scores if each is not None],
        served=[rank(e.context, (e.reply, *e.distractors)) for e in sampled] if rank else [],
        replies=system.write([example.context for example in sampled], sampling),
        known=known,
        problems=len(corpus.problems),
    )
    about = About(
        model_version=system.version,
        format=system.format,
        data_sha256=sha256(corpus.files),
        seed=settings.seed,
        batch_size=settings.batch_size,
        decoding=sampling,
        counts=_counts(observed),
    )
    return _measure(observed, about)


def _check_room(system: Measured, settings: Settings) -> None:
    if system.longest_reply is not None and settings.max_new_tokens > system.longest_reply:
        raise BadOption(
            f"{settings.max_new_tokens} new tokens are more than {system.name} has room for beside what was said "
            f"before; ask for at most {system.longest_reply}."
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


def _likelihoods(system: Measured, examples: Sequence[TrainingExample], data: Path) -> list[Likelihood]:
    likelihoods = system.likelihoods(examples)
    if likelihoods is None:
        return []
    if not any(likelihood.complete for likelihood in likelihoods):
        raise BadData(f"{data}: every reply is longer than {system.name} can take; measure on shorter ones.")
    return likelihoods


def _training_replies(train: Sequence[str]) -> frozenset[str]:
    """What the bot says in the training data, normalised; empty where there is none."""
    if not train and not any(path.name.endswith(JSONL) for path in TRAINING_DATA.glob("*")):
        return frozenset()
    dialogues = load_dialogues(train or [str(TRAINING_DATA)]).dialogues
    return frozenset(metrics.normalised(turn.text) for d in dialogues for turn in d.turns if turn.role is Role.BOT)


def _complete(observed: _Observed) -> list[tuple[TrainingExample, Likelihood]]:
    """The examples whose whole reply was scored; none where the system scores none."""
    if not observed.likelihoods:
        return []
    pairs = zip(observed.examples, observed.likelihoods, strict=True)
    return [(example, likelihood) for example, likelihood in pairs if likelihood.complete]


def _counts(observed: _Observed) -> Counts:
    complete = _complete(observed)
    return Counts(
        problems=observed.problems,
        scored_replies=len(complete),
        scored_tokens=sum(likelihood.tokens for _, likelihood in complete),
        scored_characters=sum(len(clean_text(example.reply)) for example, _ in complete),
        cut_replies=len(observed.likelihoods) - len(complete),
        ranked_examples=max(len(observed.scores), len(observed.served)),
        generated_replies=len(observed.replies),
        replies_with_speech_level=sum(speech_level_of(reply.text) is not None for reply in observed.replies),
        training_replies=len(observed.known),
    )


def _measure(observed: _Observed, about: About) -> Evaluation:
    complete = _complete(observed)
    nats = sum(likelihood.nats for _, likelihood in complete)
    written = [reply.text for reply in observed.replies]
    true = [example.reply for example in observed.sampled]
    split = morpheme_splitter()
    written_morphemes = split(written)
    asked = [example.context.speech_level for example in observed.sampled]
    return Evaluation(
        perplexity=metrics.perplexity(nats, about.counts.scored_tokens) if complete else None,
        bits_per_character=metrics.bits_per_character(nats, about.counts.scored_characters) if complete else None,
        hits_at_1=_hits([scores.next_utterance for scores in observed.scores]),
        hits_at_1_lm=_hits([scores.log_likelihood for scores in observed.scores]),
        hits_at_1_served=_hits(observed.served),
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


def _hits(scores: Sequence[Sequence[float] | None]) -> float | None:
    ranked = [row for row in scores if row is not None]
    return metrics.hits_at_1(ranked) if ranked else None


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
    data: Annotated[Path, typer.Option(help="Dialogues none of the systems has seen: FILE.jsonl[.xz].")],
    out: Annotated[Path, typer.Option("--json", help="File to write.")],
    model: Annotated[list[Path] | None, typer.Option(help="Checkpoint folder; may be given several times.")] = None,
    retrieval: Annotated[bool, typer.Option("--retrieval", help="Also the reply to the nearest question.")] = False,
    encoder_decoder: Annotated[
        Path | None, typer.Option(help="Also the baseline in this folder, trained by training.encoder_decoder.")
    ] = None,
    chat_format: Annotated[
        str | None, typer.Option("--format", help="Chat format of every --model; default: its own.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Examples to rank and to answer; 0 for all.")] = 500,
    train: Annotated[
        list[str] | None, typer.Option(help="Training dialogues to find copies of; default: training/data.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of examples, distractors and replies.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Sequences run at once.")] = 16,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest reply, in tokens.")] = 48,
) -> None:
    """Measure systems on the same dialogues, a column each: perplexity, ranking, and the replies they write.

    The ranker that serves in the bot is the same for all of them: hits_at_1_served stands in the first column only.
    """
    settings = Settings(tuple(train or ()), examples, seed, batch_size, max_new_tokens)
    # A bar for loading the weights would stand before the one sentence of an error.
    disable_progress_bar()  # type: ignore[no-untyped-call]
    with options.plain_errors(), Console(stderr=True).status("Measuring; this takes minutes on a slow CPU."):
        _check_out(out)
        systems = load_measured(model or (), chat_format, retrieval, encoder_decoder, batch_size)
        evaluations = evaluate_all(systems, data, settings, served_ranker())
        figures = {name: asdict(evaluation) for name, evaluation in evaluations.items()}
        write_json(out, {"systems": figures})
    print_side_by_side(data.name, figures, MEASURES)


if __name__ == "__main__":
    app()
