"""Whoever takes back their consent, or is forgotten, leaves every export; models that learnt from them are tainted.

Tombstones say who (`bot.store.sharing`). A copy of them lies beside the exports, as a database restored from a backup
does not know those that are younger than it, and holds again what they deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from bot.store.consents import Scope
from bot.store.sharing import Tombstone
from bot.store.store import Store, utc_now
from model.errors import BadCheckpoint
from model.files import write_json, write_text
from model.manifest import MANIFEST, read_manifest
from training import export_files
from training.errors import BadData

COPY = "tombstones.jsonl"
# Longer than any backup is kept (30 days), with time to spare for one that is restored late.
KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Applied:
    """What tombstones led to: exports rewritten, models tainted, what cannot be read and must be looked at.

    `restored` tombstones were not in the database, which must come from a backup; their deletions were done again.
    """

    exports: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    restored: int = 0


async def apply_tombstones(store: Store, exports: Path, models: Path, now: Callable[[], datetime] = utc_now) -> Applied:
    """Take everyone with a tombstone out of the exports from before it, and taint the models that learnt from those.

    Can be killed at any point and done again; goes through all tombstones each time, so that exports and databases
    restored from a backup are cleaned as well. Raises StorageFailed, BadData for an export that cannot be rewritten,
    and OSError.
    """
    async with export_files.changing(exports):
        await asyncio.to_thread(_tidy, exports)
        oldest = now() - KEPT
        restored = await bury_again(store, exports, now())
        tombstones = await store.tombstones()
        _write_copy(exports / COPY, tombstones, oldest)
        if not tombstones:
            return Applied()
        noted = {tombstone: await store.exports_of(tombstone) for tombstone in tombstones}
        applied = await asyncio.to_thread(_clean, exports, models, noted)
        await store.applied(tombstones)
        await store.drop_tombstones(oldest)
    return replace(applied, restored=restored)


async def bury_again(store: Store, exports: Path, now: datetime) -> int:
    """Do the deletions again that a database from a backup does not know of; return how many tombstones it lacked."""
    known = [tombstone for tombstone in _read_copy(exports / COPY) if tombstone.created_at >= now - KEPT]
    return await store.bury_again(known) if known else 0


async def drop_exports(exports: Path, before: datetime) -> int:
    """Delete the exports made before then; return how many. Raises OSError."""
    if not await asyncio.to_thread(exports.is_dir):
        return 0
    async with export_files.changing(exports):
        return await asyncio.to_thread(export_files.drop_before, exports, before)


def _tidy(exports: Path) -> None:
    export_files.recover(exports)
    with contextlib.suppress(export_files.ExportRunning), export_files.making(exports):
        export_files.sweep(exports)


def _clean(exports: Path, models: Path, noted: Mapping[Tombstone, set[str]]) -> Applied:
    leaving: dict[Path, set[str]] = {}
    unreadable: list[str] = []
    for folder in export_files.export_folders(exports):
        try:
            manifest = export_files.read_manifest(folder)
        except BadData:
            unreadable.append(str(folder))
            continue
        gone = {each.person for each in noted if each.person in manifest.people and manifest.at <= each.created_at}
        if gone:
            leaving[folder] = gone
    names = {folder.name for folder in leaving}.union(*noted.values())
    # First: an export that was rewritten does not tell any more who was in it.
    tainted, broken = _taint(models, names)
    for folder, people in leaving.items():
        rewrite(folder, people)
    return Applied(tuple(folder.name for folder in leaving), tainted, (*unreadable, *broken))


def rewrite(folder: Path, people: Iterable[str]) -> None:
    """Put an export without these people in the place of one; while `changing`."""
    gone = frozenset(people)
    manifest = export_files.read_manifest(folder)
    files = [
        [record for record in records if record["person"] not in gone] for records in export_files.read_records(folder)
    ]
    dialogues, held_out, preferences = files
    turns_of = {person: ids for person, ids in manifest.turns_of.items() if person not in gone}
    left = replace(
        manifest,
        people=[person for person in manifest.people if person not in gone],
        turns_of=turns_of,
        turn_ids=sorted(turn_id for ids in turns_of.values() for turn_id in ids),
        counts=export_files.counts_of(dialogues, held_out, preferences, turns_of),
    )
    export_files.exchange(folder, dialogues, held_out, preferences, left)


def _taint(models: Path, exports: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Mark the models that learnt from one of these exports; return them, and those that cannot be read."""
    tainted: list[str] = []
    broken: list[str] = []
    for folder in sorted(models.iterdir()) if models.is_dir() else ():
        try:
            manifest = read_manifest(folder)
        except BadCheckpoint:
            broken.append(str(folder))
            continue
        if manifest is not None and manifest.tainted is None and exports & set(manifest.exports):
            why = (
                f"It learnt from {', '.join(sorted(exports & set(manifest.exports)))}, and somebody has left it since."
            )
            write_json(folder / MANIFEST, asdict(replace(manifest, tainted=why)))
            tainted.append(folder.name)
    return tuple(tainted), tuple(broken)


def _read_copy(path: Path) -> list[Tombstone]:
    if not path.exists():
        return []
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [
            Tombstone(row["person"], Scope(row["scope"]), datetime.fromisoformat(row["created_at"])) for row in rows
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(
            f"{path}: the file is broken; restore it from a backup, or delete it if there is none."
        ) from error


def _write_copy(path: Path, tombstones: Sequence[Tombstone], oldest: datetime) -> None:
    rows = [
        {"person": each.person, "scope": each.scope.value, "created_at": each.created_at.isoformat()}
        for each in tombstones
        if each.created_at >= oldest
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if text or path.exists():
        write_text(path, text)
