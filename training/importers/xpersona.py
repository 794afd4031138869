"""XPersona (Lin et al. 2020): `[{"persona": [...], "dialogue": [[partner, me], ...]}]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model.dialogue import Role
from training.errors import BadData
from training.examples import Dialogue
from training.importers.reading import parse_document, read_text
from training.importers.records import (
    BadRecord,
    Imported,
    as_list,
    as_object,
    as_texts,
    attempt,
    collect,
    make_dialogue,
)

_EXPECTED = 'XPersona JSON: a list of objects with "persona" and "dialogue"'


def import_xpersona(path: Path) -> Imported:
    """The dialogues, the partner being the user. Raises BadData when the file holds none."""
    document = parse_document(read_text(path, _EXPECTED), path, _EXPECTED)
    if not isinstance(document, list):
        raise BadData(f"{path}: the document is not a list; expected {_EXPECTED}.")
    items = (attempt(f"dialogue {number}", _dialogue, record) for number, record in enumerate(document, start=1))
    return collect(path, items, _EXPECTED)


def _dialogue(value: Any) -> Dialogue:
    record = as_object(value, "the dialogue")
    said: list[tuple[Role, str]] = []
    for pair in as_list(record.get("dialogue"), '"dialogue"'):
        texts = as_texts(pair, 'a pair of "dialogue"')
        if len(texts) > 2:
            raise BadRecord('a pair of "dialogue" has more than two turns')
        said += zip((Role.USER, Role.BOT), texts, strict=False)
    return make_dialogue(said, source="xpersona", persona=as_texts(record.get("persona"), '"persona"'))
