"""Which turns of a long conversation stay in the prompt, and for how long the prompt's beginning stays the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.context import LOADED_TURNS, build_context
from model import checkpoint as checkpoints
from model.chat_format import FORMATS, ChatFormat, first_kept
from model.dialogue import DialogueContext, Role, SpeechLevel, Turn
from tests.model.builders import repeatable
from tests.model.conftest import TEXTS

SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=80)


@repeatable
@given(SIZES, st.integers(60, 400))
def test_what_is_kept_fits_and_the_newest_is_there(sizes: list[int], room: int) -> None:
    first = first_kept(sizes, room)
    assert first < len(sizes)
    assert sum(sizes[first:]) <= room


@repeatable
@given(SIZES, st.integers(60, 400))
def test_nothing_is_dropped_without_need_and_never_all(sizes: list[int], room: int) -> None:
    first = first_kept(sizes, room)
    if sum(sizes) <= room:
        assert first == 0
    if sum(sizes[-2:]) <= room:
        assert first <= max(0, len(sizes) - 2), "the newest two fit"


@repeatable
@given(SIZES, st.integers(60, 400))
def test_the_first_turn_only_moves_on_and_only_when_the_room_is_full(sizes: list[int], room: int) -> None:
    firsts = [first_kept(sizes[:count], room) for count in range(1, len(sizes) + 1)]
    assert firsts == sorted(firsts)
    for count, (before, after) in enumerate(pairwise(firsts), start=1):
        if after != before:
            assert sum(sizes[before : count + 1]) > room


@pytest.fixture(scope="module", params=sorted(FORMATS))
def chat_format(request: pytest.FixtureRequest, tiny_folders: dict[str, Path]) -> ChatFormat:
    return checkpoints.load(tiny_folders[request.param]).chat_format


def conversation(texts: list[str]) -> list[DialogueContext]:
    """What the bot asks the model, turn after turn, while a conversation grows."""
    contexts = []
    turns: list[Turn] = []
    for said, answer in zip(texts[::2], texts[1::2], strict=False):
        contexts.append(
            build_context(("내 이름은 유희다.",), SpeechLevel.HAEYO, turns[-LOADED_TURNS:], len(turns), said)
        )
        turns += [Turn(Role.USER, said), Turn(Role.BOT, answer)]
    return contexts


def test_a_growing_conversation_keeps_its_prefix_for_most_turns(chat_format: ChatFormat) -> None:
    lines = [TEXTS[number % 5][number % 7 : number % 7 + 6 + number % 5] for number in range(160)]
    opening = len(chat_format.opening_segment().ids)
    kept = dropped = 0
    for old, new in pairwise(conversation(lines)):
        before, after = (chat_format.encode(context, None, 256).input_ids for context in (old, new))
        # The KoGPT2 chatbots mark only the turn to come with an emotion, so that mark goes when the turn is history.
        before = before[: len(before) - opening]
        same = after[: len(before)] == before
        kept, dropped = kept + same, dropped + (not same)
        head = chat_format.head(new).ids
        assert list(after[: len(head)]) == head, "the persona stays"
    assert dropped > 3, "nothing was dropped, which proves little"
    assert kept >= 3 * dropped
