"""What every importer hands over, and the rules that every imported dialogue keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from model.dialogue import Role, SpeechLevel, Turn
from model.text import clean_text
from training.errors import BadData
from training.examples import Dialogue

Record = TypeVar("Record")

# What decoding puts in the place of bytes that are no text.
_UNREADABLE = "\ufffd"


@dataclass(frozen=True, slots=True)
class Problem:
    """A record left out, wholly or in part: where it stands ("line 12", "dialogue 3") and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file held."""

    dialogues: tuple[Dialogue, ...]
    problems: tuple[Problem, ...]


class BadRecord(Exception):
    """One record of a file cannot be used; the text is the reason of a Problem."""


def make_dialogue(
    said: Iterable[tuple[Role, str]],
    source: str,
    persona: Iterable[str] = (),
    speech_level: SpeechLevel | None = None,
    targets: Iterable[int] | None = None,
) -> Dialogue:
    """A dialogue in the shape training expects: clean texts, roles taking turns, the user first.

    Empty turns and facts go, turns of one speaker in a row become one, what the bot says before the user is dropped.
    `targets` are indices into `said`, None for every bot turn; a turn made of several is a target if all of them are.
    Raises BadRecord when the user is never answered, or a text holds characters that could not be read.
    """
    chosen = None if targets is None else frozenset(targets)
    turns: list[Turn] = []
    learnt: list[bool] = []
    for index, (role, text) in enumerate(said):
        cleaned, is_target = usable_text(text), chosen is None or index in chosen
        if cleaned and turns and turns[-1].role is role:
            turns[-1] = Turn(role, f"{turns[-1].text} {cleaned}")
            learnt[-1] = learnt[-1] and is_target
        elif cleaned and (turns or role is Role.USER):
            turns.append(Turn(role, cleaned))
            learnt.append(is_target)
    if len(turns) < 2:
        raise BadRecord("no user turn is followed by a bot turn")
    return Dialogue(
        turns=tuple(turns),
        persona=tuple(fact for fact in map(usable_text, persona) if fact),
        speech_level=speech_level,
        source=source,
        targets=None if chosen is None else tuple(index for index, is_target in enumerate(learnt) if is_target),
    )


def usable_text(text: str, max_characters: int = 4000) -> str:
    """`text` as a model reads it. Raises BadRecord when part of it could not be decoded."""
    cleaned = clean_text(text, max_characters)
    if _UNREADABLE in cleaned:
        raise BadRecord("the text holds characters that cannot be read")
    return cleaned


def attempt(place: str, convert: Callable[[Record], Dialogue], record: Record) -> Dialogue | Problem:
    """The dialogue that `convert` makes of the record at `place`, or the reason why it makes none."""
    try:
        return convert(record)
    except BadRecord as error:
        return Problem(place, str(error))


def collect(path: Path, items: Iterable[Dialogue | Problem], expected: str) -> Imported:
    """Sort dialogues from problems. Raises BadData when the file holds no dialogue at all."""
    dialogues: list[Dialogue] = []
    problems: list[Problem] = []
    for item in items:
        if isinstance(item, Dialogue):
            dialogues.append(item)
        else:
            problems.append(item)
    if not dialogues:
        first = f" First problem: {problems[0].place}: {problems[0].reason}." if problems else ""
        raise BadData(f"{path}: no dialogue could be read; expected {expected}.{first}")
    return Imported(tuple(dialogues), tuple(problems))


def as_object(value: Any, what: str) -> dict[str, Any]:
    """`value`, which must be a JSON object. Raises BadRecord naming `what` it is."""
    if not isinstance(value, dict):
        raise BadRecord(f"{what} is missing or not a JSON object")
    return value


def as_list(value: Any, what: str) -> list[Any]:
    """`value`, which must be a JSON list. Raises BadRecord naming `what` it is."""
    if not isinstance(value, list):
        raise BadRecord(f"{what} is missing or not a list")
    return value


def as_text(value: Any, what: str) -> str:
    """`value`, which must be a string. Raises BadRecord naming `what` it is."""
    if not isinstance(value, str):
        raise BadRecord(f"{what} is missing or not a string")
    return value


def as_texts(value: Any, what: str) -> list[str]:
    """`value`, which must be a list of strings. Raises BadRecord naming `what` it is."""
    return [as_text(item, f"an item of {what}") for item in as_list(value, what)]
