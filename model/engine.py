"""The engine: an asynchronous Responder whose model works in a child process. No torch in this one."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from model.dialogue import DialogueContext, Reply, Sampling
from model.errors import EngineBusy, EngineClosed
from model.lane import Lane, Request
from model.protocol import EngineConfig, Submit

__all__ = ["Engine", "EngineConfig"]

# How long `close` lets replies finish.
_DRAIN_SECONDS = 10.0


class Engine:
    """Answers conversations: `async with Engine(config) as engine: await engine.reply(context, sampling)`.

    Entering loads the model, and raises BadCheckpoint when it cannot. Cancelling a reply, or closing a stream, frees
    its place at the model's next step. Leaving finishes what was accepted, for a while.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._ids = itertools.count(1)
        self._open = False
        self._serving: Lane | None = None
        # Models that were swapped for another, with the requests they still answer.
        self._retired: dict[Lane, asyncio.Task[None]] = {}
        self._swapping = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._serving = await Lane.start(self._config)
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def model_version(self) -> str:
        """The version that new requests are answered with; empty before the engine is entered."""
        return self._serving.model_version if self._serving is not None else ""

    @property
    def pid(self) -> int | None:
        """The serving child's process id, None while there is none."""
        return self._serving.pid if self._serving is not None else None

    @property
    def running(self) -> int:
        """Requests that have a slot."""
        return sum(lane.running for lane in self._lanes())

    @property
    def waiting(self) -> int:
        """Accepted requests without a slot yet."""
        return sum(lane.accepted for lane in self._lanes()) - self.running

    def _lanes(self) -> list[Lane]:
        return [*self._retired, *([self._serving] if self._serving is not None else [])]

    async def reply(self, context: DialogueContext, sampling: Sampling) -> Reply:
        """Answer the last turn.

        Raises EngineBusy, EngineTimeout, EngineClosed, EngineFailed, and ContextTooLong.
        """
        lane, request = self._accept(context, sampling, streamed=False)
        try:
            item = await request.next()
            assert isinstance(item, Reply), "only streams get pieces"
            return item
        finally:
            lane.release(request)

    async def stream(self, context: DialogueContext, sampling: Sampling) -> AsyncGenerator[str | Reply, None]:
        """Answer the last turn in pieces, one candidate; the last item is the whole Reply. Raises as `reply` does.

        EngineFailed also when the child dies after a piece was shown: it may not be taken back.
        """
        lane, request = self._accept(context, sampling, streamed=True)
        try:
            while not isinstance(item := await request.next(), Reply):
                yield item
            yield item
        finally:
            lane.release(request)

    async def swap(self, model: Path) -> None:
        """Serve the checkpoint in the folder `model` from now on; returns when the old one's memory is free.

        The new one is loaded in a child of its own while the old one serves. Requests accepted before the switch are
        finished by the old model, whose child then ends. Raises BadCheckpoint or EngineFailed when the new one cannot
        be loaded, and EngineClosed; the old one then goes on serving.
        """
        async with self._swapping:
            self._require_open()
            config = replace(self._config, model=model)
            lane = await Lane.start(config)
            old = self._serving
            if not self._open or old is None:
                await lane.drain(0)
                self._require_open()
                return
            self._config, self._serving = config, lane
            retiring = asyncio.create_task(self._retire(old), name="retire")
            self._retired[old] = retiring
        # Whoever swaps may stop waiting; the old model's requests are finished all the same.
        await asyncio.shield(retiring)

    async def _retire(self, lane: Lane) -> None:
        try:
            await lane.drain(None)
        finally:
            del self._retired[lane]

    async def close(self) -> None:
        """`drain`, with a limit that suits a restart of the bot."""
        await self.drain(_DRAIN_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Take no more requests, finish those accepted within `seconds`, then end the children.

        Requests left after that raise EngineClosed. Closing twice is no error.
        """
        self._open = False
        retiring = list(self._retired.values())
        await asyncio.gather(*(lane.drain(seconds) for lane in self._lanes()))
        await asyncio.gather(*retiring)

    def _require_open(self) -> None:
        if not self._open or self._serving is None or not self._serving.open:
            raise EngineClosed("The engine is closed and takes no more requests; try again after its restart.")

    def _accept(self, context: DialogueContext, sampling: Sampling, streamed: bool) -> tuple[Lane, Request]:
        self._require_open()
        assert self._serving is not None
        accepted = sum(lane.accepted for lane in self._lanes())
        if accepted >= self._config.max_running + self._config.queue_limit:
            raise EngineBusy("Too many conversations are waiting for a reply; try again in a moment.")
        # Drawn here, not in the child: a request that is tried again gives the same reply.
        seed = sampling.seed if sampling.seed is not None else secrets.randbits(32)
        submit = Submit(next(self._ids), context, replace(sampling, seed=seed), streamed)
        request = Request(submit, asyncio.get_running_loop().time() + self._config.deadline)
        self._serving.accept(request)
        return self._serving, request
