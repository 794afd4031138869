"""The models folder over time: names of new versions, who served when, and one writer at a time.

`promotions.jsonl` holds a line for each decision. It is written before the pointer moves: a crash between the two
leaves a decision that never took effect, which `serving_history` recognises, and never an effect without its record.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from model.errors import BadCheckpoint
from model.files import write_text
from model.manifest import check_folder, current, read_manifest
from training.errors import BadData, BadOption

MODELS = Path("models")
SHIPPED = Path(__file__).resolve().parent.parent / "model" / "default"
PROMOTIONS = "promotions.jsonl"
# The run folders of versions that `new_version` names.
_RUN = re.compile(r"(\d{8}-\d{6}(?:-\d+)?)(?:-preference)?\.run")
PROMOTED, REFUSED, FORCED, ROLLED_BACK = "promoted", "refused", "forced", "rolled back"
# Passed, and answers a share of the conversations only; it does not serve yet.
ON_TRIAL = "on trial"


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the record. `gates`: whether each held; `figures`: what was measured, by model and measure."""

    at: str
    candidate: str
    previous: str
    decision: str
    who: str
    why: str
    gates: Mapping[str, bool] = field(default_factory=dict)
    figures: Mapping[str, object] = field(default_factory=dict)


def version_of(folder: Path) -> str:
    """The version a checkpoint's manifest names, its folder's name where it has none."""
    manifest = read_manifest(folder)
    return manifest.version if manifest else folder.resolve().name


def taint_of(folder: Path) -> str | None:
    """Why a checkpoint must not serve, None where nothing speaks against it."""
    manifest = read_manifest(folder)
    return manifest.tainted if manifest else None


def new_version(models: Path, now: datetime) -> str:
    """A name by UTC time that is free in `models`."""
    name = now.astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    names = (name if number == 1 else f"{name}-{number}" for number in range(1, 1000))
    return next(free for free in names if not (models / free).exists())


def serving(models: Path) -> Path:
    """The checkpoint that serves: the one `current` names, else the one that ships. Raises BadCheckpoint."""
    return current(models) or SHIPPED


def untainted(folder: Path, models: Path) -> Path:
    """`folder`, or its nearest ancestor in `models` that may be learnt from; the shipped model where there is none."""
    seen: set[str] = set()
    while taint_of(folder) is not None:
        manifest = read_manifest(folder)
        parent = manifest.parent if manifest else None
        if parent is None or parent in seen or not _is_checkpoint(models / parent):
            return SHIPPED
        seen.add(parent)
        folder = models / parent
    return folder


def _is_checkpoint(folder: Path) -> bool:
    try:
        check_folder(folder)
    except BadCheckpoint:
        return False
    return True


def decide(models: Path, decision: Decision) -> None:
    """Add `decision` to the record; the file is replaced as a whole."""
    path = models / PROMOTIONS
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    write_text(path, before + json.dumps(asdict(decision), ensure_ascii=False) + "\n")


def decision(
    candidate: str,
    previous: str,
    what: str,
    why: str,
    gates: Mapping[str, bool] | None = None,
    figures: Mapping[str, object] | None = None,
) -> Decision:
    """A decision taken now by the user of the operating system."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Decision(at, candidate, previous, what, getpass.getuser(), why, gates or {}, figures or {})


def read_decisions(models: Path) -> list[Decision]:
    """The record, oldest first. Raises BadData when it is broken."""
    path = models / PROMOTIONS
    if not path.exists():
        return []
    try:
        return [Decision(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (ValueError, TypeError) as error:
        raise BadData(f"{path}: the record of promotions is broken ({error}); mend it or move it away.") from error


def serving_history(decisions: list[Decision], now: str) -> list[str]:
    """The versions one could go back to, oldest first, and last `now`, the one that serves."""
    history: list[str] = []
    for taken in decisions:
        if taken.decision in {PROMOTED, FORCED}:
            if not history or history[-1] != taken.previous:
                history.append(taken.previous)
            history.append(taken.candidate)
        elif taken.decision == ROLLED_BACK:
            history = _up_to(history, taken.candidate)
    return _up_to(history, now)


def _up_to(history: list[str], version: str) -> list[str]:
    """What came before `version` served last, and it."""
    if version not in history:
        return [*history, version]
    last = len(history) - 1 - history[::-1].index(version)
    return history[: last + 1]


@contextmanager
def alone(folder: Path, task: str) -> Iterator[None]:
    """Hold the folder's lock for `task`, which ends with the process however it ends. Raises BadOption when held."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{task}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadOption(f"Another {task} is at work in {folder}; wait until it is done.") from error
        yield


def sweep(models: Path, partial: str) -> None:
    """Remove what killed runs left: folders called `partial`*, and states of runs that never made their version.

    Only names that are given here are looked at: whatever else lies in the folder is a person's own.
    """
    for path in models.iterdir():
        run = _RUN.fullmatch(path.name)
        if path.is_dir() and (path.name.startswith(partial) or (run and not (models / run[1]).exists())):
            shutil.rmtree(path, ignore_errors=True)


def is_distributed() -> bool:
    """Whether torchrun started this process together with others."""
    return os.environ.get("WORLD_SIZE", "1") != "1"
