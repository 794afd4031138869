"""Dialogues of people's own chats on disk: this project's JSONL, readable by the owner only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from model.files import write_text
from training.chats.talks import Talk
from training.errors import BadData


def write_talks(talks: Iterable[Talk], source: str, path: Path) -> None:
    """Replace `path` with the talks, a line each, wholly or not at all; others than the owner cannot read it.

    Raises BadData when it cannot be written.
    """
    text = "".join(json.dumps(_record(talk, source), ensure_ascii=False) + "\n" for talk in talks)
    try:
        write_text(path, text, private=True)
    except OSError as error:
        raise BadData(f"{path}: the file cannot be written ({error.strerror}); choose another place.") from error


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
