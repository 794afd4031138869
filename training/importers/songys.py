"""ChatbotData.csv of songys/Chatbot_data: a question and an answer a line, header `Q,A,label`."""

from __future__ import annotations

from pathlib import Path

from model.dialogue import Role
from training.errors import BadData
from training.examples import Dialogue
from training.importers.reading import csv_records, read_text
from training.importers.records import BadRecord, Imported, attempt, collect, make_dialogue

_EXPECTED = "a CSV file with the header Q,A,label"
# Everyday talk, breakup, love. Not kept; a line with another label has its commas in the wrong place.
_LABELS = {"0", "1", "2"}


def import_songys(path: Path) -> Imported:
    """One dialogue of two turns for each line. Raises BadData when the header is another or no line is usable."""
    records = csv_records(read_text(path, _EXPECTED))
    _, header = next(records)
    if header is None or [name.strip() for name in header] != ["Q", "A", "label"]:
        raise BadData(f"{path}: the header is not Q,A,label; expected {_EXPECTED}.")
    return collect(path, (attempt(f"line {number}", _dialogue, fields) for number, fields in records), _EXPECTED)


def _dialogue(fields: list[str] | None) -> Dialogue:
    if fields is None or len(fields) != 3:
        raise BadRecord("the line does not hold the three fields Q,A,label")
    question, answer, label = fields
    if label.strip() not in _LABELS:
        raise BadRecord("the label is not 0, 1 or 2")
    return make_dialogue([(Role.USER, question), (Role.BOT, answer)], source="songys")
