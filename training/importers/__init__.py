"""Importers of dialogue formats: one file a source, and the table that names them.

An importer takes a file and returns `Imported`: the dialogues, and a `Problem` for each record it had to leave out.
It raises BadData when the file as a whole is of no use.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.errors import BadData
from training.importers.aihub_sns import import_aihub_sns
from training.importers.dialogpt_tsv import import_dialogpt_tsv
from training.importers.jsonl import import_jsonl
from training.importers.keti import import_keti
from training.importers.personachat import import_personachat
from training.importers.records import Imported, Problem
from training.importers.songys import import_songys
from training.importers.xpersona import import_xpersona

__all__ = ["IMPORTERS", "Imported", "Importer", "Problem", "get_importer"]

Importer = Callable[[Path], Imported]

IMPORTERS: dict[str, Importer] = {
    "jsonl": import_jsonl,
    "songys": import_songys,
    "personachat": import_personachat,
    "xpersona": import_xpersona,
    "dialogpt-tsv": import_dialogpt_tsv,
    "keti": import_keti,
    "aihub-sns": import_aihub_sns,
}


def get_importer(name: str) -> Importer:
    """The importer called `name`. Raises BadData when there is none."""
    if name not in IMPORTERS:
        raise BadData(f"There is no importer '{name}'; choose one of {', '.join(sorted(IMPORTERS))}.")
    return IMPORTERS[name]
