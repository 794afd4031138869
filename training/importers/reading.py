"""Text files of any origin: their encodings, line ends, CSV and JSON.

Files are read whole: the dialogues made of them are held in memory anyway, and the encoding shows only at the end.
"""

from __future__ import annotations

import codecs
import csv
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.errors import BadData
from training.importers.records import BadRecord, as_object

# A quoted CSV field may run over lines, but one stray quote must not swallow the rest of the file.
_MAX_LINES_A_RECORD = 20


def read_text(path: Path, expected: str) -> str:
    """Content of a text file, unpacked if its name ends in .xz, every line end a newline.

    UTF-8 with or without BOM, UTF-16 with BOM, else cp949. Bytes that are no text become U+FFFD, which
    `make_dialogue` refuses, so that one broken byte costs one record. Raises BadData naming the file and what was
    `expected` when it is missing, empty or binary.
    """
    text = _decode(_read_bytes(path, expected))
    if "\0" in text:
        raise BadData(f"{path}: this is not a text file; expected {expected}.")
    if not text.strip():
        raise BadData(f"{path}: the file is empty; expected {expected}.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_bytes(path: Path, expected: str) -> bytes:
    try:
        data = path.read_bytes()
        return lzma.decompress(data) if path.suffix == ".xz" else data
    except FileNotFoundError as error:
        raise BadData(f"{path}: there is no such file; expected {expected}.") from error
    except IsADirectoryError as error:
        raise BadData(f"{path}: this is a folder, not a file; expected {expected}.") from error
    except (OSError, lzma.LZMAError) as error:
        raise BadData(f"{path}: the file cannot be read ({error}); expected {expected}.") from error


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # cp949, unless it fits worse: a UTF-8 file with a broken byte must not become nonsense throughout.
        readings = [data.decode(encoding, errors="replace") for encoding in ("utf-8-sig", "cp949")]
        return min(readings, key=lambda text: text.count("\ufffd"))


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, counted from 1."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def parse_document(text: str, path: Path, expected: str) -> Any:
    """The value of a file that is one JSON document. Raises BadData when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadData(f"{path}: this is not JSON ({error}); expected {expected}.") from error


def parse_line(line: str) -> dict[str, Any]:
    """The object on a line of JSONL. Raises BadRecord when it holds none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"the line is not JSON ({error})") from error
    return as_object(value, "the line")


def csv_records(text: str) -> Iterator[tuple[int, list[str] | None]]:
    """The records that are not blank, with the number of their first line; None where quotes do not match."""
    lines = text.split("\n")
    start = 0
    while start < len(lines):
        fields, end = _csv_record(lines, start)
        if fields != []:
            yield start + 1, fields
        start = end


def _csv_record(lines: list[str], start: int) -> tuple[list[str] | None, int]:
    """The fields of the record that begins at `start`, and the line after it."""
    for end in range(start + 1, min(start + _MAX_LINES_A_RECORD, len(lines)) + 1):
        try:
            return next(csv.reader([f"{line}\n" for line in lines[start:end]], strict=True)), end
        except csv.Error:
            continue
    return None, start + 1
