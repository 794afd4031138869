"""`python -m training.rollback`: let the model serve again that served before, in one step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from model.errors import BadCheckpoint
from model.manifest import CURRENT, check_folder, current, point_current
from training import options
from training.errors import BadOption
from training.versions import (
    MODELS,
    ROLLED_BACK,
    SHIPPED,
    Decision,
    alone,
    decide,
    decision,
    read_decisions,
    serving_history,
    taint_of,
    version_of,
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def roll_back(models: Path, why: str = "") -> Decision:
    """Point back to the newest version that served before, is untainted and can be used, else to the shipped model.

    Raises BadOption when the shipped model serves already, as there is nothing before it.
    """
    with alone(models, "promotion"):
        pointed = current(models)
        if pointed is None:
            raise BadOption("The shipped model serves already; there is nothing to go back to.")
        history = serving_history(read_decisions(models), pointed.name)
        shipped = version_of(SHIPPED)
        before = (name for name in reversed(history[:-1]) if name == shipped or _may_serve(models / name))
        taken = decision(next(before, shipped), pointed.name, ROLLED_BACK, why)
        decide(models, taken)
        if _may_serve(models / taken.candidate):
            point_current(models, taken.candidate)
        else:
            (models / CURRENT).unlink()
        return taken


def _may_serve(folder: Path) -> bool:
    try:
        check_folder(folder)
        return taint_of(folder) is None
    except BadCheckpoint:
        return False


@app.command()
def main(
    models: options.Models = MODELS,
    why: Annotated[str, typer.Option(help="Why; it is recorded.")] = "",
) -> None:
    """Go back to the model that served before."""
    with options.plain_errors():
        taken = roll_back(models, why)
    print(f"{taken.candidate} serves again, and {taken.previous} no more.")


if __name__ == "__main__":
    app()
