"""The systems that `training.evaluate` measures, each behind the same few questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model import checkpoint as checkpoints
from model.checkpoint import Checkpoint
from model.dialogue import Candidate, DialogueContext, Sampling
from model.files import sha256
from model.finder import Finder
from training.collected import BASE_DATA
from training.encoder_decoder import LONGEST_REPLY, Baseline, as_pair
from training.errors import BadOption
from training.examples import TrainingExample
from training.scoring import CandidateScores, Likelihood, generate_replies, reply_likelihoods, score_candidates
from training.systems import System, learnt_entries, plain_retrieval

RETRIEVAL = "nearest question"
# Stages of a recipe: their folders are called alike in every variant of it.
_STAGES = ("dialogues", "replies")


class Measured(Protocol):
    """A system to measure; what it cannot tell is None."""

    @property
    def name(self) -> str:
        """What its column is called."""
        ...

    @property
    def version(self) -> str:
        """Which model, or which data, it is."""
        ...

    @property
    def format(self) -> str | None:
        """The chat format its model reads."""
        ...

    @property
    def longest_reply(self) -> int | None:
        """The most new tokens it can be asked for; None where it does not write token by token."""
        ...

    def likelihoods(self, examples: Sequence[TrainingExample]) -> list[Likelihood] | None:
        """Of every example's own reply, in the order given."""
        ...

    def scores(self, example: TrainingExample) -> CandidateScores | None:
        """Of the example's own reply and then its distractors, as the next line of its context."""
        ...

    def write(self, contexts: Sequence[DialogueContext], sampling: Sampling) -> list[Candidate]:
        """One reply to each context, in the order given; the same for the same `sampling.seed`."""
        ...


@dataclass(frozen=True, slots=True)
class MeasuredCheckpoint:
    """A checkpoint alone: no retrieval, no ranking. Raises BadCheckpoint when its scores are not numbers."""

    name: str
    checkpoint: Checkpoint
    batch_size: int = 16

    @property
    def version(self) -> str:
        return self.checkpoint.manifest.version

    @property
    def format(self) -> str:
        return self.checkpoint.chat_format.name

    @property
    def longest_reply(self) -> int:
        # Half of the positions are kept for what was said before.
        return self.checkpoint.max_positions // 2

    def likelihoods(self, examples: Sequence[TrainingExample]) -> list[Likelihood]:
        return reply_likelihoods(self.checkpoint, examples, self.batch_size)

    def scores(self, example: TrainingExample) -> CandidateScores:
        return score_candidates(self.checkpoint, example.context, (example.reply, *example.distractors))

    def write(self, contexts: Sequence[DialogueContext], sampling: Sampling) -> list[Candidate]:
        return generate_replies(self.checkpoint, contexts, sampling, self.batch_size)


@dataclass(frozen=True, slots=True)
class MeasuredRetrieval:
    """Plain retrieval (`training.systems.plain_retrieval`), which writes replies and tells nothing of others."""

    answer: System
    version: str
    name: str = RETRIEVAL
    format: None = None
    longest_reply: None = None

    def likelihoods(self, examples: Sequence[TrainingExample]) -> None:
        return None

    def scores(self, example: TrainingExample) -> None:
        return None

    def write(self, contexts: Sequence[DialogueContext], sampling: Sampling) -> list[Candidate]:
        return self.answer(contexts)


@dataclass(frozen=True, slots=True)
class MeasuredEncoderDecoder:
    """The baseline of `training.encoder_decoder`, which has no next-utterance head."""

    name: str
    baseline: Baseline
    version: str
    batch_size: int = 16
    longest_reply: int = LONGEST_REPLY

    @property
    def format(self) -> str:
        return self.baseline.chat_format.name

    def likelihoods(self, examples: Sequence[TrainingExample]) -> list[Likelihood]:
        pairs = [as_pair(self.baseline.chat_format, example.context, example.reply) for example in examples]
        return self.baseline.likelihoods(pairs, self.batch_size)

    def scores(self, example: TrainingExample) -> CandidateScores:
        candidates = (example.reply, *example.distractors)
        pairs = [as_pair(self.baseline.chat_format, example.context, text) for text in candidates]
        # A mean over tokens, as `score_candidates` takes it.
        found = self.baseline.likelihoods(pairs, self.batch_size)
        return CandidateScores(None, tuple(-likelihood.nats / likelihood.tokens for likelihood in found))

    def write(self, contexts: Sequence[DialogueContext], sampling: Sampling) -> list[Candidate]:
        return self.baseline.write(contexts, sampling, self.batch_size)


def load_measured(
    models: Sequence[Path],
    chat_format: str | None = None,
    retrieval: bool = False,
    encoder_decoder: Path | None = None,
    batch_size: int = 16,
) -> list[Measured]:
    """The systems named, in this order, all loaded: what is broken is told before anything is measured.

    `chat_format` is for each of `models`, None for their own. Raises BadOption where none is named or one is named
    twice, BadCheckpoint where a folder holds no model of its kind.
    """
    baselines = [] if encoder_decoder is None else [encoder_decoder]
    if not (models or retrieval or baselines):
        raise BadOption("Nothing to measure is named; give --model FOLDER, --retrieval or --encoder-decoder FOLDER.")
    names = column_names([*models, *baselines])
    systems: list[Measured] = []
    systems += [
        MeasuredCheckpoint(name, checkpoints.load(folder, chat_format), batch_size)
        for name, folder in zip(names, models, strict=False)
    ]
    if retrieval:
        systems.append(_retrieval())
    for folder in baselines:
        version = folder.resolve().name
        systems.append(MeasuredEncoderDecoder(names[-1], Baseline.load(folder), version, batch_size))
    return systems


def _retrieval() -> MeasuredRetrieval:
    """Over the project's own dialogues less those held out."""
    version = sha256(sorted(BASE_DATA.glob("*.jsonl")))
    return MeasuredRetrieval(plain_retrieval(Finder.load(BASE_DATA, entries=learnt_entries(BASE_DATA))), version)


def column_names(folders: Sequence[Path]) -> list[str]:
    """The last part of each path that is not a stage's; the whole path where another system is called the same.

    Raises BadOption where a folder is given twice.
    """
    short = [_last_part(folder) for folder in folders]
    names = [
        str(folder) if [*short, RETRIEVAL].count(name) > 1 else name
        for folder, name in zip(folders, short, strict=True)
    ]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadOption(f"{twice} is to be measured twice; give every folder once.")
    return names


def _last_part(folder: Path) -> str:
    return next(part for part in reversed(folder.resolve().parts) if part not in _STAGES)
