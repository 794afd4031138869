"""Flood control: how much one person may ask of the bot, so that nobody else waits for it. Pure; the clock is given."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

SLOW_DOWN = (
    "말을 정말 많이 걸어 주셨네요! 제가 다 따라가지 못하고 있어요. "
    "잠깐 숨 돌리고 다시 말해 주시면 차근차근 답할게요. 방금 메시지부터는 제가 읽지 못했어요."
)

# A person's identity: platform and user id, never a name, which anyone can take.
User = tuple[str, str]


class Verdict(StrEnum):
    """What becomes of a message."""

    OK = "ok"
    SLOW_DOWN = "slow_down"
    """The first that is too much: not answered, but its author gets the line `SLOW_DOWN`, once."""
    DROP = "drop"
    """More of the same, before its author has paused: not answered, nothing said."""


@dataclass(slots=True)
class _Bucket:
    """A token bucket: `tokens` as of the time `at`; `paused` from the first excess until it is half full again."""

    tokens: float
    at: float
    paused: bool = False


class FloodLimit:
    """A token bucket a person, and one over all.

    A bucket holds `burst` messages and refills at `per_minute`. Whoever empties it is told once, and is heard again
    when it is half full, so that each silence was announced. A refused message costs nothing: pausing is enough.

    The bucket over all (`total_per_second`) cannot turn a loud person into a nuisance for a quiet one: while it is
    empty only those are refused who have used up half of their own burst, a person above that passes always. So under
    load bursts halve, and nothing else changes for anyone. A crowd of quiet people is the engine's queue's concern.

    Full buckets are forgotten, which changes nothing. At most `capacity` are kept; past that the one longest unused is
    forgotten, to its owner's advantage. `now` is a monotonic clock in seconds.
    """

    def __init__(
        self,
        burst: int,
        per_minute: float,
        now: Callable[[], float] = time.monotonic,
        total_per_second: float = 50.0,
        capacity: int = 100_000,
    ) -> None:
        if burst < 1 or per_minute <= 0 or total_per_second <= 0 or capacity < 1:
            raise ValueError("burst and capacity must be 1 or more, and both rates above 0")
        self._burst = float(burst)
        self._rate = per_minute / 60
        self._half = max(1.0, burst / 2)
        self._total_rate = total_per_second
        self._total_burst = max(1.0, total_per_second)
        self._total = _Bucket(self._total_burst, now())
        self._capacity = capacity
        self._now = now
        # The one used last is at the end.
        self._buckets: OrderedDict[User, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        """How many people are remembered."""
        return len(self._buckets)

    def check(self, user: User) -> Verdict:
        """Count one message of `user`, and say what becomes of it. Costs the same however many there are."""
        now = self._now()
        self._forget_full(now)
        bucket = self._buckets.setdefault(user, _Bucket(self._burst, now))
        self._buckets.move_to_end(user)
        if len(self._buckets) > self._capacity:
            self._buckets.popitem(last=False)
        _refill(bucket, self._rate, self._burst, now)
        _refill(self._total, self._total_rate, self._total_burst, now)
        if self._passes(bucket):
            bucket.paused = False
            bucket.tokens -= 1
            self._total.tokens = max(0.0, self._total.tokens - 1)
            return Verdict.OK
        if bucket.paused:
            return Verdict.DROP
        bucket.paused = True
        return Verdict.SLOW_DOWN

    def give_back(self, user: User) -> None:
        """What was counted last of `user` turned out not to be a message: platforms repeat themselves."""
        bucket = self._buckets.get(user)
        if bucket is not None:
            bucket.tokens = min(self._burst, bucket.tokens + 1)

    def _passes(self, bucket: _Bucket) -> bool:
        if bucket.tokens >= self._half:
            return True
        return bucket.tokens >= 1 and not bucket.paused and self._total.tokens >= 1

    def _forget_full(self, now: float) -> None:
        # Whatever was left in it, a bucket not used for so long is full.
        full_after = self._burst / self._rate
        while self._buckets:
            user, bucket = next(iter(self._buckets.items()))
            if now - bucket.at < full_after:
                return
            del self._buckets[user]


def _refill(bucket: _Bucket, rate: float, most: float, now: float) -> None:
    bucket.tokens = min(most, bucket.tokens + max(0.0, now - bucket.at) * rate)
    bucket.at = now
