"""This project's own dialogues: one JSON object a line, plain or packed by xz.

`{"persona": [...], "turns": [{"speaker": "user"|"bot", "text": ...}], "speech": "해요체"|"반말", "source": ...}`; only
turns are required. Speakers may be "a" and "b" where neither is the bot: who opens is taken for the user.

Exports of collected talk add `"id"`, `"person"` (a pseudonym) and `"targets"`, the indices of the bot turns that may be
learnt; without "targets" all may.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from model.dialogue import Role, SpeechLevel
from training.examples import Dialogue
from training.importers.reading import numbered_lines, parse_line, read_text
from training.importers.records import (
    BadRecord,
    Imported,
    as_list,
    as_object,
    as_text,
    as_texts,
    attempt,
    collect,
    make_dialogue,
    usable_text,
)

_EXPECTED = 'JSONL with "turns" of "speaker" (user or bot) and "text" in each line'


def import_jsonl(path: Path) -> Imported:
    """Dialogues of a .jsonl or .jsonl.xz file. Raises BadData when it holds none."""
    lines = numbered_lines(read_text(path, _EXPECTED))
    return collect(path, (attempt(f"line {number}", _dialogue, line) for number, line in lines), _EXPECTED)


def _dialogue(line: str) -> Dialogue:
    record = parse_line(line)
    turns = [as_object(turn, "a turn") for turn in as_list(record.get("turns"), '"turns"')]
    speakers = [as_text(turn.get("speaker"), '"speaker"') for turn in turns]
    texts = [as_text(turn.get("text"), '"text"') for turn in turns]
    roles = _roles(speakers)
    dialogue = make_dialogue(
        said=[(roles[speaker], text) for speaker, text in zip(speakers, texts, strict=True)],
        source=usable_text(as_text(record.get("source") or "jsonl", '"source"')),
        persona=as_texts(record.get("persona") or [], '"persona"'),
        speech_level=speech_level(record.get("speech")),
        targets=_targets(record.get("targets"), [roles[speaker] for speaker in speakers]),
    )
    return replace(dialogue, id=_name(record, "id"), person=_name(record, "person"))


def _name(record: dict[str, Any], key: str) -> str | None:
    """What names a record, if it is text: numbers of other people's files name nothing here."""
    value = record.get(key)
    return value if isinstance(value, str) else None


def _targets(value: Any, roles: list[Role]) -> list[int] | None:
    if value is None:
        return None
    targets = as_list(value, '"targets"')
    bots = [index for index, role in enumerate(roles) if role is Role.BOT]
    if any(type(index) is not int or index not in bots for index in targets):
        raise BadRecord('"targets" must be the indices of bot turns')
    return targets


def _roles(speakers: list[str]) -> dict[str, Role]:
    if set(speakers) <= {"user", "bot"}:
        return {"user": Role.USER, "bot": Role.BOT}
    if set(speakers) <= {"a", "b"}:
        return {"a": Role.BOT, "b": Role.BOT, speakers[0]: Role.USER}
    raise BadRecord('the speakers must be "user" and "bot", or "a" and "b"')


def speech_level(value: Any) -> SpeechLevel | None:
    """The level that a record names, None where it names none. Raises BadRecord for anything else."""
    if value is None:
        return None
    levels = [level for level in SpeechLevel if level == value]
    if not levels:
        raise BadRecord(f'"speech" must be one of {", ".join(SpeechLevel)}')
    return levels[0]
