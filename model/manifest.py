"""What can be known of a checkpoint without loading it: its manifest, and the pointer that says which one serves.

A models folder holds one folder a version and a file `current` with the name of the serving one. No torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.errors import BadCheckpoint
from model.files import write_text

MANIFEST = "manifest.json"
# Pointers of the models folder: the checkpoint that serves, and one that is tried on a share of conversations.
CURRENT, CANDIDATE = "current", "candidate"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where a checkpoint comes from. `created_at` is ISO 8601 in UTC; `tainted` names why it must not serve."""

    version: str
    format: str
    parent: str | None = None
    exports: tuple[str, ...] = ()
    data_sha256: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    created_at: str | None = None
    tainted: str | None = None


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a checkpoint of ours, None where there is none. Raises BadCheckpoint when it is broken."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Manifest(**{**fields, "exports": tuple(fields.get("exports", ()))})
    except (OSError, ValueError, TypeError) as error:
        raise BadCheckpoint(f"{path}: the manifest is broken ({error}).") from error


def check_folder(folder: Path) -> None:
    """Raise BadCheckpoint when `folder` cannot be a checkpoint; cheap, reads no weights."""
    if not folder.is_dir():
        raise BadCheckpoint(f"{folder}: there is no such model folder. Check the path, or train one.")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{folder}: config.json is missing or broken; this is not a usable checkpoint.") from error
    if not isinstance(config, dict) or config.get("model_type") != "gpt2":
        raise BadCheckpoint(f"{folder}: config.json does not describe a GPT-2 model.")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
        raise BadCheckpoint(f"{folder}: the weights (model.safetensors) are missing.")


def point_current(models: Path, version: str, pointer: str = CURRENT) -> None:
    """Make `version` what a pointer of the models folder names. Raises BadCheckpoint when it is not there."""
    if not _is_folder_name(version):
        raise BadCheckpoint(f"'{version}' is not the name of a folder in {models}.")
    check_folder(models / version)
    write_text(models / pointer, version + "\n")


def current(models: Path, pointer: str = CURRENT) -> Path | None:
    """The checkpoint a pointer names, None when it is not set. Raises BadCheckpoint for a dangling pointer."""
    path = models / pointer
    if not path.exists():
        return None
    version = path.read_text(encoding="utf-8", errors="replace").strip()
    if not _is_folder_name(version) or not (models / version).is_dir():
        raise BadCheckpoint(f"{path} names '{version}', which is not a folder beside it; point it at one that is.")
    return models / version


def _is_folder_name(version: str) -> bool:
    return version not in {"", ".", ".."} and Path(version).name == version
