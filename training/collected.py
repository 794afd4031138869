"""Exports of collected talk, and the replay of base data that is learnt beside them so that nothing is forgotten.

An export is a folder named by its UTC time: dialogues-*.jsonl to learn from, held_out.jsonl to measure on only,
preferences.jsonl, and a manifest.json that holds the hash of each of them.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.dialogue import DialogueContext, Role
from model.files import sha256
from model.manifest import MANIFEST
from training.corpora import load_dialogues
from training.errors import BadData
from training.examples import HELD_OUT_PERCENT, Dialogue, TrainingExample, examples_of, split_by_hash
from training.importers.jsonl import import_jsonl, speech_level
from training.importers.reading import numbered_lines, parse_line, read_text
from training.importers.records import BadRecord, as_list, as_object, as_text, as_texts, make_dialogue, usable_text

EXPORTS = Path("data/exports")
BASE_DATA = Path(__file__).resolve().parent / "data"
# Collected talk is little at first: this many base examples keep a run from narrowing the model to a few people.
LEAST_REPLAY = 2000

_NAME = re.compile(r"(\d{8}-\d{6})(?:-(\d+))?")
_EXPECTED = "an export as python -m training.export writes it"
_AGAIN = "it was changed or damaged; export again, or move it away"


@dataclass(frozen=True, slots=True)
class Preference:
    """One thumb: `reply` was `wanted` (👍) after `context`, or was not (👎)."""

    context: DialogueContext
    reply: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class Collected:
    """What exports hold together. `exports`: their names, oldest first. No dialogue is in both parts."""

    exports: tuple[str, ...] = ()
    dialogues: tuple[Dialogue, ...] = ()
    held_out: tuple[Dialogue, ...] = ()
    preferences: tuple[Preference, ...] = ()
    files: tuple[Path, ...] = ()


def export_folders(folder: Path) -> list[Path]:
    """The exports in `folder`, oldest first; what is still being written has another name and does not count."""
    if not folder.is_dir():
        return []
    named = [(match, path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name)) and path.is_dir()]
    return [path for _, path in sorted(named, key=lambda pair: (pair[0][1], int(pair[0][2] or 1)))]


def new_exports(folder: Path, known: Iterable[str], newest: int | None = None) -> list[Path]:
    """The exports that are not `known` by name; with `newest`, that many of the newest, known or not."""
    folders = export_folders(folder)
    if newest is not None:
        return folders[-newest:]
    learnt = frozenset(known)
    return [path for path in folders if path.name not in learnt]


def read_exports(folders: Sequence[Path]) -> Collected:
    """Read exports, oldest first. A conversation that several of them hold counts once, as the newest has it.

    Raises BadData when one is damaged: an export that does not match its manifest must not be learnt from.
    """
    read = [_read_export(folder) for folder in folders]
    held_out = _newest_of_each(dialogue for export in read for dialogue in export.held_out)
    kept_back = {dialogue.id for dialogue in held_out}
    dialogues = _newest_of_each(dialogue for export in read for dialogue in export.dialogues)
    return Collected(
        exports=tuple(folder.name for folder in folders),
        dialogues=tuple(dialogue for dialogue in dialogues if dialogue.id not in kept_back),
        held_out=tuple(held_out),
        # A thumb of a conversation that several exports hold is one thumb.
        preferences=tuple(dict.fromkeys(preference for export in read for preference in export.preferences)),
        files=tuple(file for export in read for file in export.files),
    )


def _newest_of_each(dialogues: Iterable[Dialogue]) -> list[Dialogue]:
    return list({dialogue.id: dialogue for dialogue in dialogues}.values())


def _read_export(folder: Path) -> Collected:
    hashes = _hashes(folder)
    shards = sorted(path for path in folder.glob("dialogues-*.jsonl"))
    held_out, preferences = folder / "held_out.jsonl", folder / "preferences.jsonl"
    files = [path for path in (*shards, held_out, preferences) if path.exists()]
    missing = [name for name in hashes if not (folder / name).exists()]
    if missing:
        raise BadData(f"{folder}: {missing[0]} is missing; {_AGAIN}.")
    for path in files:
        if hashes.get(path.name) != sha256([path]):
            raise BadData(f"{path}: the file is not the one that was exported; {_AGAIN}.")
    return Collected(
        dialogues=tuple(dialogue for path in shards for dialogue in _dialogues(path)),
        held_out=tuple(_dialogues(held_out)),
        preferences=tuple(_preferences(preferences)),
        files=tuple(files),
    )


def _hashes(folder: Path) -> dict[str, str]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return dict(manifest["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{folder}: the manifest is missing or broken; {_AGAIN}.") from error


def _is_empty(path: Path) -> bool:
    """Whether there is nothing to read, as in an export whose people have all left."""
    return not path.exists() or path.stat().st_size == 0


def _dialogues(path: Path) -> list[Dialogue]:
    if _is_empty(path):
        return []
    imported = import_jsonl(path)
    if imported.problems:
        first = imported.problems[0]
        raise BadData(f"{path}: {first.place}: {first.reason}; {_AGAIN}.")
    if any(dialogue.id is None or dialogue.person is None for dialogue in imported.dialogues):
        raise BadData(f'{path}: a line lacks "id" or "person"; expected {_EXPECTED}.')
    return [replace(dialogue, source=path.parent.name) for dialogue in imported.dialogues]


def _preferences(path: Path) -> list[Preference]:
    if _is_empty(path):
        return []
    found: list[Preference] = []
    for number, line in numbered_lines(read_text(path, _EXPECTED)):
        try:
            found.append(_preference(parse_line(line)))
        except BadRecord as error:
            raise BadData(f"{path}: line {number}: {error}; {_AGAIN}.") from error
    return found


def _preference(record: dict[str, Any]) -> Preference:
    """One line of preferences.jsonl. The reply closes a dialogue, so that the rules of every dialogue hold."""
    reply, label = usable_text(as_text(record.get("reply"), '"reply"')), record.get("label")
    if not isinstance(label, bool):
        raise BadRecord('"label" must be true or false')
    said = [_said(as_object(turn, "a turn")) for turn in as_list(record.get("turns"), '"turns"')]
    if not reply or not said or said[-1][0] is not Role.USER:
        raise BadRecord('"turns" must end with what the user said, and "reply" must not be empty')
    persona = as_texts(record.get("persona") or [], '"persona"')
    dialogue = make_dialogue([*said, (Role.BOT, reply)], "preferences", persona, speech_level(record.get("speech")))
    return Preference(DialogueContext(dialogue.persona, dialogue.turns[:-1], dialogue.speech_level), reply, label)


def _said(turn: dict[str, Any]) -> tuple[Role, str]:
    speaker = as_text(turn.get("speaker"), '"speaker"')
    if speaker not in set(Role):
        raise BadRecord('the speakers must be "user" and "bot"')
    return Role(speaker), as_text(turn.get("text"), '"text"')


def replayed(folder: Path, count: int, rng: random.Random) -> tuple[list[TrainingExample], list[Path]]:
    """Up to `count` examples of the base data's training part, drawn at random, and the files they are from."""
    from training.recipe import RECIPES, with_personas  # the recipe imports training.finetune, which imports this

    corpus = load_dialogues([str(folder)])
    kept, _ = split_by_hash(corpus.dialogues, HELD_OUT_PERCENT)
    dialogues = with_personas(kept, RECIPES["default"].persona_share, rng)
    examples = [example for dialogue in dialogues for example in examples_of(replace(dialogue, source="replay"))]
    return rng.sample(examples, min(count, len(examples))), list(corpus.files)
