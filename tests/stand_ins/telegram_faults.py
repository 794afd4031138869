"""What can go wrong with calls of the Telegram stand-in."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Fault:
    """Befalls the next `count` calls of `method` ("*": of any).

    `status`: the answer instead of carrying the call out (`parameters`: e.g. retry_after). `seconds`: the answer is
    late by so much. `reset`: the connection breaks, before the call is carried out or, with `processed`, after.
    """

    method: str
    count: int = 1
    status: int | None = None
    parameters: dict[str, int] = field(default_factory=dict)
    description: str = ""
    seconds: float = 0.0
    reset: bool = False
    processed: bool = False
    chat_id: int | None = None


class Faults:
    """Faults that wait for their calls, first come first served."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def flood(self, method: str, seconds: int, count: int = 1, chat_id: int | None = None) -> None:
        """429: wait so many seconds; with `chat_id` only for calls about that chat."""
        description = f"Too Many Requests: retry after {seconds}"
        self._waiting.append(Fault(method, count, 429, {"retry_after": seconds}, description, chat_id=chat_id))

    def refuse(self, method: str, status: int, description: str = "refused", count: int = 1) -> None:
        """Answer with an error: 400, 401, 403, 404, 409, 500, 502 ..."""
        self._waiting.append(Fault(method, count, status, description=description))

    def reset(self, method: str, count: int = 1, *, processed: bool = False) -> None:
        """Break the connection, before the call is carried out or after it was."""
        self._waiting.append(Fault(method, count, reset=True, processed=processed))

    def delay(self, method: str, seconds: float, count: int = 1, chat_id: int | None = None) -> None:
        """Answer late; with `chat_id` only calls about that chat."""
        self._waiting.append(Fault(method, count, seconds=seconds, chat_id=chat_id))

    def next(self, method: str, chat_id: int | None) -> Fault | None:
        """The fault that befalls this call, which counts it."""
        for fault in self._waiting:
            if fault.method in (method, "*") and fault.chat_id in (None, chat_id):
                fault.count -= 1
                if not fault.count:
                    self._waiting.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        """From now on everything works."""
        self._waiting.clear()

    def __bool__(self) -> bool:
        return bool(self._waiting)
