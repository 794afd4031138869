"""`python -m benchmarks.engine`: the engine against others and against the machine, in rounds that take turns."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
from transformers.utils.logging import disable_progress_bar

from benchmarks.engine_plot import plot_latency
from benchmarks.engine_process import cores
from benchmarks.engine_report import lines, report
from benchmarks.engine_rounds import Plan, measure
from benchmarks.errors import BadChoice, BenchmarkError
from benchmarks.systems import BACKENDS, PEERS
from benchmarks.workload import Workload, save_model
from model.errors import ModelError
from model.files import write_json
from model.protocol import PRECISIONS

_PACKAGES = ("torch", "transformers", "openvino", "openvino-genai", "ctranslate2")
SHAPES = {"default": Workload(chats=5), "kogpt2": Workload(chats=3)}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def plan_of(shape: str, backend: str, against: str, rounds: int, precision: str = "auto", threads: int = 0) -> Plan:
    """The plan that the options describe; `threads` 0 for one a core. Raises BadChoice."""
    names = [name.strip() for name in against.split(",") if name.strip()]
    check_choice("shape", shape, SHAPES)
    check_choice("backend", backend, BACKENDS)
    check_choice("precision", precision, PRECISIONS)
    for name in names:
        check_choice("peer", name, PEERS)
    sources = {name: PEERS[name] for name in names}
    return Plan(partial(save_model, shape), SHAPES[shape], sources, backend, precision, rounds, threads or cores())


def check_choice(kind: str, name: str, known: Any) -> None:
    """Raise BadChoice when `name` is none of the names in `known`."""
    if name not in known:
        raise BadChoice(f"There is no {kind} '{name}'; choose from {', '.join(known)}.")


def about_machine() -> dict[str, Any]:
    """What the figures were taken on, and with which versions."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def write(plan: Plan, json_file: Path, png: Path | None, title: str) -> dict[str, Any]:
    """Run the plan, and write what it found. Raises SystemFailed when our own side breaks."""
    with tempfile.TemporaryDirectory(prefix="malbeot-benchmark-") as scratch:
        findings = measure(plan, Path(scratch), say)
    floor = "int8" if plan.precision == "auto" else plan.precision
    found = {
        "title": title,
        "options": {name: getattr(plan, name) for name in ("backend", "precision", "rounds", "threads")},
        "machine": about_machine(),
        **report(findings, plan.workload, floor),
    }
    write_json(json_file, found)
    if png is not None:
        plot_latency(findings.levels, title, png)
    return found


def say(sentence: str) -> None:
    """Tell how it goes, apart from the result."""
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn an expected error into its sentence on stderr and exit code 2."""
    try:
        yield
    except (BenchmarkError, ModelError) as error:
        say(str(error))
        raise typer.Exit(2) from error


@app.command()
def main(
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")],
    shape: Annotated[str, typer.Option(help="default (the shipped model) or kogpt2 (its shape, random weights).")],
    backend: Annotated[str, typer.Option(help="auto, torch or openvino.")] = "auto",
    against: Annotated[str, typer.Option(help="Peers, separated by commas.")] = "hf,ctranslate2,openvino-plain",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, of which the median counts.")] = 3,
    precision: Annotated[str, typer.Option(help="auto, int8, bf16 or fp32; for our side.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="Threads of every system alike; 0 for one a core.")] = 0,
    png: Annotated[Path | None, typer.Option(help="Where the picture of latency against load goes.")] = None,
) -> None:
    """Measure the engine against peers and against the machine's floor."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    with plain_errors():
        plan = plan_of(shape, backend, against, rounds, precision, threads)
        for line in lines(write(plan, json_file, png, f"{shape} shape, backend {backend}")):
            print(line)


if __name__ == "__main__":
    app()
