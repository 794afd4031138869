"""Candidates that readers judged: what the reranker learns from. The format is told in training/data/README.md."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.dialogue import DialogueContext, Role, Source, SpeechLevel, Turn
from model.retriever import Match
from training.collected import BASE_DATA
from training.corpora import JSONL
from training.errors import BadData

JUDGED = BASE_DATA / "judged"


@dataclass(frozen=True, slots=True)
class Judged:
    """A conversation and its candidates; `sensible` and `specific` tell of each what the reader found."""

    context: DialogueContext
    matches: tuple[Match, ...]
    sensible: tuple[bool, ...]
    specific: tuple[bool, ...]
    development: bool
    """Whether it is for choosing among models, not for training."""


def load_judged(folder: Path) -> list[Judged]:
    """What the .jsonl and .jsonl.xz of `folder` hold, file by file. Raises BadData where one cannot be read."""
    paths = sorted(path for path in folder.glob("*") if path.name.endswith(JSONL))
    found = [judged for path in paths for judged in _of_file(path)]
    if not found:
        raise BadData(f"{folder}: the folder holds no judged candidates; name the one with the project's own.")
    return found


def _of_file(path: Path) -> Iterator[Judged]:
    try:
        data = path.read_bytes()
        lines = (lzma.decompress(data) if path.suffix == ".xz" else data).decode().split("\n")
    except (ValueError, lzma.LZMAError) as error:
        raise BadData(f"{path} is no text ({error}).") from error
    for number, line in enumerate(lines, 1):
        try:
            if line:
                yield _parsed(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise BadData(f"{path}, line {number}: no judged candidates ({error!r}).") from error


def _parsed(record: dict[str, Any]) -> Judged:
    candidates = record["candidates"]
    turns = tuple(Turn(Role(turn["speaker"]), turn["text"]) for turn in record["turns"])
    return Judged(
        context=DialogueContext(tuple(record["persona"]), turns, SpeechLevel(record["speech"])),
        matches=tuple(_match(candidate) for candidate in candidates),
        sensible=tuple(bool(candidate["sensible"]) for candidate in candidates),
        specific=tuple(bool(candidate["specific"]) for candidate in candidates),
        development=bool(record.get("development", False)),
    )


def _match(candidate: dict[str, Any]) -> Match:
    return Match(
        candidate["text"],
        float(candidate["nearness"]),
        Source(candidate["source"]),
        candidate["said"],
        deep=bool(candidate.get("deep", False)),
        general=bool(candidate.get("general", False)),
        chance=candidate.get("chance"),
    )
