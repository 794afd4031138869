from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from model import reranker as rerankers
from model.e5_weights import E5Weights
from model.errors import BadCheckpoint
from model.line_vectors import write_arrays
from model.reranker import (
    APART,
    LowerLayers,
    Reranker,
    UpperLayers,
    from_stored,
    load_reranker,
    stored_names,
    to_stored,
    untrained,
)
from tests.model.e5_file import HIDDEN, LAYERS
from tests.model.embedders import WAYS_TO_DAMAGE, damaged
from tests.model.tiny_reranker import CONTEXT, MATCHES, far_apart, fits, upper_of


def test_stored_weights_come_back_rounded(upper: UpperLayers) -> None:
    with torch.no_grad():
        stored = to_stored(upper)
    assert sorted(stored) == sorted(stored_names(upper))
    found, own = from_stored(stored), upper.state_dict()
    assert set(found) == set(own)
    for name, values in own.items():
        assert found[name].dtype == torch.float32
        # Half a step: of the row's 127, or of a half-precision number.
        matrix = f"{name}.scale" in stored
        step = values.abs().amax(dim=-1, keepdim=True) / 127 if matrix else values.abs().clamp_min(6e-5) / 1024
        assert ((found[name] - values).abs() <= 0.51 * step).all(), name
        assert stored[name].dtype == (np.int8 if matrix else np.float16)
    matrices = [name for name in stored if stored[name].dtype == np.int8]
    assert len(matrices) == 4 * (LAYERS - APART), "all that is large is in 8 bits"


def test_rounding_what_is_rounded_changes_nothing(weights: E5Weights, upper: UpperLayers) -> None:
    once = to_stored(upper)
    again = upper_of(weights, seed=1)
    again.load_state_dict(from_stored(once))
    twice = to_stored(again)
    for name, values in once.items():
        assert np.allclose(values, twice[name], rtol=1e-6), name


def test_a_row_of_zeros_is_stored_as_such(weights: E5Weights) -> None:
    upper = upper_of(weights)
    with torch.no_grad():
        upper.get_parameter("layers.0.up.weight")[3] = 0
    found = from_stored(to_stored(upper))["layers.0.up.weight"]
    assert found[3].tolist() == [0.0] * HIDDEN
    assert torch.isfinite(found).all()


def test_a_file_gives_what_its_layers_find(weights: E5Weights, tmp_path: Path) -> None:
    write_arrays(tmp_path / "r.npz", to_stored(upper_of(weights)))
    loaded = fits(Reranker.load(tmp_path / "r.npz", weights), CONTEXT, MATCHES)
    assert loaded == pytest.approx(fits(Reranker(LowerLayers(weights), upper_of(weights)), CONTEXT, MATCHES), abs=0.03)
    other = fits(Reranker(LowerLayers(weights), upper_of(weights, seed=1)), CONTEXT, MATCHES)
    assert far_apart(loaded, other)


@pytest.mark.parametrize("how", WAYS_TO_DAMAGE)
def test_a_file_that_cannot_be_read_is_a_sentence(weights: E5Weights, tmp_path: Path, how: str) -> None:
    write_arrays(tmp_path / "r.npz", to_stored(upper_of(weights)))
    with pytest.raises(BadCheckpoint, match=r"r\.npz cannot be read .*training\.reranker\.$"):
        Reranker.load(damaged(tmp_path / "r.npz", how), weights)


@pytest.mark.parametrize("lost", ["kinds.weight", "layers.1.up.weight.scale", "answers.bias"])
def test_a_file_without_one_of_the_weights_is_refused(weights: E5Weights, tmp_path: Path, lost: str) -> None:
    stored = to_stored(upper_of(weights))
    write_arrays(tmp_path / "r.npz", {name: values for name, values in stored.items() if name != lost})
    with pytest.raises(BadCheckpoint, match=lost):
        Reranker.load(tmp_path / "r.npz", weights)


def test_a_file_of_other_sizes_is_refused(weights: E5Weights, tmp_path: Path) -> None:
    """As of a time when fewer features were told."""
    stored = to_stored(upper_of(weights))
    stored["features.0.weight"] = stored["features.0.weight"][:, :-2]
    write_arrays(tmp_path / "r.npz", stored)
    with pytest.raises(BadCheckpoint, match=r"r\.npz"):
        Reranker.load(tmp_path / "r.npz", weights)


def test_the_one_that_ships_is_loaded_where_its_package_is(
    weights: E5Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerankers, "RERANKER", tmp_path / "r.npz")
    monkeypatch.setattr(rerankers, "find_weights", lambda: weights)
    assert load_reranker() is None
    write_arrays(tmp_path / "r.npz", to_stored(upper_of(weights)))
    found = load_reranker()
    assert found is not None
    assert len(found.fits(CONTEXT, MATCHES)) == len(MATCHES)
    monkeypatch.setattr(rerankers, "find_weights", lambda: None)
    assert load_reranker() is None


def test_what_is_new_begins_small_beside_the_states(weights: E5Weights) -> None:
    """At torch's own deviation of 1 the states were drowned, and training learnt the features alone."""
    upper = untrained(weights)
    assert upper.kinds.weight.std() < 0.03
    assert upper.answers.weight.std() < 0.03


def test_damage_is_told_and_not_passed_over(
    weights: E5Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.npz").write_bytes(b"")
    monkeypatch.setattr(rerankers, "RERANKER", tmp_path / "r.npz")
    monkeypatch.setattr(rerankers, "find_weights", lambda: weights)
    with pytest.raises(BadCheckpoint, match=r"r\.npz"):
        load_reranker()
