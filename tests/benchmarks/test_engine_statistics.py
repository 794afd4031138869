from __future__ import annotations

import pytest

from benchmarks.engine_statistics import METRICS, figure, percentile, ratio, ratio_range, ratios


def test_a_figure_has_the_median_and_both_ends() -> None:
    found = figure([5.0, 1.0, 3.0])
    assert (found.median, found.min, found.max) == (3.0, 1.0, 5.0)
    assert found.rounds == (5.0, 1.0, 3.0)


def test_the_median_of_two_lies_between_them() -> None:
    assert figure([1.0, 2.0]).median == 1.5


def test_a_ratio_is_above_one_where_ours_is_better_whichever_way_the_metric_counts() -> None:
    assert ratio("first_token", ours=[10.0], theirs=[40.0]) == 4.0
    assert ratio("tokens_per_s_8", ours=[40.0], theirs=[10.0]) == 4.0
    assert ratio("four_candidates", ours=[40.0], theirs=[10.0]) == 0.25


def test_a_ratio_compares_medians() -> None:
    assert ratio("first_token", ours=[1.0, 2.0, 100.0], theirs=[4.0, 4.0, 5.0]) == 2.0


def test_a_ratio_range_pairs_the_rounds() -> None:
    assert ratio_range("tokens_per_s_32", ours=[10.0, 30.0], theirs=[5.0, 10.0]) == (2.0, 3.0)


def test_ratios_are_none_where_one_side_has_no_figure() -> None:
    found = ratios({"first_token": [1.0], "warm_32_chats": [8.0]}, {"warm_32_chats": [4.0]})
    assert set(found) == set(METRICS)
    assert found["warm_32_chats"] == 2.0
    assert found["first_token"] is None


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_percentiles_are_nearest_ranks(share: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.95) == 7.0
