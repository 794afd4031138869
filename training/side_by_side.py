"""Figures of several systems as one table: measures as rows, systems as columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

# Characters: no terminal is as wide; the meanings take the lines they need at this width.
_BOUNDLESS, _MEANING = 10_000, 36


def print_side_by_side(title: str, figures: Mapping[str, Mapping[str, Any]], measures: Mapping[str, str]) -> None:
    """Print `figures` (by system, then by measure), with what each of `measures` is of.

    Wider than the terminal where a name or a number would be cut in two.
    """
    table = _table(title, figures, measures)
    console = Console()
    needed = Measurement.get(console, console.options.update(width=_BOUNDLESS), table).minimum
    Console(width=max(console.width, needed)).print(table)


def _table(title: str, figures: Mapping[str, Mapping[str, Any]], measures: Mapping[str, str]) -> Table:
    # As Text: square brackets in a name are no markup.
    table = Table(title=Text(title))
    table.add_column("measure", no_wrap=True)
    for name in figures:
        table.add_column(Text(name), justify="right", no_wrap=True, min_width=cell_len(name))
    table.add_column("of what", min_width=_MEANING)
    for measure, meaning in measures.items():
        table.add_row(measure, *(_shown(values[measure]) for values in figures.values()), meaning)
    return table


def _shown(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
