from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bot.context import LOADED_TURNS, STEP, WINDOW, build_context
from model.dialogue import DialogueContext, Role, SpeechLevel, Turn

PERSONA = ("내 이름은 유희다.",)


def at(exchanges: int) -> DialogueContext:
    """The context after so many exchanges, loaded as the manager loads it."""
    turns = [Turn(role, f"{role}{n}") for n in range(exchanges) for role in (Role.USER, Role.BOT)]
    return build_context(PERSONA, SpeechLevel.HAEYO, turns[-LOADED_TURNS:], len(turns), "지금")


def test_a_short_history_is_whole() -> None:
    context = at(3)
    assert [turn.text for turn in context.turns] == ["user0", "bot0", "user1", "bot1", "user2", "bot2", "지금"]
    assert context.persona == PERSONA
    assert context.speech_level is SpeechLevel.HAEYO


@given(st.integers(0, 500))
def test_the_newest_turns_are_there_and_the_size_is_bounded(exchanges: int) -> None:
    context = at(exchanges)
    history = context.turns[:-1]
    assert context.turns[-1] == Turn(Role.USER, "지금")
    assert min(2 * exchanges, WINDOW - STEP) <= len(history) <= WINDOW
    if exchanges:
        assert history[-1].text == f"bot{exchanges - 1}"
        assert history[0].role is Role.USER


def test_between_steps_the_context_only_grows() -> None:
    starts = [at(n).turns[0].text for n in range(1, 200)]
    changes = sum(a != b for a, b in pairwise(starts))
    assert changes <= 400 // STEP


def test_a_history_cleared_of_its_end_still_fits() -> None:
    # /retry hands over the history without its last exchange, loaded before that was taken off.
    turns = [Turn(role, f"{role}{n}") for n in range(30) for role in (Role.USER, Role.BOT)][-LOADED_TURNS:-2]
    context = build_context((), SpeechLevel.BANMAL, turns, 58, "다시", ("그 말",))
    assert context.turns[-2].text == "bot28"
    assert context.avoid == ("그 말",)
