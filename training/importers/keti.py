"""KETI's dialogues of daily life and office (KETI_대화데이터_일상_오피스), as published in three layouts.

Text: `number<TAB>utterance` a line, a dialogue beginning at 1, the user at odd numbers. CSV and JSON: rows of index,
domain, user_utterance and system_utterance ("null" for none), the rows of one index in a row being one dialogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from model.dialogue import Role
from training.errors import BadData
from training.examples import Dialogue
from training.importers.reading import csv_records, numbered_lines, parse_document, read_text
from training.importers.records import BadRecord, Imported, Problem, as_object, as_text, attempt, collect, make_dialogue

_COLUMNS = ("index", "user_utterance", "system_utterance")
_EXPECTED = (
    "KETI dialogues: text of number<TAB>utterance, or CSV or a JSON list with the columns "
    "index, domain, user_utterance and system_utterance"
)
_TURN = re.compile(r"\s*([0-9]{1,9})\t(.*)")


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the CSV or JSON. `key` tells dialogues apart."""

    place: str
    key: tuple[str, str]
    user: str
    system: str


def import_keti(path: Path) -> Imported:
    """Dialogues of a text, CSV or JSON file, told apart by content. Raises BadData when it holds none."""
    text = read_text(path, _EXPECTED)
    if text.lstrip().startswith("["):
        items = _from_rows(_json_rows(parse_document(text, path, _EXPECTED)))
    elif "user_utterance" in next(numbered_lines(text))[1]:
        items = _from_rows(_csv_rows(text, path))
    else:
        items = _from_lines(numbered_lines(text))
    return collect(path, items, _EXPECTED)


def _from_lines(lines: Iterable[tuple[int, str]]) -> Iterator[Dialogue | Problem]:
    """Dialogues of the text layout. Where a number is missing the rest of a dialogue would answer the wrong turn."""
    said: list[tuple[Role, str]] = []
    start, broken = "", False
    for number, line in lines:
        place = f"line {number}"
        match = _TURN.fullmatch(line)
        if match is None:
            yield Problem(place, "the line is not number<TAB>utterance")
            continue
        turn = int(match[1])
        if turn == 1:
            if said:
                yield attempt(start, _dialogue, said)
            said, start, broken = [], place, False
        if turn == len(said) + 1 and not broken:
            said.append((Role.USER if turn % 2 else Role.BOT, match[2]))
        elif not broken:
            yield Problem(place, f"turn {turn} follows turn {len(said)}; the rest of the dialogue is left out")
            broken = True
    if said:
        yield attempt(start, _dialogue, said)


def _from_rows(rows: Iterable[_Row | Problem]) -> Iterator[Dialogue | Problem]:
    """Dialogues of the row layouts. A broken row ends one; what follows it is a dialogue of its own."""
    for _, group in groupby(rows, key=lambda row: row.key if isinstance(row, _Row) else None):
        members = list(group)
        usable = [row for row in members if isinstance(row, _Row)]
        if usable:
            said = [pair for row in usable for pair in ((Role.USER, row.user), (Role.BOT, row.system))]
            yield attempt(usable[0].place, _dialogue, said)
        yield from (row for row in members if isinstance(row, Problem))


def _dialogue(said: list[tuple[Role, str]]) -> Dialogue:
    return make_dialogue(said, source="keti")


def _csv_rows(text: str, path: Path) -> Iterator[_Row | Problem]:
    records = csv_records(text)
    _, header = next(records)
    names = [name.strip() for name in header or []]
    if not set(_COLUMNS) <= set(names):
        raise BadData(f"{path}: the header lacks one of {', '.join(_COLUMNS)}; expected {_EXPECTED}.")
    for number, fields in records:
        if fields is None or len(fields) != len(names):
            yield Problem(f"line {number}", f"the line does not hold the {len(names)} fields of the header")
        else:
            yield _row(f"line {number}", dict(zip(names, fields, strict=True)))


def _json_rows(document: Any) -> Iterator[_Row | Problem]:
    for number, record in enumerate(document, start=1):
        yield _row(f"row {number}", record)


def _row(place: str, value: Any) -> _Row | Problem:
    try:
        record = as_object(value, "the row")
        if not isinstance(record.get("index"), int | str):
            raise BadRecord('"index" is missing or neither a number nor a string')
        user, system = (_utterance(record, name) for name in _COLUMNS[1:])
    except BadRecord as error:
        return Problem(place, str(error))
    return _Row(place, (str(record.get("domain")), str(record["index"])), user, system)


def _utterance(record: dict[str, Any], name: str) -> str:
    """An utterance, empty where the data says none: null, or the word."""
    text = as_text(record.get(name) or "", f'"{name}"')
    return "" if text.strip().lower() == "null" else text
