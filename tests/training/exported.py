"""Exports of collected talk as the tests of the flywheel's learning half need them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.files import sha256, write_json

Record = dict[str, Any]
PLACES = ["바다", "산", "시장", "공원", "학교", "극장", "강가", "마을"]
FOODS = ["김밥", "라면", "만두", "국수", "냉면", "튀김"]


def conversation(number: int, **changes: object) -> Record:
    """A collected conversation of two exchanges; each number's replies are its own."""
    place, food = PLACES[number % 8], FOODS[number // 8 % 6]
    turns = [
        {"speaker": "user", "text": f"어제 {place} 다녀왔어 {number}"},
        {"speaker": "bot", "text": f"{place} 좋았겠어요. {food} {number}개 먹었어요?"},
        {"speaker": "user", "text": "응 맛있더라"},
        {"speaker": "bot", "text": f"{place}에서 먹는 {food} 맛있죠. {number}번 더 가요."},
    ]
    record = {"id": f"c{number}", "person": f"p{number % 6}", "persona": [], "speech": "해요체", "turns": turns}
    return record | changes


def thumb(number: int, wanted: bool) -> Record:
    """A judged reply."""
    turns = [{"speaker": "user", "text": f"{PLACES[number % 8]} 갈까 {number}"}]
    reply = "좋아요. 같이 가요." if wanted else "몰라요."
    about = {"id": f"t{number}", "person": "p0", "persona": [], "speech": "해요체"}
    return about | {"turns": turns, "reply": reply, "label": wanted}


def write_export(
    folder: Path,
    dialogues: Sequence[Record],
    held_out: Sequence[Record] = (),
    preferences: Sequence[Record] = (),
) -> Path:
    """An export with the manifest that belongs to it."""
    folder.mkdir(parents=True)
    parts = {"dialogues-000.jsonl": dialogues, "held_out.jsonl": held_out, "preferences.jsonl": preferences}
    for name, records in parts.items():
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        (folder / name).write_text(text, encoding="utf-8")
    write_json(
        folder / "manifest.json", {"name": folder.name, "sha256": {name: sha256([folder / name]) for name in parts}}
    )
    return folder
