"""The lines of the project's own dialogues, each with what it answers. Standard library only."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.dialogue import Role, SpeechLevel, Turn
from model.speech_level import speech_level_of
from model.text import clean_text

# What every question has: a question mark, an interrogative, or an interrogative ending.
_QUESTION = re.compile(
    r"\?|뭐|무슨|어디|누구|언제|몇|얼마|어떻|어때|어느|왜|(?:까|니|냐|나요|지|죠|가요|세요|줘|줘요|주라)[ㅋㅎ.!~ ]*$"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One reply with what it answered; `previous` is the bot's turn before, `earlier` the user's, None at openings."""

    said: str
    reply: str
    previous: str | None
    persona: frozenset[str]
    speech_level: SpeechLevel | None
    earlier: str | None = None


def load_entries(folder: Path, may_open: Callable[[str], bool] = lambda opening: True) -> list[Entry]:
    """Every reply in the *.jsonl of `folder` (this project's dialogue format), file by file.

    Dialogues whose first turn `may_open` refuses are left out.
    """
    files = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jsonl"))]
    dialogues = [json.loads(line) for text in files for line in text.split("\n") if line]
    return [entry for dialogue in dialogues if may_open(dialogue["turns"][0]["text"]) for entry in _entries(dialogue)]


def normalise(text: str) -> str:
    """Text without what people leave out or double at will: case, spaces, punctuation, ㅋㅋ and ㅠㅠ."""
    return "".join(c for c in clean_text(text).casefold() if c.isalnum() and not "ㄱ" <= c <= "ㅣ")


def is_question(text: str) -> bool:
    """Whether it may ask something: a guess by its letters, rather once too often."""
    return bool(_QUESTION.search(text))


def has_words(turns: Sequence[Turn]) -> bool:
    """Whether the newest turn holds anything that lines can be compared by."""
    return bool(turns) and bool(normalise(turns[-1].text))


def previous_reply(turns: Sequence[Turn]) -> str | None:
    """What the bot said before the newest turn, None at an opening."""
    return next((turn.text for turn in reversed(turns[:-1]) if turn.role is Role.BOT), None)


def earlier_line(turns: Sequence[Turn]) -> str | None:
    """What the user said before the newest turn, None at an opening."""
    return next((turn.text for turn in reversed(turns[:-1]) if turn.role is Role.USER), None)


def _entries(dialogue: dict[str, object]) -> Iterable[Entry]:
    turns = dialogue["turns"]
    persona = dialogue.get("persona", [])
    assert isinstance(turns, list) and isinstance(persona, list)
    texts = [str(turn["text"]) for turn in turns]
    for index in range(1, len(turns)):
        if turns[index]["speaker"] == "bot" and turns[index - 1]["speaker"] == "user":
            yield Entry(
                said=texts[index - 1],
                reply=texts[index],
                previous=texts[index - 2] if index >= 2 else None,
                persona=frozenset(persona),
                speech_level=speech_level_of(texts[index]) or _labelled_level(dialogue),
                earlier=texts[index - 3] if index >= 3 else None,
            )


def _labelled_level(dialogue: dict[str, object]) -> SpeechLevel | None:
    label = dialogue.get("speech")
    return SpeechLevel(label) if isinstance(label, str) else None
