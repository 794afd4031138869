"""`python -m training.importers NAME FILE... --out OUT.jsonl`: files of another format to this project's JSONL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.corpora import Corpus, load_dialogues, write_dialogues
from training.errors import BadData
from training.importers import IMPORTERS, get_importer

SHOWN_PROBLEMS = 20

app = typer.Typer(add_completion=False)


@app.command()
def main(
    name: Annotated[str, typer.Argument(help=f"Format of the files: {', '.join(sorted(IMPORTERS))}.")],
    files: Annotated[list[Path], typer.Argument(help="Files to read.")],
    out: Annotated[Path, typer.Option("--out", help="The .jsonl file to write.")],
) -> None:
    """Turn dialogues of another format into this project's JSONL."""
    try:
        get_importer(name)
        corpus = load_dialogues([f"{name}:{file}" for file in files])
        write_dialogues(corpus.dialogues, out)
    except BadData as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    _report(corpus, out)


def _report(corpus: Corpus, out: Path) -> None:
    turns = sum(len(dialogue.turns) for dialogue in corpus.dialogues)
    typer.echo(f"{out}: {len(corpus.dialogues)} dialogues, {turns} turns; problems: {len(corpus.problems)}.")
    for problem in corpus.problems[:SHOWN_PROBLEMS]:
        typer.echo(f"{problem.place}: {problem.reason}", err=True)
    if len(corpus.problems) > SHOWN_PROBLEMS:
        typer.echo(f"and {len(corpus.problems) - SHOWN_PROBLEMS} more", err=True)


if __name__ == "__main__":
    app()
