from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.embedding import DIMENSIONS
from model.errors import BadCheckpoint
from model.line_vectors import LineVectors, line_key, packed, unit, unpacked
from tests.model.embedders import WAYS_TO_DAMAGE, Array, BigramEmbedder, FixedEmbedder, damaged, no_lines, stored_lines

LINES = ("점심 뭐 먹을까?", "비가 와요", "잠이 안 와", "강아지가 귀여워요")


def drawn(rows: int, size: int = DIMENSIONS) -> Array:
    return np.random.default_rng(0).normal(size=(rows, size)).astype(np.float32)


def cosines(left: Array, right: Array) -> Array:
    return np.asarray((unit(left) * unit(right)).sum(-1), np.float32)


def test_packing_takes_half_a_byte_a_number_and_keeps_directions() -> None:
    vectors = drawn(50)
    codes = packed(vectors)
    assert codes.dtype == np.uint8
    assert codes.shape == (50, DIMENSIONS // 2)
    assert cosines(vectors, unpacked(codes)).min() > 0.98


def test_cosines_between_packed_lines_stay_near_the_true_ones() -> None:
    base = drawn(1)
    vectors = unit(base + np.linspace(0, 3, 20, dtype=np.float32)[:, None] * drawn(20))
    again = unit(unpacked(packed(vectors)))
    assert np.abs(vectors @ vectors.T - again @ again.T).max() < 0.05


def test_length_makes_no_difference_to_packing() -> None:
    vectors = drawn(5)
    for factor in (np.float32(1024), np.float32(1 / 1024)):
        assert np.array_equal(packed(vectors), packed(vectors * factor))


def test_each_number_comes_back_in_its_place_with_its_sign() -> None:
    vectors = np.array([[7, -7, 0, 3, -1, 2]], np.float32)
    assert np.array_equal(unpacked(packed(vectors)), vectors)


def test_a_row_of_zeros_stays_one() -> None:
    zeros = np.zeros((2, DIMENSIONS), np.float32)
    assert np.array_equal(unit(zeros), zeros)
    assert np.array_equal(unpacked(packed(zeros)), zeros)


@pytest.mark.parametrize(
    ("text", "same"), [("비가 와요", " 비가  와요 "), ("비가 와요", "비가\u200b 와요"), ("와아아아", "와아아아아아")]
)
def test_a_line_is_known_however_it_is_spaced(text: str, same: str) -> None:
    assert line_key(text) == line_key(same)


def test_other_lines_have_other_keys_of_64_bits() -> None:
    keys = {line_key(f"{number}번") for number in range(1000)}
    assert len(keys) == 1000
    assert 2**60 < max(keys) < 2**64


def test_known_lines_are_looked_up_and_others_embedded(tmp_path: Path) -> None:
    embedder = BigramEmbedder()
    vectors = LineVectors.load(stored_lines(tmp_path / "v.npz", LINES), embedder)
    found = vectors.of([LINES[2], "처음 듣는 말이에요", LINES[0]])
    assert embedder.embedded == ["처음 듣는 말이에요"]
    assert found.dtype == np.float32
    assert found.shape == (3, DIMENSIONS)
    true = BigramEmbedder().embed([LINES[2], "처음 듣는 말이에요", LINES[0]])
    assert cosines(found, true) == pytest.approx([1, 1, 1], abs=0.02)
    assert cosines(found, true)[1] == pytest.approx(1, abs=1e-6), "what is new is not rounded"


def test_all_vectors_are_of_unit_length(tmp_path: Path) -> None:
    vectors = LineVectors.load(stored_lines(tmp_path / "v.npz", LINES), BigramEmbedder())
    assert np.linalg.norm(vectors.of([*LINES, "처음 듣는 말"]), axis=1) == pytest.approx(np.ones(5), abs=1e-5)


def test_what_all_lines_share_is_taken_off_new_ones(tmp_path: Path) -> None:
    mean = np.zeros(DIMENSIONS, np.float32)
    mean[0] = 0.8
    path = stored_lines(tmp_path / "v.npz", LINES, mean)
    vectors = LineVectors.load(path, FixedEmbedder({"가": (0.8, 0.6), "나": (0.8, -0.6)}))
    first, second = vectors.of(["가", "나"])
    assert first @ second == pytest.approx(-1)


def test_a_text_given_twice_has_its_vector_twice() -> None:
    found = no_lines().of(["비가 와요", "잠이 안 와", "비가 와요"])
    assert np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])


def test_no_text_and_no_line_are_fine(tmp_path: Path) -> None:
    assert no_lines().of([]).shape == (0, DIMENSIONS)
    embedder = BigramEmbedder()
    assert LineVectors.load(stored_lines(tmp_path / "v.npz", LINES), embedder).of([]).shape == (0, DIMENSIONS)
    assert embedder.embedded == []


def test_keys_before_the_first_and_behind_the_last_are_unknown(tmp_path: Path) -> None:
    embedder = BigramEmbedder()
    one = LineVectors.load(stored_lines(tmp_path / "v.npz", LINES[:1]), embedder)
    others = [f"{number}번" for number in range(20)]
    assert {line_key(text) < line_key(LINES[0]) for text in others} == {True, False}
    one.of([*others, LINES[0]])
    assert embedder.embedded == others


@pytest.mark.parametrize("how", WAYS_TO_DAMAGE)
def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, how: str) -> None:
    path = damaged(stored_lines(tmp_path / "v.npz", LINES), how)
    with pytest.raises(BadCheckpoint, match=r"v\.npz cannot be read .*training\.vectors\.$"):
        LineVectors.load(path, BigramEmbedder())
