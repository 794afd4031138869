"""Which requests run, and in what order: admit, step, finish, cancel. Pure; no torch, no clock, no process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator

from model.dialogue import Reply
from model.errors import EngineFailed, ModelError
from model.protocol import Done, Event, Failed, Piece, Started, Submit

Answer = Generator[str, None, Reply]
"""A request under way: each `next` makes one token and yields the text it adds ("" for none); it returns the reply."""

_log = logging.getLogger(__name__)


class Scheduler:
    """Round robin over the running requests, first come first served among the waiting."""

    def __init__(self, answer: Callable[[Submit], Answer], max_running: int) -> None:
        self._answer = answer
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
        """Fill the free slots, then advance every running request by one token.

        Yields what happens as it happens: pass each event on before asking for the next.
        """
        while self._waiting and len(self._running) < self._max_running:
            request_id = next(iter(self._waiting))
            self._running[request_id] = self._answer(self._waiting.pop(request_id))
            yield Started(request_id)
        for request_id in list(self._running):
            event = self._advance(request_id)
            if event is not None:
                yield event

    def _advance(self, request_id: int) -> Event | None:
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
            return Piece(request_id, text) if text else None
        del self._running[request_id]
        return event
