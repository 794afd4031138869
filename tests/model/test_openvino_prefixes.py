from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model.backends.openvino_prefixes import BLOCK, Prefixes, Trail, common
from tests.model.builders import repeatable

IDS = st.lists(st.integers(0, 1), max_size=80)


def keys(ids: list[int]) -> list[int]:
    return Trail(ids).keys


@repeatable
@given(IDS, IDS, IDS)
def test_trails_have_in_common_what_their_ids_have(start: list[int], one: list[int], other: list[int]) -> None:
    one, other = start + one, start + other
    expected = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    assert common(keys(one), keys(other)) == (min(len(one), len(other)) if expected is None else expected)


@repeatable
@given(IDS, IDS)
def test_a_trail_grows_as_it_would_have_been_made(start: list[int], more: list[int]) -> None:
    trail = Trail(start)
    for token in more:
        trail.add(token)
    assert trail.keys == keys(start + more)


def test_a_prompt_waits_for_one_that_reads_a_block_for_it() -> None:
    prefixes = Prefixes(1000)
    shared = list(range(BLOCK + 3))
    waiting, reading = keys([*shared, 1, 1]), keys([*shared, 2])
    assert prefixes.must_wait(waiting, [keys([9]), reading])
    assert not prefixes.must_wait(waiting, [])
    assert not prefixes.must_wait(waiting, [keys([0, 1, 2])]), "less than a block is not shared"
    prefixes.note(reading)
    assert not prefixes.must_wait(waiting, [reading]), "what was read before need not be waited for"


def test_equal_prompts_wait_also_for_what_is_no_whole_block() -> None:
    prefixes, prompt = Prefixes(1000), keys([1, 2, 3])
    assert prefixes.must_wait(prompt, [prompt])
    assert not prefixes.must_wait(prompt, [keys([1, 2, 3, 4])])
    prefixes.note(prompt)
    assert not prefixes.must_wait(prompt, [prompt]), "then all of them find it in the cache"


def test_of_prompts_that_part_after_the_end_of_a_text_one_is_read_at_a_time() -> None:
    prefixes = Prefixes(1000)
    text = list(range(BLOCK + 8))
    prefixes.note(keys(text))
    one, other = keys([*text, 1]), keys([*text, 2])
    assert prefixes.must_wait(one, [other])
    assert not prefixes.must_wait(keys([*text[:-1], 9]), [one]), "they part before that end"
    assert not prefixes.must_wait(keys([9]), [one])


def test_the_oldest_keys_are_forgotten_and_those_noted_again_are_not() -> None:
    prefixes = Prefixes(2)
    prefixes.note(keys([1]))
    prefixes.note(keys([2]))
    prefixes.note(keys([1]))
    prefixes.note(keys([3]))
    assert prefixes.must_wait(keys([1, 5]), [keys([1, 6])])
    assert not prefixes.must_wait(keys([2, 5]), [keys([2, 6])])
