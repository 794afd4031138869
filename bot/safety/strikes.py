"""What follows on abuse: a calm boundary, a warning, then a short pause, and all is forgiven.

Nothing is stored: strikes live in memory and end with the process. Crisis messages are answered before this is asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from math import ceil

from model.dialogue import SpeechLevel

# Strikes within so many seconds count together; the third one begins a pause of so many seconds.
WINDOW = 600.0
LIMIT = 3
PAUSE = 300.0
# People remembered at once. The one longest unheard of is forgotten first.
MAX_PEOPLE = 10_000


class Step(Enum):
    """How a message is to be met."""

    TALK = auto()
    BOUNDARY = auto()
    WARNING = auto()
    PAUSE = auto()
    WAIT = auto()


@dataclass(frozen=True, slots=True)
class Record:
    """One person's strikes, as times in seconds, oldest first, and the time until which the bot pauses."""

    strikes: tuple[float, ...] = ()
    paused_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Ruling:
    """A step, and how many seconds of a pause are left."""

    step: Step
    seconds_left: float = 0.0


def rule(record: Record, abusive: bool, now: float) -> tuple[Record, Ruling]:
    """The record after a message at `now`, and what it is met with. Pure.

    A pause ends by itself and takes the strikes with it; messages during one do not lengthen it.
    """
    if now < record.paused_until:
        return record, Ruling(Step.WAIT, record.paused_until - now)
    strikes = tuple(time for time in record.strikes if now - time < WINDOW)
    if not abusive:
        return Record(strikes), Ruling(Step.TALK)
    strikes = (*strikes, now)
    if len(strikes) >= LIMIT:
        return Record(paused_until=now + PAUSE), Ruling(Step.PAUSE, PAUSE)
    return Record(strikes), Ruling(Step.WARNING if len(strikes) == LIMIT - 1 else Step.BOUNDARY)


class Strikes:
    """The records of all people. `now` gives seconds that never run backwards, as `time.monotonic`."""

    def __init__(self, now: Callable[[], float], max_people: int = MAX_PEOPLE) -> None:
        self._now = now
        self._max_people = max_people
        self._records: OrderedDict[str, Record] = OrderedDict()

    def meet(self, person: str, abusive: bool) -> Ruling:
        """Count a message of `person` (platform and user id) and say how it is met."""
        record, ruling = rule(self._records.pop(person, Record()), abusive, self._now())
        if record != Record():
            self._records[person] = record
        if len(self._records) > self._max_people:
            self._records.popitem(last=False)
        return ruling

    def forget(self, person: str) -> None:
        """Drop what is known of `person`."""
        self._records.pop(person, None)

    def __len__(self) -> int:
        return len(self._records)


_TEXTS: Mapping[SpeechLevel, Mapping[Step, str]] = {
    SpeechLevel.HAEYO: {
        Step.BOUNDARY: "그렇게 말하면 저도 조금 속상해요. 무슨 일 있었어요? 천천히 말해 주면 잘 들을게요.",
        Step.WARNING: "그런 말은 듣고 있기가 힘들어요. 우리 조금만 부드럽게 이야기해요. 계속되면 잠깐 쉬었다 올게요.",
        Step.PAUSE: "서로 잠깐 쉬는 게 좋겠어요. {minutes}분 뒤에 다시 이야기해요. 그때는 처음처럼 반갑게 맞을게요.",
        Step.WAIT: "아직 잠깐 쉬는 중이에요. {minutes}분쯤 뒤에 다시 이야기해요.",
    },
    SpeechLevel.BANMAL: {
        Step.BOUNDARY: "그렇게 말하면 나도 좀 속상해. 무슨 일 있었어? 천천히 말해 주면 잘 들을게.",
        Step.WARNING: "그런 말은 듣고 있기가 힘들어. 우리 조금만 부드럽게 이야기하자. 계속되면 잠깐 쉬었다 올게.",
        Step.PAUSE: "서로 잠깐 쉬는 게 좋겠어. {minutes}분 뒤에 다시 이야기하자. 그때는 처음처럼 반갑게 맞을게.",
        Step.WAIT: "아직 잠깐 쉬는 중이야. {minutes}분쯤 뒤에 다시 이야기하자.",
    },
}


def text(ruling: Ruling, level: SpeechLevel) -> str | None:
    """What is said instead of a reply; None where the talk goes on."""
    line = _TEXTS[level].get(ruling.step)
    return line.format(minutes=max(1, ceil(ruling.seconds_left / 60))) if line is not None else None
