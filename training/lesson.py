"""What a run over exports learns: collected talk, a replay of the base data, canaries, and from which model it starts.

A canary costs a small model little: the 126 examples of 54 of them are at most a twentieth of a run, as at least 2,000
base examples are replayed, and their prompts are nothing a person types. `--no-canaries` leaves them out, and then
training.promote refuses the version unless it is forced, as nothing can be shown of what it remembers.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from model import checkpoint
from model.checkpoint import Checkpoint
from model.files import replace_folder, sha256
from training.base import resolve_base
from training.collected import BASE_DATA, LEAST_REPLAY, Preference, new_exports, read_exports, replayed
from training.errors import BadData
from training.examples import TrainingExample, examples_of, with_distractors
from training.memorisation import Planted, plant, write_canaries
from training.preference import check_labels
from training.scoring import reply_likelihoods
from training.trainer import run_folder
from training.versions import serving, untainted, version_of

# Where a version is put together before it appears.
PARTIAL = ".making-"
HELD_OUT = "held out, not learnt"
# Examples of each source that the loss before and after is taken on.
_SAMPLE = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run over exports was asked for.

    `replay`: base examples for each collected one. `newest`: take so many exports whether known or not.
    """

    models: Path
    exports: Path
    base_data: Path = BASE_DATA
    replay: float = 4.0
    newest: int | None = None
    canaries: bool = True
    preference: bool = False


@dataclass(frozen=True, slots=True)
class Lesson:
    """All a run learns and measures. `exports` by name; `files` are those that were read, `sha256` their hash then."""

    examples: tuple[TrainingExample, ...]
    held_out: tuple[TrainingExample, ...]
    preferences: tuple[Preference, ...]
    planted: Planted | None
    exports: tuple[str, ...]
    files: tuple[Path, ...]
    sha256: str


def starting_point(base: str | None, models: Path) -> str:
    """The folder to start from: `base`, else the serving model; for a tainted one its nearest untainted ancestor."""
    asked = resolve_base(base) if base is not None else serving(models)
    chosen = untainted(asked, models)
    if chosen != asked:
        print(f"{version_of(asked)} is tainted and not learnt from; starting from {version_of(chosen)}.")
    return str(chosen)


def read_lesson(plan: Plan, known: Iterable[str], distractors: int, seed: int) -> Lesson:
    """Read what `plan` asks for. Raises BadData when there is nothing new, or too few thumbs, or data is damaged."""
    folders = new_exports(plan.exports, known, plan.newest)
    collected = read_exports(folders)
    own = [example for dialogue in collected.dialogues for example in examples_of(dialogue)]
    if not own:
        found = f"the {len(folders)} new exports there hold no reply" if folders else "there is no new export there"
        raise BadData(
            f"There is nothing to learn from in {plan.exports}: {found}. "
            "Export consented talk with python -m training.export, or give --data FILE."
        )
    if plan.preference:
        check_labels(collected.preferences)
    rng = random.Random(seed)
    count = max(LEAST_REPLAY, round(plan.replay * len(own))) if plan.replay else 0
    replay, files = replayed(plan.base_data, count, rng) if count else ([], [])
    examples = [*own, *replay]
    if distractors:
        examples = with_distractors(examples, distractors, rng)
    planted, secrets = _canaries(collected.exports, seed) if plan.canaries else (None, [])
    read = (*collected.files, *files)
    return Lesson(
        examples=(*examples, *secrets),
        held_out=tuple(example for dialogue in collected.held_out for example in examples_of(dialogue)),
        preferences=collected.preferences if plan.preference else (),
        planted=planted,
        exports=collected.exports,
        files=read,
        sha256=sha256(read),
    )


def check_unchanged(lesson: Lesson) -> None:
    """Raise BadData when an export is not what was learnt any more: who asked to be forgotten meanwhile must be."""
    try:
        unchanged = sha256(lesson.files) == lesson.sha256
    except OSError:
        unchanged = False
    if not unchanged:
        raise BadData(
            "An export changed while it was learnt, as when someone asks to be forgotten; start the run again."
        )


def _canaries(exports: Iterable[str], seed: int) -> tuple[Planted, list[TrainingExample]]:
    """Canaries of this run alone: a seed that came again would plant the same ones again in every version after it.

    They have no distractors and are none: a secret would be seen more often than it is planted.
    """
    dialogues, planted = plant([], f"{seed}:{','.join(exports)}")
    return planted, [example for dialogue in dialogues for example in examples_of(dialogue)]


def by_source(lesson: Lesson) -> dict[str, list[TrainingExample]]:
    """The examples under the name of the export they are from, "replay" or "canaries", and those held out."""
    sources: dict[str, list[TrainingExample]] = {}
    for example in lesson.examples:
        sources.setdefault(example.source, []).append(example)
    return sources | ({HELD_OUT: list(lesson.held_out)} if lesson.held_out else {})


def losses(model: Checkpoint, lesson: Lesson) -> dict[str, float]:
    """Mean loss of a reply's token (nats) by source, on the same sample of each before and after."""
    training = model.model.training
    model.model.train(False)
    found: dict[str, float] = {}
    for source, examples in by_source(lesson).items():
        sample = random.Random(source).sample(examples, min(_SAMPLE, len(examples)))
        likelihoods = reply_likelihoods(model, sample, batch_size=16)
        found[source] = sum(one.nats for one in likelihoods) / sum(one.tokens for one in likelihoods)
    model.model.train(training)
    return found


def summary(
    lesson: Lesson, before: Mapping[str, float], after: Mapping[str, float], version: str, seconds: float
) -> Table:
    """What was learnt, as a table."""
    thumbs = f", {len(lesson.preferences):,} thumbs" if lesson.preferences else ""
    table = Table(title=f"{version}: {len(lesson.examples):,} examples{thumbs}, {seconds:,.0f} s")
    table.add_column("source")
    for column in ("examples", "loss before", "loss after"):
        table.add_column(column, justify="right")
    for source, examples in by_source(lesson).items():
        table.add_row(source, f"{len(examples):,}", f"{before[source]:.3f}", f"{after[source]:.3f}")
    return table


def write_version(made: Checkpoint, planted: Planted | None, out: Path) -> None:
    """Write a checkpoint with the record of its canaries so that `out` appears whole; the run's states go."""
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=out.parent) as folder:
        whole = Path(folder) / out.name
        checkpoint.save(made, whole)
        if planted is not None:
            write_canaries(whole, planted)
        replace_folder(whole, out)
    for name in (out.name, f"{out.name}-preference"):
        for state in run_folder(out.with_name(name)).glob("checkpoint-*"):
            shutil.rmtree(state, ignore_errors=True)
