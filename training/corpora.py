"""Corpora on disk: dialogues and plain texts in, dialogues out as this project's JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.files import write_text
from training.errors import BadData
from training.examples import Dialogue
from training.importers import IMPORTERS, Importer, Problem, get_importer
from training.importers.reading import numbered_lines, parse_line, read_text
from training.importers.records import BadRecord, as_text, usable_text

JSONL = (".jsonl", ".jsonl.xz")
_EXPECTED_LINES = 'JSONL with a "text" in each line'
_EXPECTED_TEXT = "plain text, a paragraph a line"


@dataclass(frozen=True, slots=True)
class Corpus:
    """Dialogues, what had to be left out (with the file in the place), and the files read, for a manifest to hash."""

    dialogues: tuple[Dialogue, ...]
    problems: tuple[Problem, ...]
    files: tuple[Path, ...]


def load_dialogues(specs: Sequence[str]) -> Corpus:
    """Dialogues of all `specs`, in their order.

    A spec is PATH, for .jsonl and .jsonl.xz files, or NAME:PATH with the name of an importer. A folder stands for its
    .jsonl and .jsonl.xz files, by name. Raises BadData when a file is missing or holds no dialogue, a spec cannot be
    understood, or there is none.
    """
    if not specs:
        raise BadData("No corpus is named; name a .jsonl file, a folder of such files, or IMPORTER:FILE.")
    dialogues: list[Dialogue] = []
    problems: list[Problem] = []
    files: list[Path] = []
    for importer, path in [source for spec in specs for source in _sources(spec)]:
        imported = importer(path)
        dialogues += imported.dialogues
        problems += (Problem(f"{path}: {problem.place}", problem.reason) for problem in imported.problems)
        files.append(path)
    return Corpus(tuple(dialogues), tuple(problems), tuple(files))


def _sources(spec: str) -> list[tuple[Importer, Path]]:
    """The files a spec stands for, each with its importer."""
    name, colon, rest = spec.partition(":")
    if colon and "/" not in name:  # else the colon is part of a path
        return [(get_importer(name), path) for path in _files(rest)]
    paths = _files(spec)
    if not paths[0].name.endswith(JSONL):
        names = ", ".join(sorted(IMPORTERS))
        raise BadData(f"{spec}: the name does not tell the format; write NAME:{spec}, where NAME is one of {names}.")
    return [(IMPORTERS["jsonl"], path) for path in paths]


def _files(name: str) -> list[Path]:
    if not name:
        raise BadData("A corpus without a path was named; name a file or a folder.")
    path = Path(name)
    try:
        if not path.is_dir():
            return [path]
        files = sorted(file for file in path.iterdir() if file.name.endswith(JSONL))
    except OSError as error:
        raise BadData(f"{path}: the folder cannot be read ({error.strerror}); check the path.") from error
    if not files:
        raise BadData(f"{path}: the folder holds no .jsonl or .jsonl.xz file.")
    return files


def load_texts(paths: Sequence[Path]) -> list[str]:
    """Cleaned texts of .jsonl(.xz) files with a "text" a line, and of .txt(.xz) files with a paragraph a line.

    Raises BadData naming file and line when one is broken, as there is no other way to tell of it.
    """
    return [text for path in paths for text in _texts(path)]


def _texts(path: Path) -> list[str]:
    if path.name.endswith(JSONL):
        texts = list(_cleaned(path, _EXPECTED_LINES, is_json=True))
    elif path.name.endswith((".txt", ".txt.xz")):
        texts = list(_cleaned(path, _EXPECTED_TEXT, is_json=False))
    else:
        raise BadData(f"{path}: texts are read from files whose names end in .jsonl, .jsonl.xz, .txt or .txt.xz.")
    if not texts:
        raise BadData(f"{path}: every text is empty; expected words.")
    return texts


def _cleaned(path: Path, expected: str, is_json: bool) -> Iterator[str]:
    for number, line in numbered_lines(read_text(path, expected)):
        try:
            text = as_text(parse_line(line).get("text"), '"text"') if is_json else line
            # A text of a corpus may be longer than any message, so its own length is the limit.
            cleaned = usable_text(text, max_characters=len(text))
        except BadRecord as error:
            raise BadData(f"{path}: line {number}: {error}; mend or remove the line. Expected {expected}.") from error
        if cleaned:
            yield cleaned


def write_dialogues(dialogues: Iterable[Dialogue], path: Path) -> None:
    """Replace `path` with `dialogues` as JSONL, wholly or not at all.

    Raises BadData when its name does not end in .jsonl, by which it would be read again, or it cannot be written.
    """
    if path.suffix != ".jsonl":
        raise BadData(f"{path}: dialogues are written as JSONL; choose a name that ends in .jsonl.")
    text = "".join(json.dumps(_record(dialogue), ensure_ascii=False) + "\n" for dialogue in dialogues)
    try:
        write_text(path, text)
    except OSError as error:
        raise BadData(f"{path}: the file cannot be written ({error.strerror}); choose another place.") from error


def _record(dialogue: Dialogue) -> dict[str, Any]:
    record: dict[str, Any] = {
        "source": dialogue.source,
        "speech": dialogue.speech_level,
        "persona": list(dialogue.persona),
        "turns": [{"speaker": turn.role, "text": turn.text} for turn in dialogue.turns],
    }
    return {name: value for name, value in record.items() if value}
