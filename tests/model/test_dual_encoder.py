from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.dialogue import DialogueContext, Role, Turn
from model.dual_encoder import TURNS, DualEncoder, turns_read, weight_names
from model.embedding import DIMENSIONS
from model.errors import BadCheckpoint
from tests.model.builders import user_last
from tests.model.embedders import WAYS_TO_DAMAGE, BigramEmbedder, FixedEmbedder, damaged, identity_ranker, no_lines

# Two directions, and what lies between them.
PLANE = FixedEmbedder(
    {
        "동": (1, 0),
        "북": (0, 1),
        "북동": (0.6, 0.8),
        "서": (-1, 0),
    }
)


def scores(context: DialogueContext, *replies: str, **weights: float) -> list[float]:
    return DualEncoder(identity_ranker(**weights), no_lines(PLANE)).scores(context, replies)


def said(*texts: str, persona: tuple[str, ...] = ()) -> DialogueContext:
    return DialogueContext(persona, user_last(*texts))


def test_the_turns_read_are_the_newest_and_the_last_of_each_before_it() -> None:
    assert turns_read(DialogueContext()) == (None, None, None)
    assert turns_read(said("가")) == ("가", None, None)
    assert turns_read(said("가", "나", "다")) == ("다", "나", "가")
    assert turns_read(said("가", "나", "다", "라", "마")) == ("마", "라", "다")


def test_turns_in_a_row_count_by_who_said_them() -> None:
    turns = (Turn(Role.BOT, "가"), Turn(Role.USER, "나"), Turn(Role.USER, "다"))
    assert turns_read(DialogueContext(turns=turns)) == ("다", "가", "나")


def test_a_reply_near_to_what_was_said_scores_higher() -> None:
    assert scores(said("동"), "동", "북동", "북", "서") == pytest.approx([1, 0.6, 0, -1], abs=1e-5)


def test_earlier_turns_count_by_their_weights() -> None:
    weights = {"bot": 0.5, "user": 0.25}
    assert scores(said("북", "동", "서"), "동", "북", **weights) == pytest.approx([-1 + 0.5, 0.25], abs=1e-5)


def test_missing_turns_add_nothing() -> None:
    assert scores(DialogueContext(), "동", "북") == [0, 0]


def test_the_fact_that_fits_best_adds_its_fit() -> None:
    plain = scores(said("북"), "동", "북")
    assert plain == pytest.approx([0, 1], abs=1e-5)
    given = scores(said("북", persona=("서", "북동", "동")), "동", "북", fact=0.5)
    assert given == pytest.approx([0 + 0.5, 1 + 0.4], abs=1e-5)


def test_the_scale_multiplies_all() -> None:
    context = said("동", persona=("북",))
    assert scores(context, "북동", scale=4.0) == pytest.approx([4 * 1.4], abs=1e-4)


def test_the_low_rank_map_turns_what_was_read() -> None:
    weights = identity_ranker()
    weights["down.newest"][0, 0] = 1.0
    weights["up.newest"][0, 1] = 3.0
    east, north = DualEncoder(weights, no_lines(PLANE)).scores(said("동"), ["동", "북"])
    assert (east, north) == pytest.approx((1, 3), abs=1e-5)
    assert DualEncoder(weights, no_lines(PLANE)).scores(said("북"), ["동", "북"]) == pytest.approx([0, 1], abs=1e-5)


def test_scores_are_plain_numbers_one_a_reply() -> None:
    found = scores(said("동"), "동", "동", "북")
    assert [type(score) for score in found] == [float] * 3
    assert found[0] == found[1]
    assert scores(said("동")) == []


def test_all_texts_are_embedded_at_once() -> None:
    embedder = BigramEmbedder()
    ranker = DualEncoder(identity_ranker(), no_lines(embedder))
    ranker.scores(said("가", "나", "다", persona=("라",)), ["마", "바"])
    assert embedder.embedded == ["마", "바", "라", "다", "나", "가"]


def saved(path: Path) -> Path:
    np.savez(path, **identity_ranker(scale=2.0))  # type: ignore[arg-type]  # numpy's stub takes its own option here
    return path


def test_a_file_gives_the_scores_of_its_weights(tmp_path: Path) -> None:
    ranker = DualEncoder.load(saved(tmp_path / "d.npz"), no_lines(PLANE))
    assert ranker.scores(said("동"), ["북동"]) == pytest.approx([1.2], abs=1e-5)


def test_half_precision_is_read_as_single(tmp_path: Path) -> None:
    halves = {name: values.astype(np.float16) for name, values in identity_ranker(scale=2.0).items()}
    np.savez(tmp_path / "d.npz", **halves)  # type: ignore[arg-type]
    ranker = DualEncoder.load(tmp_path / "d.npz", no_lines(PLANE))
    assert ranker.scores(said("동"), ["북동"]) == pytest.approx([1.2], abs=1e-5)


def test_every_role_has_its_three_weights() -> None:
    assert len(weight_names()) == len(set(weight_names())) == 1 + 3 * (len(TURNS) + 2)
    assert identity_ranker().keys() == set(weight_names())
    assert identity_ranker()["down.fact"].shape[0] == DIMENSIONS


@pytest.mark.parametrize("how", WAYS_TO_DAMAGE)
def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, how: str) -> None:
    path = damaged(saved(tmp_path / "d.npz"), how)
    with pytest.raises(BadCheckpoint, match=r"d\.npz cannot be read .*training\.dual_encoder\.$"):
        DualEncoder.load(path, no_lines())


@pytest.mark.parametrize("lost", ["scale", "up.fact", "weight.user"])
def test_a_file_without_one_of_the_weights_is_refused(tmp_path: Path, lost: str) -> None:
    weights = {name: values for name, values in identity_ranker().items() if name != lost}
    np.savez(tmp_path / "d.npz", **weights)  # type: ignore[arg-type]
    with pytest.raises(BadCheckpoint, match=lost):
        DualEncoder.load(tmp_path / "d.npz", no_lines())
