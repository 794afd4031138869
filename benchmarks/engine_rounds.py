"""The rounds: every system in its own process, asked in turn, so that the machine's moods meet all of them alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks.engine_load import Level, climb
from benchmarks.engine_measures import MEASURES, WARM_UP, Session, Values, prompts_for
from benchmarks.engine_ours import engine_config
from benchmarks.engine_process import Remote, cores
from benchmarks.engine_report import END_TO_END, Findings, add
from benchmarks.errors import SystemFailed
from benchmarks.floor import FloorMeter, ModelSize
from benchmarks.systems import OUR_SOURCES, Setup, Source
from benchmarks.workload import Workload
from model.engine import Engine

# The first level of the load, as a share of what a batch of a few showed.
_GENTLE = 0.2

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `save` writes the model to be measured into a folder; `peers` are those to compare with.

    `level_seconds`: how long each rate of arrivals is kept up.
    """

    save: Callable[[Path], Path]
    workload: Workload
    peers: Mapping[str, Source]
    backend: str = "auto"
    precision: str = "auto"
    rounds: int = 3
    threads: int = field(default_factory=cores)
    level_seconds: float = 15.0


def measure(plan: Plan, scratch: Path, say: Say) -> Findings:
    """Run the plan; models go to the empty folder `scratch`. Raises SystemFailed when our own side breaks."""
    say("Preparing the model.")
    model = plan.save(scratch / "model")
    setup = Setup(model, scratch, plan.threads, plan.backend, plan.precision, running=plan.workload.many)
    race = _Race(plan, setup, say)
    with ExitStack() as stack:
        race.load(stack)
        for number in range(plan.rounds):
            race.round(number)
    race.findings.levels = asyncio.run(_climb(plan, setup, race.findings, say))
    return race.findings


class _Race:
    """The processes, and what they showed so far."""

    def __init__(self, plan: Plan, setup: Setup, say: Say) -> None:
        self._plan = plan
        self._setup = setup
        self._say = say
        self._remotes: dict[str, Remote] = {}
        self.findings = Findings(ModelSize.of(setup.model))

    def load(self, stack: ExitStack) -> None:
        """Start every system and let it run once; leaving `stack` ends them."""
        meter = partial(FloorMeter, self.findings.size.weights, self._plan.threads)
        self._floor = Remote("floor", meter)
        stack.callback(self._floor.close)
        for name, source in {**OUR_SOURCES, **self._plan.peers}.items():
            self._say(f"Loading {name}: {source.says}.")
            try:
                self._start(name, source, stack)
            except SystemFailed as error:
                self._drop(name, error)

    def _start(self, name: str, source: Source, stack: ExitStack) -> None:
        if find_spec(source.package) is None:
            raise SystemFailed(f"The package {source.package} is not installed; pip install '.[benchmarks]'.")
        remote = Remote(name, partial(Session, source, self._setup, self._plan.workload))
        stack.callback(remote.close)
        remote.measure(WARM_UP, 0)
        self._remotes[name] = remote
        self.findings.about[name] = {"is": source.says, **remote.about}

    def _drop(self, name: str, error: SystemFailed) -> None:
        """A peer that breaks is left out, with the reason; ours may not break."""
        if name in OUR_SOURCES:
            raise error
        self._say(str(error))
        self.findings.drop(name, str(error))
        self._remotes.pop(name, None)

    def round(self, number: int) -> None:
        """Every measure of every system, another one first in each round."""
        add(self.findings.floor, self._floor.measure("rates", number))
        for measure_name in MEASURES:
            self._say(f"Round {number + 1} of {self._plan.rounds}: {measure_name}.")
            names = list(self._remotes)
            first = number % len(names)
            for name in names[first:] + names[:first]:
                self._ask(name, measure_name, number)

    def _ask(self, name: str, measure_name: str, number: int) -> None:
        try:
            values: Values = self._remotes[name].measure(measure_name, number)
        except SystemFailed as error:
            self._drop(name, error)
        else:
            add(self.findings.systems.setdefault(name, {}), values)


async def _climb(plan: Plan, setup: Setup, findings: Findings, say: Say) -> list[Level]:
    """The engine alone, under arrivals at rising rates; prompts have nothing in common that could be reused."""
    workload = plan.workload
    prompts = prompts_for(setup.model, workload)
    prompts.restart("load")
    rate = max(findings.systems[END_TO_END]["tokens_per_s_8"]) / workload.new_tokens * _GENTLE
    async with Engine(engine_config(setup)) as engine:

        async def ask(number: int) -> int:
            (prompt,) = prompts.first(1)
            await engine.reply(prompt.context, workload.sampling(seed=number))
            return workload.new_tokens

        return await climb(ask, rate, plan.level_seconds, say)
