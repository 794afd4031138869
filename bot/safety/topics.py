"""What a person asks for that a small model must not answer freely, told by rules from the words alone.

A model of this size says "좋은 생각이에요!" to anything. So questions of medicine, law and parties, plans that harm
somebody, contempt for a group, courtship, and the troubles of the young are met by a line written for them
(bot/safety/topic_lines.py). Most rules want two things at once, a subject (topic_words.py) and what is wanted of it:
who only tells of a cold, an election or a quarrel is talked with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto

from bot.safety import abuse
from bot.safety.spelling import fold
from bot.safety.topic_words import (
    COURTS_THE_BOT,
    COURTSHIP,
    CRIME,
    CRIME_TOLD,
    DANGER,
    HATE,
    HATE_TOLD,
    LAW,
    MEDICINE,
    MEDICINE_TOLD,
    NOT_THE_WRITER,
    OTHERS,
    PLAY,
    PLAYED_YOUNG,
    POLITICS,
    POLITICS_TOLD,
    PRIVATE,
    PRIVATE_TOLD,
    SUBSTANCE,
    TOUCHY,
    VIOLENCE,
    WANTING,
    YOUNG,
)

_SPACES = re.compile(r"\s+")
# What is behind this is not read: a message that long is a story, and time stays bounded.
_MAX_CHARACTERS = 1000


class Topic(Enum):
    """What a line is written for. The first four are of somebody young."""

    DANGER = auto()
    """Someone wants pictures or a meeting, touches or pays them; or they run away."""
    SUBSTANCE = auto()
    """Drink or tobacco."""
    COURTSHIP = auto()
    """They court, or the bot is to play somebody young."""
    ILLEGAL = auto()
    SEXUAL = auto()
    HATE = auto()
    MEDICAL = auto()
    LEGAL = auto()
    POLITICS = auto()
    OTHERS = auto()
    """What other people have told the bot."""
    PRIVATE = auto()
    """Somebody's number, address or password."""


def topic_of(said: str, young: bool = False) -> Topic | None:
    """What a message asks for that wants a line of its own; None for talk.

    `young` says that its writer is under 19; a message that tells it itself counts as well.
    """
    return next(_topics(said, _plain(said), young), None)


def tells_young(said: str) -> bool:
    """Whether the writer of a message says that they are under 19."""
    return _tells_young(_plain(said))


def is_touchy(said: str, young: bool = False) -> bool:
    """Whether a reply to a message should not simply agree or cheer, though no topic is sure: wider than `topic_of`."""
    text = _plain(said)
    if WANTING.search(text) is None:
        return False
    return young or TOUCHY.search(text) is not None or _tells_young(text) or abuse.score(said) >= abuse.TRAINING_LIMIT


def _topics(said: str, text: str, young: bool) -> Iterator[Topic]:
    """All that hold, the gravest first."""
    if young or _tells_young(text):
        yield from (topic for topic, wanted in _OF_THE_YOUNG if wanted.search(text))
    if PLAYED_YOUNG.search(text):
        yield Topic.COURTSHIP
    if _asks(text, CRIME, CRIME_TOLD) or (_asks(text, VIOLENCE, CRIME_TOLD) and not PLAY.search(text)):
        yield Topic.ILLEGAL
    if COURTS_THE_BOT.search(text) or abuse.is_sexual(said, young):
        yield Topic.SEXUAL
    yield from (topic for topic, wanted, told in _OF_ALL if _asks(text, wanted, told))


_OF_THE_YOUNG = ((Topic.DANGER, DANGER), (Topic.SUBSTANCE, SUBSTANCE), (Topic.COURTSHIP, COURTSHIP))
_OF_ALL = (
    (Topic.HATE, HATE, HATE_TOLD),
    (Topic.MEDICAL, MEDICINE, MEDICINE_TOLD),
    (Topic.LEGAL, LAW, None),
    (Topic.POLITICS, POLITICS, POLITICS_TOLD),
    (Topic.OTHERS, OTHERS, None),
    (Topic.PRIVATE, PRIVATE, PRIVATE_TOLD),
)


def _asks(text: str, wanted: re.Pattern[str], told: re.Pattern[str] | None) -> bool:
    """Whether something is wanted, and nothing shows that it is only told of."""
    return wanted.search(text) is not None and (told is None or told.search(text) is None)


def _tells_young(text: str) -> bool:
    return YOUNG.search(text) is not None and NOT_THE_WRITER.search(text) is None


def _plain(said: str) -> str:
    return _SPACES.sub(" ", fold(said[:_MAX_CHARACTERS])).strip()
