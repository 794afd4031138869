"""`python -m benchmarks.beside --json FILE`: how much slower replies are while the weekly training runs beside the bot.

The engine as the bot runs it, one chat at a time, every reply generated (nothing is looked up); a fine-tuning started
as the schedule starts it, stopped (SIGSTOP) in every other block of replies, so that both conditions are interleaved.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import psutil
import typer

from bot.apart import run_apart
from bot.app import OWN_DIALOGUES, engine_config
from bot.settings import Settings
from model.dialogue import DEFAULT_PERSONA, DialogueContext, Role, Sampling, Turn
from model.engine import Engine
from model.files import write_json

_LINES = (
    "안녕하세요",
    "오늘 너무 피곤해요",
    "저녁 뭐 먹을까요?",
    "요즘 잠이 안 와요",
    "비가 많이 오네요",
    "시험이 끝났어요",
)
_BLOCKS = 12
_READY_SECONDS = 300.0


async def measure(replies: int) -> dict[str, list[float]]:
    """Seconds of each reply, alone and beside a training; medians of blocks."""
    config = replace(engine_config(Settings()), retriever=None)
    with tempfile.TemporaryDirectory() as folder:
        async with Engine(config) as engine:
            for line in _LINES:
                await _reply(engine, line, 0)
            training = asyncio.create_task(_train(Path(folder)))
            try:
                worker = await _working(training)
                return await _blocks(engine, worker, replies)
            finally:
                training.cancel()
                with suppress(asyncio.CancelledError):
                    await training


async def _train(folder: Path) -> None:
    arguments = ["training.finetune", "--data", str(OWN_DIALOGUES), "--out", str(folder / "model"), "--cpu"]
    ended = await run_apart(arguments, folder / "log")
    raise RuntimeError(f"the training ended before the measurement: {ended.last_line}")


async def _working(training: asyncio.Task[None]) -> psutil.Process:
    """The training, once it has begun to compute: it reads and encodes its data first, in the same way for longer."""
    end = time.monotonic() + _READY_SECONDS
    while time.monotonic() < end and not training.done():
        for child in psutil.Process().children():
            if "training.finetune" in child.cmdline() and child.cpu_times().user > 30:
                return child
        await asyncio.sleep(1)
    raise RuntimeError("the training did not get to work")


async def _blocks(engine: Engine, training: psutil.Process, replies: int) -> dict[str, list[float]]:
    medians: dict[str, list[float]] = {"alone": [], "beside": []}
    for block in range(_BLOCKS):
        name = "beside" if block % 2 else "alone"
        os.kill(training.pid, signal.SIGCONT if block % 2 else signal.SIGSTOP)
        seconds = [await _reply(engine, _LINES[number % len(_LINES)], number) for number in range(replies)]
        medians[name].append(statistics.median(seconds))
    os.kill(training.pid, signal.SIGCONT)
    return medians


async def _reply(engine: Engine, line: str, seed: int) -> float:
    """Four candidates of a fixed seed: the same work in both conditions."""
    began = time.perf_counter()
    await engine.reply(DialogueContext(DEFAULT_PERSONA, (Turn(Role.USER, line),)), Sampling(candidates=4, seed=seed))
    return time.perf_counter() - began


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    replies: Annotated[int, typer.Option(min=1, help="Replies a block.")] = 60,
    json: Annotated[Path | None, typer.Option(help="Where the figures go.")] = None,
) -> None:
    """Measure what a training beside the bot costs its replies."""
    medians = asyncio.run(measure(replies))
    alone, beside = (statistics.median(medians[name]) for name in ("alone", "beside"))
    for name, each in medians.items():
        print(f"{name}: {1000 * statistics.median(each):.1f} ms ({1000 * min(each):.1f}-{1000 * max(each):.1f})")
    print(f"A reply takes {beside / alone:.2f} times as long beside a training.")
    if json is not None:
        write_json(json, {"seconds": medians, "ratio": beside / alone})


if __name__ == "__main__":
    app()
