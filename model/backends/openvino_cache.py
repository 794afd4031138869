"""A checkpoint's OpenVINO model on disk: made once, kept beside the checkpoint, made again when anything changes.

The folder `.openvino` in the checkpoint's (or one in the user's cache, where that cannot be written) holds a folder a
precision and chat format, named by a hash of all it was made from. It appears whole or not at all, with a hash of its
own files, so that a damaged one is noticed and replaced; and with how far it agrees with the checkpoint in torch, so
that this is asked once.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.backends.openvino_graph import Shape, Vocabulary
from model.backends.openvino_silent import import_openvino
from model.errors import BadCheckpoint
from model.files import sha256

FACTS = "export.json"
GRAPH, WEIGHTS = "openvino_model.xml", "openvino_model.bin"
# Raise it with every change of the graph, so that nobody serves an old one.
_RECIPE = 1
_BESIDE = ".openvino"
_MAKING_SECONDS = 900.0


class NotServable(BadCheckpoint):
    """OpenVINO cannot serve this checkpoint, or not faithfully; torch can."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: of which checkpoint, for which chat format, in which precision ("int8", "bf16" or "fp32")."""

    checkpoint: Path
    chat_format: str
    precision: str

    @property
    def family(self) -> str:
        """What the names of this export and its predecessors start with."""
        return f"{self.precision}-{self.chat_format}-"

    def key(self) -> str:
        """The name of the export's folder: equal exactly if the exports would be."""
        kinds = {".safetensors", ".bin", ".json", ".txt"}
        files = sorted(path for path in self.checkpoint.iterdir() if path.suffix in kinds)
        settings = [str(_RECIPE), import_openvino().__version__, *(path.name for path in files)]
        return self.family + hashlib.sha256("\n".join([*settings, sha256(files)]).encode()).hexdigest()[:20]

    def roots(self) -> list[Path]:
        """Where the export may lie, the better place first."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        name = hashlib.sha256(str(self.checkpoint.resolve()).encode()).hexdigest()[:20]
        return [self.checkpoint / _BESIDE, cache / "malbeot" / "openvino" / name]


@dataclass(frozen=True, slots=True)
class Export:
    """An OpenVINO model on disk, and what has to be known to use it.

    `scored`: it tells next-utterance scores. `agreement` is the share of next tokens, and `score_error` the largest
    difference of scores, in comparison with the checkpoint in torch (`model.backends.openvino_check`).
    """

    folder: Path
    precision: str
    shape: Shape
    vocabulary: Vocabulary
    scored: bool
    agreement: float = 0.0
    score_error: float = 0.0


def obtain(order: Order) -> Export:
    """The export, found or made. Raises NotServable."""
    key = order.key()
    found = _find(order, key)
    if found is None:
        _make_apart(order)
        found = _find(order, key)
    if found is None:
        raise NotServable(f"{order.checkpoint}: its OpenVINO model was made and cannot be read; choose backend torch.")
    return found


def _find(order: Order, key: str) -> Export | None:
    exports = (read(root / key) for root in order.roots())
    return next((export for export in exports if export is not None), None)


def read(folder: Path) -> Export | None:
    """The export in `folder`, None when there is none that is whole."""
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if facts.pop("sha256") != sha256([folder / GRAPH, folder / WEIGHTS]):
            return None
        shape, vocabulary = Shape(**facts.pop("shape")), facts.pop("vocabulary")
        suppressed = tuple(vocabulary.pop("suppressed"))
        return Export(folder, shape=shape, vocabulary=Vocabulary(**vocabulary, suppressed=suppressed), **facts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _make_apart(order: Order) -> None:
    """Make the export in a process of its own: torch and the weights leave the memory with it. Raises NotServable."""
    root = str(Path(__file__).resolve().parent.parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "model.backends.openvino_export"]
    try:
        process = subprocess.run(
            [*command, str(order.checkpoint), order.chat_format, order.precision],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            timeout=_MAKING_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise NotServable(f"{order.checkpoint}: making its OpenVINO model took too long.") from error
    if process.returncode != 0:
        lines = process.stderr.decode(errors="replace").strip().splitlines() or ["it ended without a message"]
        raise NotServable(f"{order.checkpoint}: its OpenVINO model cannot be made ({lines[-1]}).")
