"""Requests that arrive at random at rising rates, as people do: how late replies get, and what rate is too much."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from benchmarks.engine_statistics import percentile
from model.errors import EngineBusy, ModelError

Ask = Callable[[int], Awaitable[int]]
"""Makes the request of that number, and returns how many tokens came of it. Raises ModelError."""

# The time to a reply's last token that is taken for too late, at the 95th percentile.
LIMIT_SECONDS = 2.0
_FACTOR = 1.4
_MOST_LEVELS = 16


@dataclass(frozen=True, slots=True)
class Answered:
    """One request. `seconds` from its arrival to its last token, also where it came to nothing."""

    outcome: Literal["answered", "refused", "failed"]
    seconds: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Level:
    """What one rate of arrivals led to. Times are in seconds, of the requests answered; None where none was."""

    rate_per_s: float
    asked: int
    answered: int
    refused: int
    failed: int
    p50: float | None
    p95: float | None
    longest: float | None
    tokens_per_s: float

    @property
    def bearable(self) -> bool:
        """Everyone was answered, nearly all of them in time."""
        return self.answered == self.asked and (self.p95 or 0.0) <= LIMIT_SECONDS


async def offer(ask: Ask, rate: float, seconds: float, random: Random) -> list[Answered]:
    """Ask `rate` times a second for `seconds`, at random (Poisson) moments; wait until all are answered.

    A request's time counts from the moment it was due, so that a late loop hides nothing.
    """
    loop = asyncio.get_running_loop()
    began, due = loop.time(), 0.0
    tasks: list[asyncio.Task[Answered]] = []
    while (due := due + random.expovariate(rate)) < seconds:
        await asyncio.sleep(began + due - loop.time())
        tasks.append(asyncio.create_task(_ask(ask, len(tasks), began + due)))
    return list(await asyncio.gather(*tasks))


async def _ask(ask: Ask, number: int, due: float) -> Answered:
    loop = asyncio.get_running_loop()
    try:
        tokens = await ask(number)
    except EngineBusy:
        return Answered("refused", loop.time() - due, 0)
    except ModelError:
        return Answered("failed", loop.time() - due, 0)
    return Answered("answered", loop.time() - due, tokens)


def summary(rate: float, answers: Sequence[Answered], seconds: float) -> Level:
    """The level that `answers` make up; `seconds` from the first arrival to the last answer."""
    times = [answer.seconds for answer in answers if answer.outcome == "answered"]
    return Level(
        rate_per_s=rate,
        asked=len(answers),
        answered=len(times),
        refused=sum(answer.outcome == "refused" for answer in answers),
        failed=sum(answer.outcome == "failed" for answer in answers),
        p50=percentile(times, 0.5) if times else None,
        p95=percentile(times, 0.95) if times else None,
        longest=max(times, default=None),
        tokens_per_s=sum(answer.tokens for answer in answers) / seconds,
    )


async def climb(ask: Ask, first_rate: float, seconds: float, say: Callable[[str], None]) -> list[Level]:
    """Levels of `seconds` each, from `first_rate` on, until one is too much."""
    random = Random(0)
    levels: list[Level] = []
    rate = first_rate
    while len(levels) < _MOST_LEVELS:
        began = time.perf_counter()
        answers = await offer(ask, rate, seconds, random)
        level = summary(rate, answers, time.perf_counter() - began)
        levels.append(level)
        late = "-" if level.p95 is None else f"{level.p95:.2f} s"
        say(f"{rate:.2f} requests/s: {level.answered} of {level.asked} answered, p95 {late}")
        if not level.bearable:
            break
        rate *= _FACTOR
    return levels


def saturation(levels: Sequence[Level]) -> float | None:
    """The highest bearable rate in requests/s, None where the first was too much already."""
    return max((level.rate_per_s for level in levels if level.bearable), default=None)
