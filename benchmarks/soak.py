"""`python -m benchmarks.soak`: many conversations at half the rate the engine can bear, for minutes, nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Annotated, Any, TypeVar

import psutil
import typer

from benchmarks.engine import about_machine, check_choice, plain_errors, say
from benchmarks.engine_load import Level, climb, offer, saturation, summary
from benchmarks.engine_measures import prompts_for
from benchmarks.engine_statistics import percentile
from benchmarks.errors import BenchmarkError
from benchmarks.systems import BACKENDS
from benchmarks.workload import DEFAULT_MODEL, Prompts, Workload
from bot.context import LOADED_TURNS, build_context
from model.dialogue import DEFAULT_PERSONA, Role, Sampling, SpeechLevel, Turn
from model.engine import Engine
from model.files import write_json
from model.protocol import EngineConfig

# What a person may say, in tokens.
_WORDS = (3, 20)
_CONVERSATIONS = 64
_TICK_SECONDS = 0.01
_SAMPLE_SECONDS = 1.0
_FIRST_RATE = 1.0
# Memory at the start and at the end is the median over this share of the time.
_EDGE = 0.1

T = TypeVar("T")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """How to soak. `rate` in requests/s, None for half of what is found to be bearable first.

    `warm_up`: seconds at that rate before anything counts, in which caches fill.
    """

    seconds: float = 600.0
    warm_up: float = 60.0
    level_seconds: float = 10.0
    rate: float | None = None


@dataclass(slots=True)
class _Watch:
    """Samples taken while the engine works: the loop's lag in seconds, and the child's memory in bytes."""

    lags: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    children: set[int] = field(default_factory=set)


class _Talk:
    """Conversations that go on as those of the bot do: its persona, its window, its sampling."""

    def __init__(self, engine: Engine, prompts: Prompts) -> None:
        self._engine = engine
        self._prompts = prompts
        self._random = Random(0)
        self._free: list[list[Turn]] = [[] for _ in range(_CONVERSATIONS)]

    async def ask(self, number: int) -> int:
        """One more exchange in some conversation that is not waiting for a reply; a new one if all are."""
        said = self._prompts.line(self._random.randint(*_WORDS))
        turns = self._free.pop(self._random.randrange(len(self._free))) if self._free else []
        context = build_context(DEFAULT_PERSONA, SpeechLevel.HAEYO, turns[-LOADED_TURNS:], len(turns), said)
        try:
            reply = await self._engine.reply(context, Sampling(seed=number))
            turns += [Turn(Role.USER, said), Turn(Role.BOT, reply.text)]
        finally:
            self._free.append(turns)
        return 0


async def soak(config: EngineConfig, prompts: Prompts, plan: SoakPlan, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run the engine of `config` under the plan's load, and report. Raises BenchmarkError when no rate is bearable."""
    async with Engine(config) as engine:
        talk = _Talk(engine, prompts)
        levels: list[Level] = []
        rate = plan.rate
        if rate is None:
            levels = await climb(talk.ask, _FIRST_RATE, plan.level_seconds, tell)
            rate = (saturation(levels) or 0.0) / 2
        if not rate:
            raise BenchmarkError(f"The engine cannot bear {_FIRST_RATE:.0f} request a second; nothing was soaked.")
        tell(f"Warming up for {plan.warm_up:.0f} s, then {plan.seconds:.0f} s at {rate:.2f} requests/s.")
        await offer(talk.ask, rate, plan.warm_up, Random(1))
        watch = _Watch()
        level = await _watched(watch, engine, _level(talk, rate, plan.seconds))
    return {
        "machine": about_machine(),
        "model": engine.model_version,
        "plan": asdict(plan),
        "climb": [asdict(level) for level in levels],
        "saturation_per_s": saturation(levels),
        "rate_per_s": rate,
        "load": asdict(level),
        "lost": level.asked - level.answered,
        "children": len(watch.children),
        **memory_report(watch.memory),
        "loop_lag_ms": lag_report(watch.lags),
    }


async def _level(talk: _Talk, rate: float, seconds: float) -> Level:
    return summary(rate, await offer(talk.ask, rate, seconds, Random(2)), seconds)


async def _watched(watch: _Watch, engine: Engine, work: Awaitable[T]) -> T:
    """Do `work` while the loop and the child are sampled."""
    watchers = [asyncio.create_task(_tick(watch)), asyncio.create_task(_sample(watch, engine))]
    try:
        return await work
    finally:
        for task in watchers:
            task.cancel()
        await asyncio.wait(watchers)


async def _tick(watch: _Watch) -> None:
    """How much later than asked a sleeping task is woken."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _TICK_SECONDS
        await asyncio.sleep(_TICK_SECONDS)
        watch.lags.append(loop.time() - due)


async def _sample(watch: _Watch, engine: Engine) -> None:
    while True:
        pid = engine.pid
        if pid is not None:
            watch.children.add(pid)
            with contextlib.suppress(psutil.NoSuchProcess):
                watch.memory.append(psutil.Process(pid).memory_info().rss)
        await asyncio.sleep(_SAMPLE_SECONDS)


def memory_report(samples: Sequence[int]) -> dict[str, float]:
    """The child's resident memory in MiB when counting began and ended; `rss_drift` is the growth as a share."""
    edge = max(1, int(len(samples) * _EDGE))
    start, end = median(samples[:edge]), median(samples[-edge:])
    return {
        "rss_start_mib": start / 2**20,
        "rss_end_mib": end / 2**20,
        "rss_max_mib": max(samples) / 2**20,
        "rss_drift": end / start - 1,
    }


def lag_report(samples: Sequence[float]) -> dict[str, float]:
    """Percentiles of the event loop's lag in milliseconds."""
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: percentile(samples, share) * 1000 for name, share in shares.items()}


@app.command()
def main(
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")],
    minutes: Annotated[float, typer.Option(min=0.01, help="How long.")] = 10.0,
    backend: Annotated[str, typer.Option(help="auto, torch or openvino.")] = "auto",
    rate: Annotated[float | None, typer.Option(help="Requests a second; default: half of what is bearable.")] = None,
    warm_up: Annotated[float, typer.Option(help="Seconds before anything counts.")] = 60.0,
) -> None:
    """Let the engine work for long, and see what it loses, how its memory grows and how late the event loop is."""
    with plain_errors():
        check_choice("backend", backend, BACKENDS)
        config = EngineConfig(DEFAULT_MODEL, backend=backend)
        plan = SoakPlan(minutes * 60, warm_up, rate=rate)
        found = asyncio.run(soak(config, prompts_for(DEFAULT_MODEL, Workload()), plan, say))
    write_json(json_file, found)
    print(f"Lost {found['lost']} of {found['load']['asked']} requests at {found['rate_per_s']:.2f}/s.")
    print(f"Memory {found['rss_start_mib']:.0f} to {found['rss_end_mib']:.0f} MiB ({found['rss_drift']:+.1%}).")
    print("Event-loop lag: " + ", ".join(f"{name} {lag:.1f} ms" for name, lag in found["loop_lag_ms"].items()))


if __name__ == "__main__":
    app()
