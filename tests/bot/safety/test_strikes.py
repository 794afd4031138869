from __future__ import annotations

import pytest

from bot.safety.strikes import LIMIT, PAUSE, WINDOW, Record, Ruling, Step, Strikes, rule, text
from model.dialogue import SpeechLevel
from model.speech_level import speech_level_of


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def steps(strikes: Strikes, count: int, person: str = "telegram:1") -> list[Step]:
    return [strikes.meet(person, abusive=True).step for _ in range(count)]


def test_boundary_then_warning_then_a_pause() -> None:
    strikes = Strikes(Clock())
    assert LIMIT == 3
    assert steps(strikes, 4) == [Step.BOUNDARY, Step.WARNING, Step.PAUSE, Step.WAIT]


def test_the_pause_ends_by_itself_and_all_is_forgiven() -> None:
    clock = Clock()
    strikes = Strikes(clock)
    steps(strikes, 3)
    clock.time += PAUSE - 60
    assert strikes.meet("telegram:1", abusive=True) == Ruling(Step.WAIT, 60.0)
    assert strikes.meet("telegram:1", abusive=False) == Ruling(Step.WAIT, 60.0)
    clock.time += 60
    assert strikes.meet("telegram:1", abusive=False) == Ruling(Step.TALK)
    assert steps(strikes, 1) == [Step.BOUNDARY]


def test_strikes_wear_off() -> None:
    clock = Clock()
    strikes = Strikes(clock)
    steps(strikes, 2)
    clock.time += WINDOW
    assert steps(strikes, 1) == [Step.BOUNDARY]


def test_people_do_not_answer_for_each_other() -> None:
    strikes = Strikes(Clock())
    steps(strikes, 3, "telegram:1")
    assert strikes.meet("discord:1", abusive=False).step is Step.TALK


def test_kind_people_are_not_remembered_and_the_rest_is_bounded() -> None:
    strikes = Strikes(Clock(), max_people=2)
    strikes.meet("kind", abusive=False)
    assert len(strikes) == 0
    for person in ("first", "second", "first", "third"):
        strikes.meet(person, abusive=True)
    assert len(strikes) == 2
    # The second was longest unheard of.
    assert steps(strikes, 1, "first") == [Step.PAUSE]
    assert steps(strikes, 1, "second") == [Step.BOUNDARY]


def test_forgetting() -> None:
    strikes = Strikes(Clock())
    steps(strikes, 2)
    strikes.forget("telegram:1")
    strikes.forget("nobody")
    assert steps(strikes, 1) == [Step.BOUNDARY]


def test_a_ruling_changes_no_record() -> None:
    before = Record((1.0,))
    after, _ = rule(before, True, 2.0)
    assert (before, after) == (Record((1.0,)), Record((1.0, 2.0)))


@pytest.mark.parametrize("level", SpeechLevel)
def test_texts_keep_the_speech_level_and_name_the_minutes(level: SpeechLevel) -> None:
    assert text(Ruling(Step.TALK), level) is None
    for step in set(Step) - {Step.TALK}:
        said = text(Ruling(step, 61.0), level)
        assert said is not None
        assert speech_level_of(said) is level
        assert ("2분" in said) == (step in {Step.PAUSE, Step.WAIT})
