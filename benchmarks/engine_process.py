"""A process for each system, so that thread pools and memory of one do not reach another. It idles until asked."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Protocol, cast

from transformers.utils import logging as transformers_logging

from benchmarks.errors import SystemFailed

# A measure or a start that takes longer hangs.
_PATIENCE_SECONDS = 900.0
_END_SECONDS = 20.0
_PRELOADED = ["torch", "transformers.models.gpt2.modeling_gpt2"]


class Measured(Protocol):
    """What a process holds."""

    about: dict[str, str]

    def measure(self, name: str, round_number: int, /) -> dict[str, float]:
        """The values of one measure."""
        ...

    def close(self) -> None:
        """Free what does not end with the process."""
        ...


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What went wrong in the process."""

    sentence: str


def _serve(connection: Connection, build: Callable[[], Measured]) -> None:
    """The process's whole life: build, tell about it, measure until there is no more to measure."""
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        measured = build()
        connection.send(measured.about)
        while (asked := connection.recv()) is not None:
            connection.send(measured.measure(*asked))
        measured.close()
    except (EOFError, BrokenPipeError):
        return  # the parent is gone, and nobody wants to know
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines() or ["no message"]
        connection.send(_Trouble(f"{type(error).__name__}: {lines[0]}"))


class Remote:
    """The parent's end of one process. Its methods raise SystemFailed when the process cannot go on."""

    def __init__(self, name: str, build: Callable[[], Measured]) -> None:
        """Start the process and wait until it is loaded. `build` is pickled."""
        self.name = name
        # Forked from a process that has only imported: nothing of this one reaches it, and it starts at once.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, build), name=name, daemon=False)
        self._process.start()
        theirs.close()
        try:
            self.about = cast(dict[str, str], self._receive())
        except BaseException:
            self.end()
            raise

    def measure(self, name: str, round_number: int) -> dict[str, float]:
        """The values of one measure."""
        self._connection.send((name, round_number))
        return cast(dict[str, float], self._receive())

    def _receive(self) -> object:
        try:
            if not self._connection.poll(_PATIENCE_SECONDS):
                raise SystemFailed(f"{self.name} said nothing for {_PATIENCE_SECONDS:.0f} seconds.")
            answer: object = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join(_END_SECONDS)
            raise SystemFailed(f"{self.name}'s process died (exit status {self._process.exitcode}).") from error
        if isinstance(answer, _Trouble):
            raise SystemFailed(f"{self.name} failed: {answer.sentence}")
        return answer

    def close(self) -> None:
        """Let the process end by itself, as far as it will."""
        if self._process.is_alive():
            with contextlib.suppress(OSError):
                self._connection.send(None)
        self.end()

    def end(self) -> None:
        """Wait for the process a little, then end it."""
        self._process.join(_END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._connection.close()


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))
