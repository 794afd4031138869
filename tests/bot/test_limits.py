from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.limits import FloodLimit, Verdict

OK, SLOW_DOWN, DROP = Verdict.OK, Verdict.SLOW_DOWN, Verdict.DROP
MINJI, LOUD = ("telegram", "1"), ("telegram", "2")


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def limit(
    clock: Clock, burst: int = 4, per_minute: float = 60, total: float = 1000, capacity: int = 1000
) -> FloodLimit:
    return FloodLimit(burst, per_minute, clock, total, capacity)


def test_a_burst_passes_then_one_polite_line_then_silence_until_a_pause() -> None:
    clock = Clock()
    flood = limit(clock)
    assert [flood.check(MINJI) for _ in range(7)] == [OK] * 4 + [SLOW_DOWN, DROP, DROP]
    clock.seconds += 1.9
    assert flood.check(MINJI) is DROP
    clock.seconds += 0.1
    assert [flood.check(MINJI) for _ in range(4)] == [OK, OK, SLOW_DOWN, DROP]


def test_an_even_pace_within_the_rate_is_never_refused() -> None:
    clock = Clock()
    flood = limit(clock, burst=1)
    for _ in range(100):
        assert flood.check(MINJI) is OK
        clock.seconds += 1


def test_the_same_id_on_two_platforms_is_two_people() -> None:
    flood = limit(Clock(), burst=1)
    assert flood.check(("telegram", "7")) is OK
    assert flood.check(("discord", "7")) is OK
    assert flood.check(("discord", "7")) is SLOW_DOWN


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing() -> None:
    clock = Clock()
    flood = limit(clock, burst=2)
    assert flood.check(MINJI) is OK
    clock.seconds -= 500
    assert flood.check(MINJI) is OK
    assert flood.check(MINJI) is SLOW_DOWN


def test_full_buckets_are_forgotten() -> None:
    clock = Clock()
    flood = limit(clock)
    for number in range(500):
        flood.check(("telegram", str(number)))
    assert len(flood) == 500
    clock.seconds += 4
    flood.check(MINJI)
    assert len(flood) == 1


def test_memory_has_an_end_and_a_flood_of_strangers_does_not_free_the_one_who_goes_on() -> None:
    flood = limit(Clock(), capacity=10)
    for _ in range(4):
        flood.check(LOUD)
    for number in range(1000, 1100):
        flood.check(("telegram", str(number)))
        assert flood.check(LOUD) is not OK
        assert len(flood) <= 10


def test_under_load_bursts_halve_and_the_quiet_notice_nothing() -> None:
    clock = Clock()
    flood = limit(clock, total=5)
    crowd = [("telegram", str(number)) for number in range(100, 110)]
    spent = [flood.check(user) for user in crowd]
    assert spent == [OK] * 10
    # Nothing is left over all: half a burst is for everyone, beyond it nobody is heard.
    assert [flood.check(LOUD) for _ in range(5)] == [OK, OK, OK, SLOW_DOWN, DROP]
    assert [flood.check(MINJI) for _ in range(3)] == [OK, OK, OK]
    clock.seconds += 1
    assert flood.check(crowd[0]) is OK


def test_nonsense_is_refused() -> None:
    for burst, per_minute, total, capacity in ((0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)):
        with pytest.raises(ValueError, match="must be 1 or more"):
            FloodLimit(burst, per_minute, Clock(), total, capacity)


# The same examples in every run, and no clock: a busy machine is no failure.
repeatable = settings(deadline=None, derandomize=True, database=None)
# Who speaks next, and how long after the one before.
steps = st.lists(st.tuples(st.integers(0, 3), st.sampled_from((0.0, 0.01, 0.3, 1.0, 2.5, 9.0))), max_size=80)
bursts = st.integers(1, 6)
rates = st.sampled_from((6.0, 20.0, 60.0, 333.0))


@repeatable
@given(steps, bursts, rates, st.sampled_from((0.5, 2.0, 1000.0)))
def test_in_no_window_does_anyone_get_more_than_burst_and_rate(
    said: list[tuple[int, float]], burst: int, per_minute: float, total: float
) -> None:
    clock = Clock()
    flood = limit(clock, burst, per_minute, total)
    passed: dict[int, list[float]] = {}
    for who, pause in said:
        clock.seconds += pause
        if flood.check(("telegram", str(who))) is OK:
            passed.setdefault(who, []).append(clock.seconds)
    for times in passed.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                window = times[last] - times[first]
                assert last - first + 1 <= burst + window * per_minute / 60 + 1e-6


@repeatable
@given(steps, bursts, rates, st.sampled_from((0.5, 2.0, 1000.0)))
def test_whoever_keeps_half_of_the_burst_is_never_refused_whatever_others_do(
    said: list[tuple[int, float]], burst: int, per_minute: float, total: float
) -> None:
    """Person 0 speaks only when a bucket of their own, alone in the world, would be at least half full."""
    clock = Clock()
    crowded = limit(clock, burst, per_minute, total)
    tokens, at = float(burst), clock.seconds
    for who, pause in said:
        clock.seconds += pause
        if who != 0:
            for _ in range(5):
                crowded.check(("telegram", str(who)))
            continue
        tokens, at = min(burst, tokens + (clock.seconds - at) * per_minute / 60), clock.seconds
        if tokens >= max(1, burst / 2) + 1e-6:
            assert crowded.check(("telegram", "0")) is OK
            tokens -= 1


@repeatable
@given(steps, bursts, rates)
def test_forgetting_full_buckets_changes_no_verdict_and_each_silence_is_announced_once(
    said: list[tuple[int, float]], burst: int, per_minute: float
) -> None:
    clock = Clock()
    together, alone = limit(clock, burst, per_minute), {who: limit(clock, burst, per_minute) for who in range(4)}
    told: Counter[int] = Counter()
    for who, pause in said:
        clock.seconds += pause
        verdict = together.check(("telegram", str(who)))
        assert verdict is alone[who].check(("telegram", str(who)))
        if verdict is OK:
            told[who] = 0
        if verdict is SLOW_DOWN:
            assert told[who] == 0
            told[who] = 1
        if verdict is DROP:
            assert told[who] == 1
