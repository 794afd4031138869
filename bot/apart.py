"""`python -m bot.apart MODULE ARGUMENTS`: run a program beside the bot so that replies do not feel it.

It gets only the processor time that nobody else wants (sched(7), SCHED_IDLE), one thread, and ends with the bot.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PR_SET_PDEATHSIG = 1
_END_SECONDS = 10.0
# Every library that computes asks one of these.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_LAST_LINES = 4096


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit status, and the last line it printed."""

    status: int
    last_line: str


async def run_apart(arguments: Sequence[str], log: Path) -> Ended:
    """Run `python -m ARGUMENTS` to its end, its output in the file `log`. A cancelled caller ends it."""
    with _opened(log) as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot.apart", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **_ONE_THREAD},
        )
    try:
        status = await process.wait()
    finally:
        await _end(process)
    return Ended(status, _last_line(log))


def _opened(log: Path) -> BinaryIO:
    """The file, empty and for its owner alone."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)
    return log.open("wb")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _END_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LAST_LINES))
        text = file.read().decode(errors="replace")
    # A progress bar redraws its line.
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines()]
    return next((line for line in reversed(lines) if line), "")


def yield_to_everyone() -> None:
    """Take only the processor time that nobody else wants, and end when the parent does."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(19)
    # Not everywhere allowed; then the niceness has to do.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    yield_to_everyone()
    module, *rest = sys.argv[1:]
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
