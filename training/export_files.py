"""Exports on disk: one folder each, whole or absent, and the locks that keep writers apart.

    data/exports/20261121-030000/    dialogues-000.jsonl ..., held_out.jsonl, preferences.jsonl, manifest.json
    data/exports/tombstones.jsonl    whose talk had to leave, for databases restored from a backup (training.forgetting)

A hidden name is work in progress, or what a killed process left of it: see `recover` and `sweep`.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.files import sha256, sync
from training.errors import BadData, TrainingError

MANIFEST = "manifest.json"
HELD_OUT = "held_out.jsonl"
PREFERENCES = "preferences.jsonl"
LINES_A_SHARD = 2000
_PARTIAL, _NEW, _OLD = ".partial-", ".new-", ".old-"
# Held for as long as an export is made; and for the moments in which folders appear or are exchanged.
_MAKING, _CHANGING = ".making.lock", ".changing.lock"
_POLL_SECONDS = 0.05

Record = dict[str, Any]


class ExportRunning(TrainingError):
    """Another process is making an export in the same folder."""


@dataclass(frozen=True, slots=True)
class ExportManifest:
    """What an export holds and where it is from. `created_at` is ISO 8601 in UTC, when its talk was read.

    `people` are pseudonyms; `turns_of` tells `turn_ids` apart by them. `counts` and `dropped` are of dialogues,
    targets, exchanges and so on, as their names say. `sha256` is of every other file of the folder.
    """

    name: str
    created_at: str
    policy_versions: list[int]
    filter_version: int
    people: list[str]
    turn_ids: list[int]
    turns_of: dict[str, list[int]]
    counts: dict[str, int]
    dropped: dict[str, int]
    platforms: list[str]
    discord_permission: str | None
    sha256: dict[str, str]

    @property
    def at(self) -> datetime:
        """When its talk was read."""
        return datetime.fromisoformat(self.created_at)


@asynccontextmanager
async def changing(exports: Path) -> AsyncIterator[None]:
    """Alone among those who put folders in their place; waits for the others, who are quick."""
    with _open(exports / _CHANGING) as descriptor:
        while not _lock(descriptor):  # noqa: ASYNC110  # other processes hold it, and they set no event
            await asyncio.sleep(_POLL_SECONDS)
        yield


@contextmanager
def making(exports: Path) -> Iterator[None]:
    """Alone among those who make exports. Raises ExportRunning when another does."""
    with _open(exports / _MAKING) as descriptor:
        if not _lock(descriptor):
            raise ExportRunning(f"{exports}: another export is being made there; wait until it is done.")
        yield


@contextmanager
def _open(path: Path) -> Iterator[int]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Take the lock, which the system gives back when its holder dies."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def recover(exports: Path) -> None:
    """Finish or undo exchanges that were cut off; while `changing`."""
    for new in sorted(exports.glob(f"{_NEW}*")):
        folder = exports / new.name.removeprefix(_NEW)
        # The old folder is moved away only once the new one is complete.
        if folder.exists():
            shutil.rmtree(new)
        else:
            new.rename(folder)
    for old in exports.glob(f"{_OLD}*"):
        shutil.rmtree(old)
    sync(exports)


def sweep(exports: Path) -> None:
    """Remove exports that were never finished; while `making`."""
    for partial in exports.glob(f"{_PARTIAL}*"):
        shutil.rmtree(partial)


@contextmanager
def partial_folder(exports: Path) -> Iterator[Path]:
    """A folder to write an export into, gone at the end if it was not put in its place."""
    folder = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=exports))  # mode 0700
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_lines(folder: Path, dialogues: list[Record], held_out: list[Record], preferences: list[Record]) -> None:
    """All files but the manifest."""
    for number, start in enumerate(range(0, len(dialogues), LINES_A_SHARD)):
        _write_records(folder / f"dialogues-{number:03}.jsonl", dialogues[start : start + LINES_A_SHARD])
    _write_records(folder / HELD_OUT, held_out)
    _write_records(folder / PREFERENCES, preferences)


def write_manifest(folder: Path, manifest: ExportManifest) -> None:
    """The last file, with the hashes of the others; the folder is on the disk then."""
    hashes = {path.name: sha256([path]) for path in sorted(folder.glob("*.jsonl"))}
    content = asdict(replace(manifest, sha256=hashes))
    _write(folder / MANIFEST, json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n")
    sync(folder)


def put(partial: Path, folder: Path) -> None:
    """Let a complete new export appear; while `changing`."""
    partial.rename(folder)
    sync(folder.parent)


def exchange(folder: Path, dialogues: list[Record], held_out: list[Record], preferences: list[Record],
             manifest: ExportManifest) -> None:  # fmt: skip
    """Put other content in the place of an export; while `changing`. A kill in between is mended by `recover`."""
    exports = folder.parent
    with partial_folder(exports) as partial:
        write_lines(partial, dialogues, held_out, preferences)
        write_manifest(partial, manifest)
        new, old = exports / f"{_NEW}{folder.name}", exports / f"{_OLD}{folder.name}"
        partial.rename(new)
        sync(exports)
        folder.rename(old)
        new.rename(folder)
        sync(exports)
        shutil.rmtree(old)


def export_folders(exports: Path) -> list[Path]:
    """All exports, oldest first."""
    if not exports.is_dir():
        return []
    return sorted(path for path in exports.iterdir() if path.is_dir() and not path.name.startswith("."))


def drop_before(exports: Path, before: datetime) -> int:
    """Delete the exports made before then and return how many; while `changing`. `sweep` removes what a kill leaves."""
    oldest = before.astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    old = [folder for folder in export_folders(exports) if folder.name < oldest]
    for folder in old:
        gone = exports / f"{_PARTIAL}{folder.name}"
        folder.rename(gone)
        shutil.rmtree(gone)
    return len(old)


def read_manifest(folder: Path) -> ExportManifest:
    """The manifest of an export. Raises BadData when it is missing or broken."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return ExportManifest(**{field.name: content[field.name] for field in fields(ExportManifest)})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadData(f"{path}: the manifest of the export is missing or broken; delete the folder.") from error


def read_records(folder: Path) -> tuple[list[Record], list[Record], list[Record]]:
    """The dialogues of all shards, those held out, and the preferences. Raises BadData when a file is broken."""
    shards = [record for path in sorted(folder.glob("dialogues-*.jsonl")) for record in _read_records(path)]
    return shards, _read_records(folder / HELD_OUT), _read_records(folder / PREFERENCES)


def counts_of(
    dialogues: list[Record], held_out: list[Record], preferences: list[Record], turns_of: Mapping[str, list[int]]
) -> dict[str, int]:
    """How much an export holds. `turns` are the rows it was made of."""
    return {
        "dialogues": len(dialogues),
        "held_out": len(held_out),
        "people": len(turns_of),
        "preferences": len(preferences),
        "targets": sum(len(record["targets"]) for record in dialogues),
        "turns": sum(map(len, turns_of.values())),
    }


def _read_records(path: Path) -> list[Record]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise BadData(f"{path}: the file of the export cannot be read; delete the export's folder.") from error


def _write_records(path: Path, records: list[Record]) -> None:
    _write(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
