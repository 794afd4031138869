"""Our side: the backend with the worker's own scheduler and answerer around it, and the engine from its outside."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import time
from collections.abc import Callable, Sequence
from typing import cast

from benchmarks.errors import BenchmarkError
from benchmarks.systems import Outcome, Setup
from benchmarks.workload import Prompt
from model.dialogue import Finish, Reply, Sampling
from model.engine import Engine
from model.protocol import Done, EngineConfig, Event, Failed, Piece, Submit
from model.ranker import Answerer, Backend
from model.scheduler import Scheduler

# Nothing is given up for being slow: slowness is to be seen.
_PATIENCE_SECONDS = 600.0

_BACKENDS = {
    "auto": "model.backends.auto:load",
    "torch": "model.backends.torch_backend:load",
    "openvino": "model.backends.openvino_backend:load",
}


def engine_config(setup: Setup) -> EngineConfig:
    """The engine that is measured: as it comes, with room for all chats at once."""
    return EngineConfig(
        model=setup.model,
        threads=setup.threads,
        backend=setup.backend,
        precision=setup.precision,
        max_running=setup.running,
        deadline=_PATIENCE_SECONDS,
        hang_seconds=_PATIENCE_SECONDS,
    )


def load_backend(setup: Setup) -> BackendSystem:
    """Load the backend in this process, as the worker does."""
    config = engine_config(setup)
    module, _, function = _BACKENDS.get(setup.backend, setup.backend).partition(":")
    load = cast(Callable[[EngineConfig], Backend], getattr(importlib.import_module(module), function))
    return BackendSystem(load(config), config)


def load_engine(setup: Setup) -> EngineSystem:
    """Start the engine and its process."""
    return EngineSystem(engine_config(setup))


class BackendSystem:
    """What `model.worker` runs, without its process: the scheduler steps the backend, the answerer ranks."""

    def __init__(self, backend: Backend, config: EngineConfig) -> None:
        self._config = config
        self._backend = backend
        self._ids = itertools.count(1)
        self.about = {"backend": type(backend).__module__.rpartition(".")[2], "model": backend.version}

    def run(self, prompts: Sequence[Prompt], sampling: Sampling) -> Outcome:
        """As `System.run`; a prompt alone is streamed."""
        streamed = len(prompts) * sampling.candidates == 1
        began = time.perf_counter()
        answer = Answerer(self._backend, None, self._config).answer
        scheduler = Scheduler(answer, self._backend.step, self._config.max_running)
        asked = [next(self._ids) for _ in prompts]
        for request_id, prompt in zip(asked, prompts, strict=True):
            scheduler.submit(Submit(request_id, prompt.context, sampling, streamed))
        first = None
        replies: dict[int, Reply] = {}
        while not scheduler.idle:
            for event in scheduler.step():
                if first is None and isinstance(event, Piece):
                    first = time.perf_counter() - began
                _note(event, replies)
        seconds = time.perf_counter() - began
        return _outcome(seconds, first, [replies[request_id] for request_id in asked])

    def close(self) -> None:
        """Nothing outlives the process."""


def _note(event: Event, replies: dict[int, Reply]) -> None:
    if isinstance(event, Failed):
        raise BenchmarkError(f"A reply failed: {event.error}")
    if isinstance(event, Done):
        replies[event.request_id] = event.reply


def _outcome(seconds: float, first: float | None, replies: Sequence[Reply]) -> Outcome:
    if any(candidate.finish is not Finish.LENGTH for reply in replies for candidate in reply.candidates):
        raise BenchmarkError("The engine ended a reply early; the model must not be able to.")
    return Outcome(seconds, first, tuple(reply.text for reply in replies))


class EngineSystem:
    """`model.engine.Engine` with its process and its pipe, from the outside."""

    def __init__(self, config: EngineConfig) -> None:
        self._runner = asyncio.Runner()
        self._engine = Engine(config)
        self._runner.run(self._engine.__aenter__())
        self.about = {"model": self._engine.model_version}

    def run(self, prompts: Sequence[Prompt], sampling: Sampling) -> Outcome:
        """As `System.run`; a prompt alone is streamed."""
        if len(prompts) * sampling.candidates == 1:
            return self._runner.run(self._stream(prompts[0], sampling))
        return self._runner.run(self._replies(prompts, sampling))

    async def _stream(self, prompt: Prompt, sampling: Sampling) -> Outcome:
        began = time.perf_counter()
        moments: list[float] = []
        items: list[str | Reply] = []
        async for item in self._engine.stream(prompt.context, sampling):
            moments.append(time.perf_counter() - began)
            items.append(item)
        reply = items[-1]
        assert isinstance(reply, Reply), "a stream ends with its reply"
        return _outcome(moments[-1], moments[0], [reply])

    async def _replies(self, prompts: Sequence[Prompt], sampling: Sampling) -> Outcome:
        began = time.perf_counter()
        replies = await asyncio.gather(*(self._engine.reply(prompt.context, sampling) for prompt in prompts))
        return _outcome(time.perf_counter() - began, None, replies)

    def close(self) -> None:
        """End the engine's process."""
        self._runner.run(self._engine.close())
        self._runner.close()
