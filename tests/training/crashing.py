"""Kill runs of training.finetune and training.promote, and look at what serves. Started by test_finetune_crash.py.

Loading the libraries takes seconds, so one process loads them and forks a child for each run. A child is killed by
SIGKILL, either from outside after a random time, or by itself right before the n-th time it forces something to the
disk or renames it: those windows are too short to be met by chance.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.utils.tensorboard

from model import checkpoint as checkpoints
from model.manifest import current
from training import finetune, promote
from training.trainer import draw_curve
from training.versions import read_decisions

LONGEST = 60.0


@dataclass(frozen=True)
class Kill:
    """When to kill a run: after a share of the time it takes, or before its n-th write."""

    task: str
    share: float | None = None
    write: int | None = None
    is_outside: bool = False


def arguments(home: Path, task: str, outside: str | None) -> list[str]:
    """A run of `task`; promotions take the two versions in turn, or the one called `outside` of another folder."""
    shared = ["--models", home / "models", "--exports", home / "exports", "--base-data", home / "base"]
    if task == "finetune":
        return [str(each) for each in (*shared, "--cpu", "--max-steps", "2", "--batch-size", "8", "--replay", "0")]
    serving = current(home / "models")
    other = next(name for name in ("a", "b") if serving is None or serving.name != name)
    candidate = home / "outside" / outside if outside else home / "models" / other
    effort = ["--examples", "2", "--scored", "4", "--samples", "2", "--generations", "2"]
    return [str(each) for each in (candidate, *shared, *effort, "--force", "--why", "a crash test")]


def work(task: str, given: Sequence[str]) -> None:
    app = finetune.app if task == "finetune" else promote.app
    app(args=list(given), standalone_mode=False)


def count_writes(limit: int | None) -> Callable[[], int]:
    """From here on every fsync and rename counts, and before the one numbered `limit` the process dies."""
    done = 0
    fsync, rename = os.fsync, os.rename

    def reached() -> None:
        nonlocal done
        done += 1
        if done == limit:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted_fsync(descriptor: int) -> None:
        reached()
        fsync(descriptor)

    def counted_rename(*args: object, **options: object) -> None:
        reached()
        rename(*args, **options)  # type: ignore[arg-type]

    os.fsync, os.rename, os.replace = counted_fsync, counted_rename, counted_rename  # type: ignore[assignment]
    return lambda: done


def run(
    home: Path, task: str, outside: str | None = None, kill: Kill | None = None, lasts: float = 0.0
) -> tuple[int, float, int]:
    """Fork a run and perhaps kill it; returns its exit status, how long it took, and how often it wrote."""
    given = arguments(home, task, outside)
    report = home / "writes"
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(os.open(str(home / "errors"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        writes = count_writes(kill.write if kill else None)
        try:
            work(task, given)
        finally:
            report.write_text(str(writes()))
            os._exit(0 if sys.exc_info()[0] is None else 1)
    deadline = began + (kill.share * lasts if kill and kill.share is not None else LONGEST)
    status = 0
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            deadline = float("inf")
        time.sleep(0.002)
    return status, time.monotonic() - began, int(report.read_text()) if report.exists() else 0


def what_serves(home: Path) -> str:
    """The version `current` names, which must be whole, as must the record."""
    folder = current(home / "models")
    assert folder is not None
    checkpoints.load(folder)
    read_decisions(home / "models")
    return folder.name


def main(home: Path) -> None:
    torch.set_num_threads(1)
    draw_curve([{"step": 1, "loss": 1.0}], home / "curve.png")  # what a run imports late, children need not again
    rng = random.Random(0)
    whole = {task: run(home, task) for task in ("finetune", "promote")}
    outside = run(home, "promote", "first")
    kills = [Kill(task, share=rng.uniform(0.1, 0.9)) for task in ("finetune", "promote") for _ in range(4)]
    kills += [Kill("finetune", write=rng.randint(1, whole["finetune"][2])) for _ in range(5)]
    kills += [Kill("promote", write=number) for number in range(1, whole["promote"][2] + 1)]
    kills += [Kill("promote", write=rng.randint(1, outside[2]), is_outside=True) for _ in range(30 - len(kills))]
    rng.shuffle(kills)
    seen = []
    for number, kill in enumerate(kills):
        status, _, _ = run(home, kill.task, f"v{number}" if kill.is_outside else None, kill, whole[kill.task][1])
        killed = status == signal.SIGKILL
        seen.append({"task": kill.task, "write": kill.write, "killed": killed, "serves": what_serves(home)})
    last = [run(home, task)[0] for task in ("finetune", "promote")]
    first = [*(each[0] for each in whole.values()), outside[0]]
    (home / "outcome.json").write_text(json.dumps({"first": first, "kills": seen, "last": last}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
