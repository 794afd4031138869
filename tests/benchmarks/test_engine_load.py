from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from benchmarks.engine_load import Answered, Level, climb, offer, saturation, summary
from benchmarks.engine_plot import plot_latency
from model.errors import EngineBusy, EngineFailed


def answered(seconds: float) -> Answered:
    return Answered("answered", seconds, 10)


def level(rate: float, p95: float, refused: int = 0) -> Level:
    return Level(rate, 10, 10 - refused, refused, 0, p95 / 2, p95, p95, 5.0)


def test_a_summary_counts_outcomes_and_ranks_only_answers() -> None:
    answers = [
        *(answered(number / 100) for number in range(1, 101)),
        Answered("refused", 9, 0),
        Answered("failed", 9, 0),
    ]
    found = summary(2.0, answers, seconds=10.0)
    assert (found.asked, found.answered, found.refused, found.failed) == (102, 100, 1, 1)
    assert (found.p50, found.p95, found.longest) == (0.5, 0.95, 1.0)
    assert found.tokens_per_s == 100.0


def test_a_summary_of_nothing_answered_has_no_times() -> None:
    found = summary(2.0, [Answered("failed", 1, 0)], seconds=1.0)
    assert (found.p50, found.p95, found.longest) == (None, None, None)
    assert not found.bearable


def test_what_is_late_or_refused_is_too_much() -> None:
    assert level(1, p95=2.0).bearable
    assert not level(1, p95=2.01).bearable
    assert not level(1, p95=0.1, refused=1).bearable


def test_the_saturation_is_the_highest_bearable_rate() -> None:
    assert saturation([level(1, 0.1), level(2, 0.2), level(3, 2.5)]) == 2
    assert saturation([level(1, 2.5)]) is None


async def test_arrivals_come_at_the_rate_asked_for_and_all_are_told_of() -> None:
    async def ask(number: int) -> int:
        await asyncio.sleep(0)
        if number == 0:
            raise EngineBusy("full")
        if number == 1:
            raise EngineFailed("broken")
        return 3

    answers = await offer(ask, rate=400, seconds=0.5, random=Random(0))
    assert 130 <= len(answers) <= 270  # five standard deviations around 200
    assert [answer.outcome for answer in answers[:3]] == ["refused", "failed", "answered"]


async def test_time_counts_from_when_a_request_was_due_although_the_loop_was_held_up() -> None:
    async def ask(number: int) -> int:
        asyncio.get_running_loop().call_soon(lambda: None)
        return 1

    loop = asyncio.get_running_loop()
    held_up = loop.call_later(0.02, lambda: _spin(loop, 0.2))
    answers = await offer(ask, rate=100, seconds=0.3, random=Random(0))
    held_up.cancel()
    assert max(answer.seconds for answer in answers) > 0.1


def _spin(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    until = loop.time() + seconds
    while loop.time() < until:
        pass


async def test_the_climb_ends_with_the_first_level_that_is_too_much() -> None:
    asked = 0

    async def ask(number: int) -> int:
        nonlocal asked
        asked += 1
        if asked > 60:
            raise EngineBusy("full")
        return 1

    said: list[str] = []
    levels = await climb(ask, first_rate=200, seconds=0.1, say=said.append)
    assert [found.bearable for found in levels] == [True] * (len(levels) - 1) + [False]
    assert len(levels) >= 2
    assert [found.rate_per_s for found in levels[:2]] == pytest.approx([200, 280])
    assert len(said) == len(levels)


def test_the_picture_is_a_png_also_where_a_level_has_no_times(tmp_path: Path) -> None:
    path = tmp_path / "load.png"
    plot_latency([level(1, 0.1), summary(2.0, [Answered("failed", 1, 0)], 1.0)], "title", path)
    assert path.read_bytes().startswith(b"\x89PNG")
