"""Writing files and folders so that a reader, or a crash, sees the old or the new one, never part of one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write_json(path: Path, value: object) -> None:
    """Replace `path` with `value` as JSON."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Replace `path` with `text` in UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode(), private=private)


def write_bytes(path: Path, content: bytes, *, private: bool = False) -> None:
    """Replace `path` with `content`: temporary file, fsync, rename, fsync of the folder.

    A `private` file may be read by its owner only, also while it is written.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if not private:
            partial.chmod(0o644)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


def replace_folder(new: Path, folder: Path) -> None:
    """Put the finished folder `new` in the place of `folder`, on the same file system."""
    new.chmod(0o755)
    for path in new.rglob("*"):
        sync(path)
    sync(new)
    if folder.exists():
        retired = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
        folder.rename(retired / "old")
        new.rename(folder)
        shutil.rmtree(retired)
    else:
        new.rename(folder)
    sync(folder.parent)


def sync(path: Path) -> None:
    """Force a file's or folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(paths: Iterable[Path]) -> str:
    """Hash of the files' contents in the order given, as hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()
