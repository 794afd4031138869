"""Faults between the bot and the local REST API, so many times each, at the named routes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from tests.stand_ins import drop_connection
from tests.stand_ins.discord_data import Json, Refusal, answer


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request: it waits, is refused with `status` and `body`, or its connection breaks.

    `break_before` and `break_after`: before, or after it was carried out.
    """

    delay: float = 0.0
    status: int | None = None
    body: Json | None = None
    break_before: bool = False
    break_after: bool = False


def slow(seconds: float) -> Fault:
    """Carried out, but late."""
    return Fault(delay=seconds)


def broken_before() -> Fault:
    """The connection breaks, and nothing has happened."""
    return Fault(break_before=True)


def broken_after() -> Fault:
    """The connection breaks when everything has happened."""
    return Fault(break_after=True)


def rate_limited(seconds: float) -> Fault:
    """429."""
    return Fault(status=429, body={"message": "slow down", "retry_after": seconds, "global": False})


def refused(status: int, code: int = 0) -> Fault:
    """An error, such as 502."""
    return Fault(status=status, body={"message": "refused", "code": code})


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came: the route's name, its path, and when."""

    route: str
    path: str
    at: float
    fault: Fault | None


class Faults:
    """Plans faults, and remembers every request in `requests`."""

    def __init__(self, note: Callable[[], Awaitable[None]]) -> None:
        self.requests: list[Request] = []
        self._note = note
        self._planned: dict[str, deque[Fault]] = {}

    def plan(self, route: str, *faults: Fault, times: int = 1) -> None:
        """The next requests of `route` meet `faults` in turn, the whole series `times` times."""
        self._planned.setdefault(route, deque()).extend(faults * times)

    def left(self, route: str) -> int:
        """How many planned faults have not happened."""
        return len(self._planned.get(route, ()))

    def of(self, route: str) -> list[Request]:
        """The requests of one route."""
        return [request for request in self.requests if request.route == route]

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Between every request and its handler."""
        route = request.match_info.route.name or ""
        planned = self._planned.get(route)
        fault = planned.popleft() if planned else None
        self.requests.append(Request(route, request.path, asyncio.get_running_loop().time(), fault))
        await self._note()
        if fault is None:
            return await _handled(request, handler)
        await asyncio.sleep(fault.delay)
        if fault.break_before:
            drop_connection(request)
            return answer({})
        if fault.status is not None:
            # Without a Via header the library takes a 429 for a ban and does not try again.
            return answer(fault.body, fault.status, {"Via": "1.1 google"})
        response = await _handled(request, handler)
        if fault.break_after:
            drop_connection(request)
        return response


async def _handled(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return answer({"message": refusal.message, "code": refusal.code}, refusal.status)
