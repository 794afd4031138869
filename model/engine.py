"""The engine: an asynchronous Responder whose model works in a child process. No torch in this one.

The child is started again when it dies, and what it was answering is asked once more. A request that was running at
a death is a suspect: suspects are tried again one at a time, with nothing beside them, so that one that kills the
child a second time takes no neighbour with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import secrets
import socket
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from model.dialogue import DialogueContext, Reply, Sampling
from model.errors import EngineBusy, EngineClosed, EngineFailed, ModelError
from model.protocol import (
    Cancel,
    Done,
    EngineConfig,
    Event,
    Failed,
    FromWorker,
    Piece,
    Ready,
    Refused,
    Started,
    Submit,
    ToWorker,
    receive_frame,
    to_frame,
)

__all__ = ["Engine", "EngineConfig"]

_log = logging.getLogger(__name__)

# Deaths in a row, no request finished between them, after which whoever waits is told.
_MAX_DEATHS = 3
# How long `close` lets replies finish.
_DRAIN_SECONDS = 10.0
# From closing the pipe, on which the child ends by itself, to killing it.
_END_SECONDS = 2.0


class _Child:
    """The process and the pipe to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process = process
        self._reader = reader
        self._writer = writer
        self.model_version = ""

    @classmethod
    async def start(cls, config: EngineConfig) -> _Child:
        """Start a child and wait until its model is loaded. Raises BadCheckpoint and EngineFailed."""
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "model.worker", str(theirs.fileno())),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env=_child_environment(),
                )
            except BaseException:
                writer.transport.abort()
                raise
        child = cls(process, reader, writer)
        try:
            await child._load(config)
        except BaseException:
            await child.end()
            raise
        return child

    async def _load(self, config: EngineConfig) -> None:
        self.send(config)
        match await self.receive():
            case Ready(version):
                self.model_version = version
            case Refused(error):
                raise error
            case _:
                raise EngineFailed("The engine's process ended while it loaded the model; the log says why.")

    def send(self, message: ToWorker) -> None:
        """Hand a message over; to a dead child it is lost, as its death is about to be noticed."""
        self._writer.write(to_frame(message))

    async def receive(self) -> FromWorker | None:
        """The next message, None when the child is gone."""
        return await receive_frame(self._reader)

    async def end(self) -> None:
        """Close the pipe, on which the child ends; kill it if it has not soon."""
        self._writer.transport.abort()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), _END_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


def _child_environment() -> dict[str, str]:
    """The parent's environment; the same packages, whatever the working folder; no network, bars or chatter."""
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    return {**os.environ, **quiet, "PYTHONPATH": path}


@dataclass(slots=True, eq=False)
class _Request:
    """An accepted request until it is answered. `items` ends with the reply or the error."""

    submit: Submit
    items: asyncio.Queue[str | Reply | ModelError] = field(default_factory=asyncio.Queue)
    sent: bool = False
    started: bool = False
    shown: bool = False
    crashes: int = 0

    async def next(self) -> str | Reply:
        item = await self.items.get()
        if isinstance(item, ModelError):
            raise item
        return item


class Engine:
    """Answers conversations: `async with Engine(config) as engine: await engine.reply(context, sampling)`.

    Entering loads the model, and raises BadCheckpoint when it cannot. Cancelling a reply, or closing a stream, frees
    its place at the model's next step. Leaving finishes what was accepted, for a while.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._requests: dict[int, _Request] = {}
        self._ids = itertools.count(1)
        self._open = False
        self._child: _Child | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._deaths = 0
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.model_version = ""

    async def __aenter__(self) -> Self:
        child = await _Child.start(self._config)
        self._welcome(child)
        self._open = True
        self._supervisor = asyncio.create_task(self._supervise(child), name="engine")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return self._child.process.pid if self._child is not None else None

    @property
    def running(self) -> int:
        """Requests that have a slot."""
        return sum(request.started for request in self._requests.values())

    @property
    def waiting(self) -> int:
        """Accepted requests without a slot yet."""
        return len(self._requests) - self.running

    async def reply(self, context: DialogueContext, sampling: Sampling) -> Reply:
        """Answer the last turn. Raises EngineBusy, EngineClosed, EngineFailed, and ContextTooLong."""
        request = self._accept(context, sampling, streamed=False)
        try:
            item = await request.next()
            assert isinstance(item, Reply), "only streams get pieces"
            return item
        finally:
            self._release(request)

    async def stream(self, context: DialogueContext, sampling: Sampling) -> AsyncGenerator[str | Reply, None]:
        """Answer the last turn in pieces, one candidate; the last item is the whole Reply. Raises as `reply` does.

        EngineFailed also when the child dies after a piece was shown: it may not be taken back.
        """
        request = self._accept(context, sampling, streamed=True)
        try:
            while not isinstance(item := await request.next(), Reply):
                yield item
            yield item
        finally:
            self._release(request)

    async def close(self) -> None:
        """`drain`, with a limit that suits a restart of the bot."""
        await self.drain(_DRAIN_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Take no more requests, finish those accepted within `seconds`, then end the child.

        Requests left after that raise EngineClosed. Closing twice is no error.
        """
        self._open = False
        if self._supervisor is None:
            return
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)
        finally:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        if not self._supervisor.cancelled():
            self._supervisor.result()  # it ends by being cancelled, or by an error nobody foresaw

    def _accept(self, context: DialogueContext, sampling: Sampling, streamed: bool) -> _Request:
        if not self._open:
            raise EngineClosed("The engine is closed and takes no more requests; try again after its restart.")
        if len(self._requests) >= self._config.max_running + self._config.queue_limit:
            raise EngineBusy("Too many conversations are waiting for a reply; try again in a moment.")
        # Drawn here, not in the child: a request that is tried again gives the same reply.
        seed = sampling.seed if sampling.seed is not None else secrets.randbits(32)
        request = _Request(Submit(next(self._ids), context, replace(sampling, seed=seed), streamed))
        self._requests[request.submit.request_id] = request
        self._arrived.set()
        self._idle.clear()
        self._dispatch()
        return request

    def _release(self, request: _Request) -> None:
        """Whoever waited is gone. Unless the request is answered, the child need not go on with it."""
        if request.submit.request_id in self._requests:
            if request.sent and self._child is not None:
                self._child.send(Cancel(request.submit.request_id))
            self._forget(request)

    def _forget(self, request: _Request) -> None:
        del self._requests[request.submit.request_id]
        if not self._requests:
            self._idle.set()
        self._dispatch()

    def _settle(self, request: _Request, outcome: Reply | ModelError) -> None:
        request.items.put_nowait(outcome)
        self._forget(request)

    def _dispatch(self) -> None:
        """Send the child what it may have now: all, or while there are suspects, one of them alone."""
        if self._child is None:
            return
        suspects = [request for request in self._requests.values() if request.crashes]
        if suspects and any(request.sent for request in self._requests.values()):
            return
        for request in suspects[:1] or list(self._requests.values()):
            if not request.sent:
                request.sent = True
                self._child.send(request.submit)

    async def _supervise(self, child: _Child) -> None:
        """Own the child: listen to it, and replace it whenever it dies, until cancelled."""
        try:
            while True:
                try:
                    await self._listen(child)
                finally:
                    self._child = None
                    await child.end()
                _log.warning("The engine's process died (exit status %s); starting another.", child.process.returncode)
                self._bury("The engine's process died while making this reply, also on a second try; ask differently.")
                child = await self._revive()
                self._welcome(child)
        finally:
            self._open = False
            self._fail_all(EngineClosed, "The engine was closed before this reply was ready; try after its restart.")

    def _welcome(self, child: _Child) -> None:
        self._child = child
        self.model_version = child.model_version
        self._dispatch()

    async def _listen(self, child: _Child) -> None:
        while isinstance(message := await child.receive(), Event):
            request = self._requests.get(message.request_id)
            if request is None:
                continue  # cancelled meanwhile
            match message:
                case Started():
                    request.started = True
                case Piece(text=text):
                    request.shown = True
                    request.items.put_nowait(text)
                case Done(reply=outcome) | Failed(error=outcome):
                    self._deaths = 0
                    self._settle(request, outcome)

    async def _revive(self) -> _Child:
        while True:
            if self._deaths >= _MAX_DEATHS:
                # Nobody waits now; the next request is worth another try.
                self._deaths = 0
                self._arrived.clear()
                await self._arrived.wait()
            try:
                return await _Child.start(self._config)
            except (ModelError, OSError) as error:
                _log.error("The engine's process does not start: %s", error)
                self._bury("The engine's process does not start any more; its log says why.")

    def _bury(self, sentence: str) -> None:
        """Decide what a death means for each request: another try, or EngineFailed with `sentence`."""
        self._deaths += 1
        for request in list(self._requests.values()):
            request.crashes += request.started
            request.sent = request.started = False
            if request.shown or request.crashes > 1:
                self._settle(request, EngineFailed(sentence))
        if self._deaths >= _MAX_DEATHS:
            self._fail_all(EngineFailed, sentence)

    def _fail_all(self, kind: type[ModelError], sentence: str) -> None:
        for request in list(self._requests.values()):
            self._settle(request, kind(sentence))
