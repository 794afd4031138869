"""The sample files and short ways to speak of what is in them."""

from __future__ import annotations

from pathlib import Path

from model.dialogue import Role
from training.examples import Dialogue

FIXTURES = Path(__file__).parents[2] / "fixtures" / "imports"

# A sample in the original layout for every importer, by its name in the table.
SAMPLES = {
    "jsonl": FIXTURES / "own.jsonl",
    "songys": FIXTURES / "songys.csv",
    "personachat": FIXTURES / "personachat.json",
    "xpersona": FIXTURES / "xpersona.json",
    "dialogpt-tsv": FIXTURES / "dialogpt.tsv",
    "keti": FIXTURES / "keti.txt",
    "aihub-sns": FIXTURES / "aihub_sns.json",
}


def lines(dialogue: Dialogue) -> list[str]:
    """The turns as "U text" and "B text"."""
    return [f"{'U' if turn.role is Role.USER else 'B'} {turn.text}" for turn in dialogue.turns]


def write(folder: Path, name: str, text: str) -> Path:
    """A file of that name and content."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
