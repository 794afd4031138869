from __future__ import annotations

import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from model.dialogue import Sampling
from model.sampling import Settings, choose_ids, penalise, settings_of, shortlist

ROWS, VOCABULARY = 3, 50
NONE_SUPPRESSED = torch.tensor([], dtype=torch.long)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def settings(*samplings: Sampling) -> Settings:
    return settings_of(samplings, torch.device("cpu"))


def draws(seed: int, rows: int = ROWS) -> torch.Tensor:
    return torch.rand(rows, 1, generator=seeded(seed))


def random_logits() -> torch.Tensor:
    return torch.randn(ROWS, VOCABULARY, generator=seeded()) * 3


def random_ids() -> torch.Tensor:
    return torch.randint(VOCABULARY, (ROWS, 20), generator=seeded(1))


@pytest.mark.parametrize("penalty", [0.8, 1.1, 2.0])
def test_the_penalty_is_that_of_transformers(penalty: float) -> None:
    logits, ids = random_logits(), random_ids()
    expected = RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
    assert torch.equal(penalise(logits, ids, torch.full((ROWS, 1), penalty)), expected)


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(0.7, 40, 0.9), (1.0, 5, 1.0), (1.3, 0, 0.8), (0.3, 1, 0.5), (1.0, 0, 1.0), (1.0, 500, 0.95), (1.0, 10, 1e-6)],
)
def test_the_shortlist_is_what_the_warpers_of_transformers_keep(temperature: float, top_k: int, top_p: float) -> None:
    logits = random_logits()
    warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    if top_k:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p < 1:
        warpers.append(TopPLogitsWarper(top_p))
    expected = warpers(random_ids(), logits.clone())  # type: ignore[arg-type]
    row = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    values, listed = shortlist(logits, settings(row, row, row))
    assert torch.equal(torch.full_like(logits, -torch.inf).scatter(1, listed, values), expected)


def test_rows_with_settings_of_their_own_are_as_if_alone() -> None:
    samplings = (
        Sampling(temperature=0.5, top_k=5, top_p=0.9, repetition_penalty=1.3),
        Sampling(temperature=2.0, top_k=0, top_p=1.0, repetition_penalty=1.0),
        Sampling(temperature=0, repetition_penalty=1.1),
    )
    logits, ids = random_logits(), random_ids()
    for seed in range(50):
        drawn = draws(seed)
        together = choose_ids(logits, ids, NONE_SUPPRESSED, settings(*samplings), drawn)
        alone = [
            choose_ids(logits[row, None], ids[row, None], NONE_SUPPRESSED, settings(sampling), drawn[row, None])
            for row, sampling in enumerate(samplings)
        ]
        assert together.tolist() == [int(each) for each in alone]


@pytest.mark.parametrize("drawn", [0.0, 1 - 2**-24])
def test_the_first_and_the_last_draw_stay_within_the_shortlist(drawn: float) -> None:
    row = Sampling(temperature=1, top_k=10, top_p=0.7, repetition_penalty=1)
    edge = torch.full((ROWS, 1), drawn)
    values, listed = shortlist(random_logits(), settings(row, row, row))
    chosen = choose_ids(random_logits(), random_ids(), NONE_SUPPRESSED, settings(row, row, row), edge)
    for place, kept, ids in zip(chosen.tolist(), values.isfinite(), listed, strict=True):
        assert place == ids[kept].tolist()[-1 if drawn else 0]


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = random_logits()
    greedy = settings(*[Sampling(temperature=0, repetition_penalty=1)] * ROWS)
    chosen = choose_ids(logits, random_ids(), NONE_SUPPRESSED, greedy, draws(5))
    assert torch.equal(chosen, logits.argmax(-1))


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_suppressed_ids_are_never_chosen(temperature: float) -> None:
    suppressed = torch.tensor([token for token in range(VOCABULARY) if token not in {7, 9}])
    rows = settings(*[Sampling(temperature=temperature, top_k=0, top_p=1)] * ROWS)
    chosen = {
        token
        for seed in range(30)
        for token in choose_ids(random_logits(), random_ids(), suppressed, rows, draws(seed)).tolist()
    }
    assert chosen <= {7, 9}


def test_ids_are_drawn_as_often_as_they_are_likely() -> None:
    likelihoods = torch.tensor([0.5, 0.3, 0.2])
    rows = 20_000
    sampling = Sampling(temperature=1, top_k=0, top_p=1, repetition_penalty=1)
    ids = torch.zeros(rows, 1, dtype=torch.long)
    logits = likelihoods.log().repeat(rows, 1)
    drawn = choose_ids(logits, ids, NONE_SUPPRESSED, settings(*[sampling] * rows), draws(0, rows))
    shares = torch.bincount(drawn, minlength=3) / rows
    assert torch.allclose(shares, likelihoods, atol=0.02)
