"""The parts of the torch backend: packed linear layers, rows, the prefix cache."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.backends.torch_linear import choose_precision, pack
from model.backends.torch_prefix import BLOCK, PrefixCache
from model.backends.torch_rows import KeyValueShape, Row, RowCache
from tests.model.builders import repeatable

CPU = torch.device("cpu")
SHAPE = KeyValueShape(layers=2, heads=2, head_size=4, dtype=torch.float32, device=CPU)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("precision", "error"), [("fp32", 1e-6), ("bf16", 1e-2), ("int8", 3e-2)])
@pytest.mark.parametrize("rows", [1, 2, 17])
def test_packed_layers_are_linear_layers(precision: str, error: float, rows: int) -> None:
    weight, bias, x = random(96, 64), random(96, seed=1), random(rows, 64, seed=2)
    for given_bias in (bias, None):
        expected = torch.nn.functional.linear(x, weight, given_bias)
        got = pack(weight, given_bias, precision)(x)
        assert got.dtype == torch.float32
        assert (got - expected).norm() < error * expected.norm()


def test_a_row_in_8_bits_does_not_depend_on_its_neighbours() -> None:
    layer = pack(random(96, 64), random(96, seed=1), "int8")
    x = random(9, 64, seed=2) * torch.logspace(-3, 3, 9)[:, None]
    x[4] = 0
    together = layer(x)
    for row in range(9):
        assert torch.allclose(together[row], layer(x[row : row + 1])[0], rtol=1e-6, atol=0)
    assert torch.allclose(together[4], random(96, seed=1))


def test_precision_is_the_machines_unless_asked_for() -> None:
    assert choose_precision("auto", CPU) in {"int8", "fp32"}
    assert choose_precision("auto", torch.device("cuda")) == "bf16"
    assert choose_precision("fp32", CPU) == "fp32"


def filled(rows: RowCache, number: int, length: int) -> Row:
    """A new row all of whose values, and tokens, are `number`."""
    row = Row()
    rows.take(row, [number] * length)
    values = torch.full((SHAPE.layers, 2, SHAPE.heads, length, SHAPE.head_size), float(number))
    rows.write(row, values)
    return row


@repeatable
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7), st.integers(1, 100)), max_size=30))
def test_rows_keep_their_content_and_stay_without_gaps(steps: list[tuple[bool, int, int]]) -> None:
    rows = RowCache(SHAPE, limit=1 << 20)
    held: dict[int, Row] = {}
    for number, (taking, index, length) in enumerate(steps, start=1):
        if taking or not held:
            longest = max([length, *(row.length for row in held.values())])
            assert rows.fit(len(held) + 1, longest)
            held[number] = filled(rows, number, length)
        else:
            rows.release(held.pop(list(held)[index % len(held)]))
        assert sorted(row.slot for row in held.values()) == list(range(rows.count))
        for name, row in held.items():
            assert (rows.read(row, 0, row.length) == name).all()
            assert (rows.ids[row.slot, : row.length] == name).all()
        assert rows.bytes <= 1 << 20


def test_rows_never_take_more_than_their_limit_and_change_their_form() -> None:
    limit = 256 * SHAPE.position_bytes
    rows = RowCache(SHAPE, limit)
    assert rows.fit(4, 64) and rows.bytes == limit
    assert not rows.fit(5, 64) and not rows.fit(1, 257)
    assert rows.fit(1, 256) and rows.bytes == limit, "many short ones make place for a long one"
    assert rows.holds(1, 256) and not rows.holds(2, 129)


def test_whatever_a_row_has_beyond_its_own_tokens_is_its_first() -> None:
    rows = RowCache(SHAPE, limit=1 << 20)
    rows.fit(1, 10)
    rows.release(filled(rows, 9, 10))
    row = Row()
    rows.take(row, [3, 5])
    assert rows.ids[row.slot].tolist() == [3, 5] + [3] * (rows.positions - 2)
    rows.fit(2, 200)
    assert set(rows.ids[row.slot].tolist()) == {3, 5}


def values(tokens: list[int]) -> torch.Tensor:
    """Keys and values that tell which tokens they are of: each the sum of the tokens up to there."""
    sums = torch.tensor(tokens, dtype=torch.float32).cumsum(0)
    return sums.view(1, 1, 1, -1, 1).expand(2, 2, 2, -1, 4)


def add(cache: PrefixCache, tokens: list[int]) -> None:
    known = cache.known(tokens)
    cache.add(tokens, known, values(tokens)[..., known:, :])


BLOCK_BYTES = 2 * 2 * 2 * BLOCK * 4 * 4
TOKENS = st.lists(st.integers(0, 1), max_size=5 * BLOCK)


@repeatable
@given(st.lists(TOKENS, max_size=20), st.integers(0, 30))
def test_what_is_found_is_what_was_kept_and_the_limit_holds(sequences: list[list[int]], blocks: int) -> None:
    cache = PrefixCache(limit=blocks * BLOCK_BYTES)
    for tokens in sequences:
        add(cache, tokens)
        assert cache.bytes <= cache.limit
        for asked in sequences:
            found = cache.find(asked)
            assert len(found) * BLOCK == cache.known(asked)
            if found:
                assert torch.equal(torch.cat(found, dim=3), values(asked)[..., : len(found) * BLOCK, :])


def test_conversations_share_their_beginning_and_find_all_whole_blocks() -> None:
    cache = PrefixCache(limit=1 << 20)
    persona = list(range(2 * BLOCK))
    first, second = persona + [50] * BLOCK, persona + [60] * (BLOCK + 3)
    add(cache, first)
    assert cache.known(second) == 2 * BLOCK
    add(cache, second)
    assert cache.bytes == 4 * BLOCK_BYTES
    assert (cache.known(first), cache.known(second)) == (3 * BLOCK, 3 * BLOCK)


def test_the_least_recently_used_end_goes_first() -> None:
    cache = PrefixCache(limit=4 * BLOCK_BYTES)
    persona = list(range(2 * BLOCK))
    old, new, newest = (persona + [number] * BLOCK for number in (50, 60, 70))
    add(cache, old)
    add(cache, new)
    cache.find(old)
    add(cache, newest)
    assert [cache.known(tokens) for tokens in (old, new, newest)] == [3 * BLOCK, 2 * BLOCK, 3 * BLOCK]
    cache.shrink(0)
    assert cache.bytes == cache.known(old) == 0
