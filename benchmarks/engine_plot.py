"""The picture of latency against load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.engine_load import LIMIT_SECONDS, Level


def plot_latency(levels: Sequence[Level], title: str, path: Path) -> None:
    """Write a PNG: seconds to the last token (median and 95th percentile) over requests per second."""
    shown = [(level.rate_per_s, level.p50, level.p95) for level in levels if level.p50 and level.p95]
    rates = [rate for rate, _, _ in shown]
    picture = Figure(figsize=(7, 4.5), dpi=120, layout="constrained")
    axes = picture.subplots()
    axes.plot(rates, [middle for _, middle, _ in shown], marker="o", label="median")
    axes.plot(rates, [late for _, _, late in shown], marker="o", label="95th percentile")
    axes.axhline(LIMIT_SECONDS, color="grey", linestyle="--", linewidth=1, label=f"limit ({LIMIT_SECONDS:.0f} s)")
    axes.set_xlabel("requests per second (Poisson arrivals)")
    axes.set_ylabel("seconds to the last token")
    axes.set_yscale("log")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend()
    picture.savefig(path)
