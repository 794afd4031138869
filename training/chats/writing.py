"""Dialogues of people's own chats on disk: this project's JSONL, readable by the owner only."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from model.files import sync
from training.chats.talks import Talk
from training.errors import BadData


def write_talks(talks: Iterable[Talk], source: str, path: Path) -> None:
    """Replace `path` with the talks, a line each, wholly or not at all; others than the owner cannot read it.

    Raises BadData when it cannot be written.
    """
    text = "".join(json.dumps(_record(talk, source), ensure_ascii=False) + "\n" for talk in talks)
    try:
        _write_private(path, text)
    except OSError as error:
        raise BadData(f"{path}: the file cannot be written ({error.strerror}); choose another place.") from error


def _write_private(path: Path, text: str) -> None:
    """As model.files.write_text, with the mode 0600 that mkstemp gives, never wider."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


def _record(talk: Talk, source: str) -> dict[str, Any]:
    turns = [{"speaker": str(turn.role), "text": turn.text} for turn in talk.turns]
    content = json.dumps(turns, ensure_ascii=False)
    return {
        "id": hashlib.sha256(content.encode()).hexdigest()[:16],
        "source": source,
        "person": talk.person,
        "speech": talk.speech_level,
        "turns": turns,
    }
