"""One model's child process, kept alive, and the requests it is answering. No torch in this process.

A child that dies, or hangs, is replaced, and what it was answering is asked once more. A request that was running then
is a suspect: suspects are tried again one at a time, with nothing beside them, so that one that kills the child a
second time takes no neighbour with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field

from model.child import Child
from model.dialogue import Reply
from model.errors import EngineClosed, EngineFailed, EngineTimeout, ModelError
from model.protocol import Alive, Cancel, Done, EngineConfig, Event, Failed, Piece, Started, Submit

_log = logging.getLogger(__name__)

# Deaths in a row, no request finished between them, after which whoever waits is told.
_MAX_DEATHS = 3


@dataclass(slots=True, eq=False)
class Request:
    """An accepted request until it is answered. `items` ends with the reply or the error; `deadline` is loop time."""

    submit: Submit
    deadline: float
    items: asyncio.Queue[str | Reply | ModelError] = field(default_factory=asyncio.Queue)
    sent: bool = False
    started: bool = False
    shown: bool = False
    crashes: int = 0

    async def next(self) -> str | Reply:
        """The next piece, or the reply. Raises what the request failed with, and EngineTimeout."""
        try:
            async with asyncio.timeout_at(self.deadline):
                item = await self.items.get()
        except TimeoutError:
            raise EngineTimeout("The reply took too long; try again in a moment.") from None
        if isinstance(item, ModelError):
            raise item
        return item


class Lane:
    """A model that serves, until it is drained. `open`: it takes requests."""

    def __init__(self, config: EngineConfig, child: Child) -> None:
        self._config = config
        self._requests: dict[int, Request] = {}
        self._child: Child | None = None
        self._deaths = 0
        self._heard = 0.0
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.model_version = ""
        self.open = True
        self._welcome(child)
        self._supervisor = asyncio.create_task(self._supervise(child), name="engine")

    @classmethod
    async def start(cls, config: EngineConfig) -> Lane:
        """Load the model in a new child. Raises BadCheckpoint and EngineFailed."""
        return cls(config, await Child.start(config))

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return self._child.process.pid if self._child is not None else None

    @property
    def running(self) -> int:
        """Requests that have a slot."""
        return sum(request.started for request in self._requests.values())

    @property
    def accepted(self) -> int:
        """Requests not answered yet."""
        return len(self._requests)

    def accept(self, request: Request) -> None:
        """Answer this; its items tell how that goes."""
        self._requests[request.submit.request_id] = request
        self._arrived.set()
        self._idle.clear()
        self._dispatch()

    def release(self, request: Request) -> None:
        """Whoever waited is gone. Unless the request is answered, the child need not go on with it."""
        if request.submit.request_id in self._requests:
            if request.sent and self._child is not None:
                self._child.send(Cancel(request.submit.request_id))
            self._forget(request)

    async def drain(self, seconds: float | None) -> None:
        """Finish what was accepted within `seconds` (None: as long as it takes), then end the child.

        Requests left after that raise EngineClosed. Draining twice, also at the same time, is no error.
        """
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)
        finally:
            self.open = False
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        if not self._supervisor.cancelled():
            self._supervisor.result()  # it ends by being cancelled, or by an error nobody foresaw

    def _forget(self, request: Request) -> None:
        del self._requests[request.submit.request_id]
        if not self._requests:
            self._idle.set()
        self._dispatch()

    def _settle(self, request: Request, outcome: Reply | ModelError) -> None:
        request.items.put_nowait(outcome)
        self._forget(request)

    def _dispatch(self) -> None:
        """Send the child what it may have now: all, or while there are suspects, one of them alone."""
        if self._child is None:
            return
        busy = any(request.sent for request in self._requests.values())
        suspects = [request for request in self._requests.values() if request.crashes]
        if suspects and busy:
            return
        if not busy:
            self._heard = asyncio.get_running_loop().time()
        for request in suspects[:1] or list(self._requests.values()):
            if not request.sent:
                request.sent = True
                self._child.send(request.submit)

    async def _supervise(self, child: Child) -> None:
        """Own the child: listen to it, and replace it whenever it dies or hangs, until cancelled."""
        try:
            while True:
                try:
                    await self._listen(child)
                finally:
                    self._child = None
                    await child.end()
                _log.warning("The engine's process ended (exit status %s); starting another.", child.process.returncode)
                self._bury("The engine's process died while making this reply, also on a second try; ask differently.")
                child = await self._revive()
                self._welcome(child)
        finally:
            self.open = False
            self._fail_all(EngineClosed, "The engine was closed before this reply was ready; try after its restart.")

    def _welcome(self, child: Child) -> None:
        self._child = child
        self.model_version = child.model_version
        self._dispatch()

    async def _listen(self, child: Child) -> None:
        """Pass on what the child says, until it is gone or silent for too long with work to do."""
        while True:
            receiving = asyncio.ensure_future(child.receive())
            try:
                while not receiving.done() and not self._hangs():
                    await asyncio.wait([receiving], timeout=self._config.hang_seconds / 4)
                message = receiving.result() if receiving.done() else None
            finally:
                receiving.cancel()
            self._heard = asyncio.get_running_loop().time()
            if isinstance(message, Event):
                self._hear(message)
            elif not isinstance(message, Alive):
                return

    def _hangs(self) -> bool:
        silence = asyncio.get_running_loop().time() - self._heard
        hangs = silence > self._config.hang_seconds and any(request.sent for request in self._requests.values())
        if hangs:
            _log.error("The engine's process has said nothing for %.0f seconds; it is ended.", silence)
        return hangs

    def _hear(self, event: Event) -> None:
        request = self._requests.get(event.request_id)
        if request is None:
            return  # cancelled meanwhile
        match event:
            case Started():
                request.started = True
            case Piece(text=text):
                request.shown = True
                request.items.put_nowait(text)
            case Done(reply=outcome) | Failed(error=outcome):
                self._deaths = 0
                self._settle(request, outcome)

    async def _revive(self) -> Child:
        while True:
            if self._deaths >= _MAX_DEATHS:
                # Nobody waits now; the next request is worth another try.
                self._deaths = 0
                self._arrived.clear()
                await self._arrived.wait()
            try:
                return await Child.start(self._config)
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
