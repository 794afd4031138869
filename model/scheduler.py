"""Which requests run, and in what order: admit, step, finish, cancel. Pure; no torch, no clock, no process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator

from model.dialogue import Reply
from model.errors import EngineFailed, ModelError
from model.protocol import Done, Event, Failed, Piece, Started, Submit

Answer = Generator[str, None, Reply]
"""A request under way. The first `next` puts it before the model; each later one follows a step of the model and
yields the text that this added ("" for none). It returns the reply, and frees what it holds when it is closed."""

_log = logging.getLogger(__name__)


class Scheduler:
    """First come, first served among the waiting; every step advances all that run, so that none holds up another.

    `work` is one step of the model for all of them. What it raises is no request's own fault and ends the process,
    whose successor gets the requests again.
    """

    def __init__(self, answer: Callable[[Submit], Answer], work: Callable[[], None], max_running: int) -> None:
        self._answer = answer
        self._work = work
        self._max_running = max_running
        self._waiting: dict[int, Submit] = {}
        self._running: dict[int, Answer] = {}

    @property
    def idle(self) -> bool:
        """Nothing runs, nothing waits."""
        return not self._running and not self._waiting

    def submit(self, request: Submit) -> None:
        """Queue a request; it is admitted at the next step that has a slot free."""
        self._waiting[request.request_id] = request

    def cancel(self, request_id: int) -> None:
        """Forget a request and free its slot at once. One that is unknown, or finished already, is no error."""
        self._waiting.pop(request_id, None)
        answer = self._running.pop(request_id, None)
        if answer is not None:
            answer.close()

    def step(self) -> Iterator[Event]:
        """Fill the free places, let the model work once, and see how far every running request has come.

        Yields what happens as it happens: pass each event on before asking for the next.
        """
        while self._waiting and len(self._running) < self._max_running:
            request_id = next(iter(self._waiting))
            self._running[request_id] = self._answer(self._waiting.pop(request_id))
            yield Started(request_id)
            yield from self._advance(request_id)
        if self._running:
            self._work()
        for request_id in list(self._running):
            yield from self._advance(request_id)

    def _advance(self, request_id: int) -> Iterator[Event]:
        try:
            text = next(self._running[request_id])
        except StopIteration as end:
            event: Event = Done(request_id, end.value)
        except ModelError as error:
            event = Failed(request_id, error)
        except Exception:  # one request's trouble must not reach its neighbours
            _log.exception("A request failed.")
            event = Failed(request_id, EngineFailed("The reply could not be made; the engine's log says why."))
        else:
            if text:
                yield Piece(request_id, text)
            return
        del self._running[request_id]
        yield event
