"""From judged lines to dialogues: breaths, talks, exchanges. Pure.

A breath is what one person writes within a few minutes, and becomes a turn. A talk is what lies between long gaps. What
was dropped may be what the next line answers, so a talk is cut wherever a breath holds a dropped line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

from model.dialogue import Role, SpeechLevel, Turn
from model.speech_level import majority_level
from training.chats.messages import MAX_CHARACTERS, NOT_WRITTEN, Line, Reason

# Two messages of one person are one turn when no more than this lies between them.
BREATH = timedelta(minutes=5)
# Of a turn of many messages; twice one message's.
MAX_TURN = 2 * MAX_CHARACTERS

# These leave a hole that no answer can fall into: nothing was said.
_TRANSPARENT = {Reason.SYSTEM, Reason.STICKER}


@dataclass(frozen=True, slots=True)
class Talk:
    """A dialogue that may be learnt: the others are the user, the importer is the bot.

    `person` is the user's name, `speech_level` what most of the importer's turns show, None where that is open.
    """

    person: str
    turns: tuple[Turn, ...]
    speech_level: SpeechLevel | None


@dataclass(frozen=True, slots=True)
class _Breath:
    """Lines of one person, by their places in the chat."""

    sender: str | None
    mine: bool
    places: tuple[int, ...]
    text: str


def find_talks(lines: Sequence[Line], gap: timedelta) -> tuple[list[Talk], list[Reason | None]]:
    """The dialogues in a chat, and for each of its lines why it is in none of them, None where it is.

    Lines more than `gap` apart are of different talks. Where several others write, only what the importer answers
    directly is kept: who is spoken to cannot be told otherwise.
    """
    others = {line.sender for line in lines if line.sender and not line.mine and line.dropped not in NOT_WRITTEN}
    reasons = [line.dropped for line in lines]
    talks: list[Talk] = []
    for places in _between_gaps(lines, gap):
        if any(reasons[place] is Reason.CRISIS for place in places):
            _mark(reasons, places, Reason.CRISIS_TALK)
            continue
        for piece in _pieces(lines, places, reasons):
            talks += _exchanges(piece, reasons, paired=len(others) > 1)
    return talks, reasons


def _mark(reasons: list[Reason | None], places: Sequence[int], reason: Reason) -> None:
    """Give the lines that have no reason yet this one."""
    for place in places:
        reasons[place] = reasons[place] or reason


def _between_gaps(lines: Sequence[Line], gap: timedelta) -> Iterator[list[int]]:
    places = [place for place in range(len(lines)) if lines[place].dropped is not Reason.SYSTEM]
    start = 0
    for end, (before, after) in enumerate(pairwise(places), start=1):
        if lines[after].sent_at - lines[before].sent_at > gap:
            yield places[start:end]
            start = end
    yield places[start:]


def _pieces(lines: Sequence[Line], places: Sequence[int], reasons: list[Reason | None]) -> Iterator[list[_Breath]]:
    """Breaths that follow each other with nothing dropped between them, nobody twice in a row."""
    piece: list[_Breath] = []
    for breath in _breaths(lines, places):
        whole = _is_whole(breath, reasons)
        if piece and (not whole or piece[-1].sender == breath.sender):
            yield piece
            piece = []
        if whole:
            piece.append(breath)
    if piece:
        yield piece


def _is_whole(breath: _Breath, reasons: list[Reason | None]) -> bool:
    """Whether all that was said in one breath may be used; the lines of one that may not are marked."""
    if len(breath.text) > MAX_TURN:
        _mark(reasons, breath.places, Reason.LONG)
    if any(reasons[place] not in (None, *_TRANSPARENT) for place in breath.places):
        _mark(reasons, breath.places, Reason.BESIDE)
    return bool(breath.text) and all(reasons[place] in (None, *_TRANSPARENT) for place in breath.places)


def _breaths(lines: Sequence[Line], places: Sequence[int]) -> Iterator[_Breath]:
    start = 0
    for end in range(1, len(places) + 1):
        if end == len(places) or not _goes_on(lines[places[end - 1]], lines[places[end]]):
            first = lines[places[start]]
            said = "\n".join(lines[place].text for place in places[start:end] if lines[place].text)
            yield _Breath(first.sender, first.mine, tuple(places[start:end]), said)
            start = end


def _goes_on(before: Line, after: Line) -> bool:
    return before.sender == after.sender and after.sent_at - before.sent_at <= BREATH


def _exchanges(piece: list[_Breath], reasons: list[Reason | None], paired: bool) -> Iterator[Talk]:
    """The dialogues of a piece: pairs, or all between the first line of the other and the importer's last."""
    used: set[int] = set()
    for talk in _pairs(piece) if paired else _whole_talk(piece):
        used |= {place for breath in talk for place in breath.places}
        yield _talk(talk)
    for breath in piece:
        rest = [place for place in breath.places if place not in used]
        _mark(reasons, rest, Reason.UNPROMPTED if breath.mine else Reason.UNANSWERED)


def _talk(breaths: list[_Breath]) -> Talk:
    turns = tuple(Turn(Role.BOT if breath.mine else Role.USER, breath.text.replace("\n", " ")) for breath in breaths)
    level = majority_level(breath.text for breath in breaths if breath.mine)
    return Talk(breaths[0].sender or "", turns, level)


def _pairs(piece: list[_Breath]) -> list[list[_Breath]]:
    return [[before, after] for before, after in pairwise(piece) if after.mine and not before.mine]


def _whole_talk(piece: list[_Breath]) -> list[list[_Breath]]:
    start = 1 if piece[0].mine else 0
    end = len(piece) if piece[-1].mine else len(piece) - 1
    return [piece[start:end]] if end - start >= 2 else []


def numbered(talks: Sequence[Talk]) -> list[Talk]:
    """The talks with person-1, person-2 ... for the names, in the order in which they come."""
    order = {name: f"person-{number}" for number, name in enumerate(dict.fromkeys(t.person for t in talks), start=1)}
    return [replace(talk, person=order[talk.person]) for talk in talks]
