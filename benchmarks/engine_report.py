"""What a run found, as the JSON has it and as a person reads it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.engine_load import LIMIT_SECONDS, Level, saturation
from benchmarks.engine_statistics import METRICS, SINGLE_REPLY, figure, ratio, ratio_range, ratios
from benchmarks.floor import ModelSize, floor_of
from benchmarks.workload import Workload

Rounds = dict[str, list[float]]
"""The values of each metric, a value a round."""

OURS, END_TO_END = "ours", "end_to_end"


def add(rounds: Rounds, values: Mapping[str, float]) -> None:
    """Note one round's values."""
    for name, value in values.items():
        rounds.setdefault(name, []).append(value)


@dataclass(slots=True)
class Findings:
    """What was measured of a model of `size`. `reasons` says of each peer without figures why it has none."""

    size: ModelSize
    systems: dict[str, Rounds] = field(default_factory=dict)
    about: dict[str, dict[str, str]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    floor: Rounds = field(default_factory=dict)
    levels: list[Level] = field(default_factory=list)

    @property
    def peers(self) -> dict[str, Rounds]:
        """The systems that are not ours."""
        return {name: rounds for name, rounds in self.systems.items() if name not in (OURS, END_TO_END)}

    def drop(self, name: str, reason: str) -> None:
        """A peer has no figures after all."""
        self.systems.pop(name, None)
        self.about.pop(name, None)
        self.reasons[name] = reason


def report(findings: Findings, workload: Workload, precision: str) -> dict[str, Any]:
    """The JSON: figures, ratios (ours over theirs, larger is better), load and floor (at `precision`)."""
    return {
        "workload": asdict(workload),
        "metrics": {name: metric._asdict() for name, metric in METRICS.items()},
        "systems": {
            name: {
                "about": findings.about.get(name, {}),
                "figures": {metric: asdict(figure(values)) for metric, values in rounds.items()},
            }
            for name, rounds in findings.systems.items()
        },
        "ratios": _ratios(findings, OURS),
        "ratio_ranges": _ratio_ranges(findings),
        "reasons": findings.reasons,
        "end_to_end_ratios": _ratios(findings, END_TO_END),
        "four_candidates_over_single": _costs_of_several(findings),
        "load": {
            "limit_p95_s": LIMIT_SECONDS,
            "levels": [asdict(level) for level in findings.levels],
            "saturation_per_s": saturation(findings.levels),
        },
        "floor": _floor(findings, workload, precision),
    }


def _ratios(findings: Findings, ours: str) -> dict[str, dict[str, float | None]]:
    """Against every peer asked for; one that failed has nothing but None."""
    names = [*findings.peers, *findings.reasons]
    return {name: ratios(findings.systems[ours], findings.systems.get(name, {})) for name in names}


def _ratio_ranges(findings: Findings) -> dict[str, dict[str, tuple[float, float]]]:
    ours = findings.systems[OURS]
    return {
        name: {metric: ratio_range(metric, ours[metric], rounds[metric]) for metric in METRICS}
        for name, rounds in findings.peers.items()
    }


def _costs_of_several(findings: Findings) -> dict[str, float]:
    """Of each system: one reply chosen from several over a single one, medians; smaller is better."""
    return {
        name: median(rounds["four_candidates"]) / median(rounds[SINGLE_REPLY])
        for name, rounds in findings.systems.items()
    }


def _floor(findings: Findings, workload: Workload, precision: str) -> dict[str, Any]:
    best = {name: max(values) for name, values in findings.floor.items()}
    least = floor_of(findings.size, precision, best).metrics(workload)
    ours = findings.systems[OURS]
    return {
        "measured": {name: asdict(figure(values)) for name, values in findings.floor.items()},
        "precision": precision,
        "size": asdict(findings.size),
        "least": least,
        # 1 would be the floor itself.
        "share": {name: ratio(name, ours[name], [value]) for name, value in least.items()},
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The report for a person: a line a metric with every system, then the ratios."""
    systems: Mapping[str, Any] = found["systems"]
    yield _row("median (min-max)", list(systems))
    for metric, about in METRICS.items():
        yield _row(f"{metric} [{about.unit}]", [_cell(system["figures"].get(metric)) for system in systems.values()])
    for kind in ("ratios", "end_to_end_ratios"):
        names: Mapping[str, Any] = found[kind]
        yield _row(f"{kind.replace('_', ' ')}, x better", list(names))
        for metric in METRICS:
            values = [names[name][metric] for name in names]
            yield _row(metric, ["-" if value is None else f"{value:.2f}" for value in values])
    for name, reason in found["reasons"].items():
        yield f"No figures of {name}: {reason}"
    for name, cost in found["four_candidates_over_single"].items():
        yield f"4 ranked candidates cost {cost:.2f} times a single reply ({name})."
    for metric, share in found["floor"]["share"].items():
        yield f"Share of the physical floor, {metric}: {share:.2f}"
    yield f"Bearable: {found['load']['saturation_per_s']} requests/s."


def _row(head: str, cells: Sequence[str]) -> str:
    return head.ljust(36) + "".join(cell.rjust(26) for cell in cells)


def _cell(value: Mapping[str, float] | None) -> str:
    return "-" if value is None else f"{value['median']:.2f} ({value['min']:.2f}-{value['max']:.2f})"
