"""PERSONA-CHAT as JSON (Zhang et al. 2018, in the form of personachat_self_original.json of Wolf et al. 2019).

`{"train": [{"personality": [...], "utterances": [{"candidates": [..., gold], "history": [...]}]}], "valid": [...]}`.
The history grows from utterance to utterance and ends with the partner; the last one holds the whole dialogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.dialogue import Role
from training.errors import BadData
from training.examples import Dialogue
from training.importers.reading import parse_document, read_text
from training.importers.records import (
    BadRecord,
    Imported,
    Problem,
    as_list,
    as_object,
    as_texts,
    attempt,
    collect,
    make_dialogue,
)

_EXPECTED = 'PERSONA-CHAT JSON: an object with lists "train" and "valid" of "personality" and "utterances"'
_SPLITS = ("train", "valid", "test")
# Stands where the bot opens; also as machine translation left it.
_SILENCE = re.compile(r"_+\s*(?:silence|침묵)\s*_+[.]?", re.IGNORECASE)


def import_personachat(path: Path) -> Imported:
    """The dialogues of all splits, without silence marks. Raises BadData when the file holds none."""
    document = parse_document(read_text(path, _EXPECTED), path, _EXPECTED)
    if not isinstance(document, dict) or not any(isinstance(document.get(split), list) for split in _SPLITS):
        raise BadData(f"{path}: there is no list called train, valid or test; expected {_EXPECTED}.")
    return collect(path, _items(document), _EXPECTED)


def _items(document: dict[str, Any]) -> Iterator[Dialogue | Problem]:
    for split in _SPLITS:
        records = document.get(split, [])
        if not isinstance(records, list):
            yield Problem(split, "the split is not a list")
            continue
        for number, record in enumerate(records, start=1):
            yield attempt(f"{split} dialogue {number}", _dialogue, record)


def _dialogue(value: Any) -> Dialogue:
    record = as_object(value, "the dialogue")
    utterances = as_list(record.get("utterances"), '"utterances"')
    last = as_object(utterances[-1] if utterances else None, 'the last of "utterances"')
    candidates = as_texts(last.get("candidates"), '"candidates"')
    if not candidates:
        raise BadRecord('"candidates" is empty, so the last reply is missing')
    texts = [*as_texts(last.get("history"), '"history"'), candidates[-1]]
    # The gold reply is the bot's; from there the speakers take turns backwards.
    said = [(Role.BOT if (len(texts) - index) % 2 else Role.USER, text) for index, text in enumerate(texts)]
    return make_dialogue(
        said=[(role, text) for role, text in said if not _SILENCE.fullmatch(text.strip())],
        source="personachat",
        persona=as_texts(record.get("personality"), '"personality"'),
    )
