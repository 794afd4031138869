"""`python -m training.promote CANDIDATE`: let a model serve if it is no worse than the one that does, and safe.

Both are measured on the frozen part of the base data and on the newest held-out chats; the candidate is asked for what
it should not remember. `current` moves only when every gate holds. Exit code 0: promoted, 1: refused, 2: error.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from transformers.utils.logging import disable_progress_bar

from model import checkpoint as checkpoints
from model.errors import BadCheckpoint
from model.files import replace_folder
from model.manifest import CANDIDATE, CURRENT, check_folder, point_current, read_manifest
from training import options
from training.collected import BASE_DATA, EXPORTS
from training.errors import BadOption
from training.gates import Figures, Gate, Remembered, fitness, held, memory, quality
from training.measure import Effort, figures_of, read_sets, remembered
from training.memorisation import Extraction, read_canaries
from training.versions import (
    FORCED,
    MODELS,
    ON_TRIAL,
    PROMOTED,
    REFUSED,
    Decision,
    alone,
    decide,
    decision,
    serving,
    sweep,
    taint_of,
    version_of,
)

# Where a candidate from elsewhere is copied before it appears among the versions.
PARTIAL = ".copying-"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided, the gates it rests on, and the canaries that the candidate gave away."""

    decision: Decision
    gates: tuple[Gate, ...]
    extracted: tuple[Extraction, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What judging a candidate found. `fit`: nothing forbids it, only its quality or memory may speak against it."""

    fit: bool
    gates: tuple[Gate, ...]
    figures: Mapping[str, object]
    extracted: tuple[Extraction, ...] = ()


def promote(
    candidate: Path, models: Path, exports: Path, effort: Effort, force_why: str | None = None, on_trial: bool = False
) -> Outcome:
    """Judge `candidate`, record the decision, and make it serve if all gates hold or it is forced to.

    `on_trial`: if all gates hold, the pointer `candidate` names it, and `current` stays as it is.
    A tainted candidate, or one that cannot be loaded, is refused even when forced. Raises BadOption when it serves
    already or another promotion is at work, BadCheckpoint and BadData when something cannot be read.
    """
    with alone(models, "promotion"):
        sweep(models, PARTIAL)
        folder = adopt(_located(candidate, models), models)
        before = serving(models)
        previous = _name(before, models)
        if folder.name == previous:
            raise BadOption(f"{previous} serves already; name another version.")
        verdict = judge(folder, before, exports, effort)
        if (tainted := taint_of(folder)) is not None:  # also if someone asked to be forgotten meanwhile
            verdict = Verdict(False, tuple(fitness(tainted, None)), verdict.figures)
        passed = verdict.fit and all(gate.holds for gate in verdict.gates)
        forced = verdict.fit and not passed and force_why is not None
        what = (ON_TRIAL if on_trial else PROMOTED) if passed else FORCED if forced else REFUSED
        taken = decision(folder.name, previous, what, force_why or "", held(verdict.gates), verdict.figures)
        decide(models, taken)
        _point(models, taken)
        return Outcome(taken, verdict.gates, verdict.extracted)


def _point(models: Path, taken: Decision) -> None:
    """Let the pointers say what was decided; a trial ends when its version is refused or serves."""
    if taken.decision in {PROMOTED, FORCED}:
        point_current(models, taken.candidate)
    if taken.decision == ON_TRIAL:
        point_current(models, taken.candidate, CANDIDATE)
    elif _names(models / CANDIDATE, taken.candidate):
        (models / CANDIDATE).unlink()


def _names(pointer: Path, version: str) -> bool:
    return pointer.exists() and pointer.read_text(encoding="utf-8").strip() == version


def _located(candidate: Path, models: Path) -> Path:
    """A version of the models folder by its name, or any folder by its path."""
    return models / candidate if not candidate.is_dir() and (models / candidate).is_dir() else candidate


def _name(folder: Path, models: Path) -> str:
    """How the record calls a checkpoint: by its folder in `models`, the shipped one by its version."""
    return folder.name if folder.parent.resolve() == models.resolve() else version_of(folder)


def adopt(candidate: Path, models: Path) -> Path:
    """The candidate's folder in `models`, to which it is copied, whole or not at all, if it lies elsewhere."""
    check_folder(candidate)
    if candidate.resolve().parent == models.resolve():
        return models / candidate.resolve().name
    target = models / version_of(candidate)
    if target.parent != models:
        raise BadOption(f"{candidate}: its manifest's version is not a folder's name; mend it.")
    if target.exists():
        raise BadOption(f"{target} is there already; promote that one, or give {candidate} another version.")
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=models) as partial:
        whole = Path(partial) / target.name
        shutil.copytree(candidate, whole, ignore=shutil.ignore_patterns(".*"))  # caches of a backend are made anew
        replace_folder(whole, target)
    return target


def judge(candidate: Path, before: Path, exports: Path, effort: Effort) -> Verdict:
    """Hold `candidate` against the model that serves. Raises BadCheckpoint when the latter cannot be loaded."""
    tainted, fault = taint_of(candidate), None
    if tainted is not None:
        return Verdict(False, tuple(fitness(tainted, None)), {})
    manifest = read_manifest(candidate)
    learnt = manifest.exports if manifest else ()
    sets = read_sets(exports, learnt, effort)
    old = figures_of(checkpoints.load(before), sets, effort)[0]
    try:
        loaded = checkpoints.load(candidate)
        new, replies = figures_of(loaded, sets, effort)
    except BadCheckpoint as error:
        fault = str(error)
        return Verdict(False, tuple(fitness(None, fault)), {"serving": _recorded(old)})
    found, extracted = remembered(loaded, read_canaries(candidate), replies, sets, effort)
    gates = [*fitness(None, None)]
    for name in new:
        gates += quality(name, old[name], new[name])
    gates += memory(found, learnt)
    figures = {"serving": _recorded(old), "candidate": _recorded(new), "memory": _counted(found)}
    return Verdict(True, tuple(gates), figures, tuple(extracted))


def _recorded(figures: Mapping[str, Figures]) -> dict[str, object]:
    return {name: asdict(measured) for name, measured in figures.items()}


def _counted(found: Remembered) -> dict[str, object]:
    """Numbers only: what was people's own must not go on living in the record."""
    return {
        "canaries": found.canaries,
        "extracted": len(found.extracted),
        "personal_data": len(found.personal_data),
        "quotations": len(found.quotations),
        "samples": found.samples,
        "generations": found.generations,
    }


def table(outcome: Outcome) -> Table:
    """The two models side by side."""
    taken = outcome.decision
    table = Table(title=f"{taken.candidate}: {taken.decision}")
    table.add_column("gate")
    table.add_column(taken.previous, justify="right")
    table.add_column(taken.candidate, justify="right")
    table.add_column("asked")
    table.add_column("holds")
    for gate in outcome.gates:
        table.add_row(gate.name, gate.serving, gate.candidate, gate.asked, "yes" if gate.holds else "NO")
    return table


def _told(outcome: Outcome, models: Path) -> str:
    taken = outcome.decision
    failed = [gate.name for gate in outcome.gates if not gate.holds]
    if taken.decision == REFUSED:
        return f"{taken.candidate} is refused ({'; '.join(failed)}); {taken.previous} goes on serving."
    if taken.decision == ON_TRIAL:
        return f"{taken.candidate} passed and is on trial; promote it without --canary to let it answer everyone."
    return f"{models / CURRENT} names {taken.candidate} now; python -m training.rollback goes back to {taken.previous}."


@app.command()
def main(
    candidate: Annotated[Path, typer.Argument(help="Version in the models folder, or any checkpoint folder.")],
    models: options.Models = MODELS,
    exports: options.Exports = EXPORTS,
    base_data: options.BaseData = BASE_DATA,
    examples: Annotated[int, typer.Option(min=1, help="Replies of each set to rank and to write.")] = 100,
    scored: Annotated[int, typer.Option(min=1, help="Replies of each set to score.")] = 500,
    samples: Annotated[int, typer.Option(min=0, help="Samples, in all, to get canaries out with.")] = 1000,
    generations: Annotated[int, typer.Option(min=1, help="Replies to look through for people's data.")] = 500,
    seed: options.Seed = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Sequences run at once.")] = 16,
    force: Annotated[bool, typer.Option("--force", help="Promote although gates fail; --why is recorded.")] = False,
    why: Annotated[str | None, typer.Option(help="Why it is forced.")] = None,
    on_trial: Annotated[
        bool, typer.Option("--canary", help="Only try it on the bot's share of conversations.")
    ] = False,
) -> None:
    """Compare a candidate with the model that serves, and let it serve if every gate holds."""
    effort = Effort(base_data, examples, scored, samples, generations, seed, batch_size)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    # The bot answers meanwhile: threads that wait for a core others use made this twenty times slower on two cores.
    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // 2)))
    with options.plain_errors(), Console(stderr=True).status("Measuring; this takes minutes on a slow CPU."):
        if force != bool(why):
            raise BadOption("--force and --why go together: say why the gates do not count.")
        if force and on_trial:
            raise BadOption("--force lets a version serve, --canary only tries it out; choose one.")
        outcome = promote(candidate, models, exports, effort, why, on_trial)
    Console().print(table(outcome))
    for extraction in outcome.extracted:
        canary = extraction.canary
        print(f'Canary planted {canary.copies} times: asked "{canary.prompt}" it said "{extraction.said}".')
    print(_told(outcome, models))
    if outcome.decision.decision == REFUSED:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
