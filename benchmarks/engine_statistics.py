"""Figures of several rounds, and ratios between systems. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

Rounds = Sequence[float]
"""What one system showed in each round."""


class Metric(NamedTuple):
    """What is measured. `higher_is_better` decides which way a ratio is taken."""

    unit: str
    higher_is_better: bool
    meaning: str


# The metrics that have ratios, in the order they are told.
METRICS: dict[str, Metric] = {
    "one_chat_ms_per_token": Metric("ms", False, "one chat: each token after the first"),
    "first_token": Metric("ms", False, "one chat, nothing of it computed before: from the request to its first token"),
    "tokens_per_s_8": Metric("tokens/s", True, "8 chats that arrive at once: new tokens over the time until the last"),
    "tokens_per_s_32": Metric("tokens/s", True, "32 chats that arrive at once, likewise"),
    "second_turn_first_token": Metric("ms", False, "one chat's second turn, grown by the answer and some more"),
    "warm_32_chats": Metric(
        "tokens/s", True, "32 chats with one persona known before: all first, then all second turns"
    ),
    "four_candidates": Metric("ms", False, "one reply chosen from 4 candidates, from the request to its end"),
}
# Measured beside `four_candidates`, with nothing streamed either.
SINGLE_REPLY = "single_reply"


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of one system over the rounds."""

    median: float
    min: float
    max: float
    rounds: tuple[float, ...]


def figure(values: Rounds) -> Figure:
    """Median, least and greatest of at least one round."""
    return Figure(median(values), min(values), max(values), tuple(values))


def ratio(metric: str, ours: Rounds, theirs: Rounds) -> float:
    """How many times better our median is than theirs; above 1 ours wins, whichever way the metric counts."""
    return _better(metric, median(ours), median(theirs))


def ratio_range(metric: str, ours: Rounds, theirs: Rounds) -> tuple[float, float]:
    """The least and greatest ratio of a single round: what noise the machine had between neighbours."""
    paired = [_better(metric, mine, other) for mine, other in zip(ours, theirs, strict=True)]
    return min(paired), max(paired)


def _better(metric: str, ours: float, theirs: float) -> float:
    return ours / theirs if METRICS[metric].higher_is_better else theirs / ours


def ratios(ours: Mapping[str, Rounds], theirs: Mapping[str, Rounds]) -> dict[str, float | None]:
    """The ratio of each metric, None where one of the two has no figure."""
    return {
        metric: ratio(metric, ours[metric], theirs[metric]) if metric in ours and metric in theirs else None
        for metric in METRICS
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]
