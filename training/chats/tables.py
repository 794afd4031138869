"""CSV exports: a header, and rows whose fields may run over lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from training.errors import BadData


def rows(text: str, header: list[str], path: Path) -> Iterator[list[str]]:
    """The rows below the header. Raises BadData when the file is cut, or a row has not the fields of the header.

    One wrong quote would make other rows of everything after it, so that a broken row ends the reading.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    next(reader)
    total = text.rstrip("\n").count("\n") + 1
    try:
        for row in reader:
            if row and len(row) != len(header):
                _refuse(path, reader.line_num, reader.line_num >= total, f"it has {len(row)} fields of {len(header)}")
            if row:
                yield row
    except csv.Error as error:
        _refuse(path, reader.line_num, "unexpected end of data" in str(error), str(error))


def _refuse(path: Path, line: int, cut: bool, why: str) -> None:
    if cut:
        raise BadData(f"{path}: the file ends in the middle of a row: it is cut; export the chat again.")
    raise BadData(f"{path}: line {line}: the row cannot be read ({why}); export the chat again, or mend the line.")
