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
from model.sampling import choose_ids, penalise, shortlist

ROWS, VOCABULARY = 3, 50
NONE_SUPPRESSED = torch.zeros(VOCABULARY, dtype=torch.bool)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_logits() -> torch.Tensor:
    return torch.randn(ROWS, VOCABULARY, generator=seeded()) * 3


def random_ids() -> torch.Tensor:
    return torch.randint(VOCABULARY, (ROWS, 20), generator=seeded(1))


@pytest.mark.parametrize("penalty", [0.8, 1.1, 2.0])
def test_the_penalty_is_that_of_transformers(penalty: float) -> None:
    logits, ids = random_logits(), random_ids()
    expected = RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
    assert torch.equal(penalise(logits, ids, penalty), expected)


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
    values, listed = shortlist(logits / temperature, top_k, top_p)
    assert torch.equal(torch.full_like(logits, -torch.inf).scatter(1, listed, values), expected)


def test_temperature_zero_takes_the_likeliest_and_draws_nothing() -> None:
    logits, generator = random_logits(), seeded(5)
    before = generator.get_state()
    sampling = Sampling(temperature=0, repetition_penalty=1)
    chosen = choose_ids(logits, random_ids(), NONE_SUPPRESSED, sampling, generator)
    assert torch.equal(chosen, logits.argmax(-1))
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_suppressed_ids_are_never_chosen(temperature: float) -> None:
    suppressed = torch.ones(VOCABULARY, dtype=torch.bool)
    suppressed[[7, 9]] = False
    sampling = Sampling(temperature=temperature, top_k=0, top_p=1)
    generator = seeded()
    chosen = {
        token
        for _ in range(30)
        for token in choose_ids(random_logits(), random_ids(), suppressed, sampling, generator).tolist()
    }
    assert chosen <= {7, 9}


def test_the_same_seed_draws_the_same_ids() -> None:
    def draw(seed: int) -> list[list[int]]:
        generator, sampling = seeded(seed), Sampling(top_k=0, top_p=1, temperature=2)
        return [
            choose_ids(random_logits(), random_ids(), NONE_SUPPRESSED, sampling, generator).tolist() for _ in range(20)
        ]

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def test_ids_are_drawn_as_often_as_they_are_likely() -> None:
    likelihoods = torch.tensor([0.5, 0.3, 0.2])
    rows = 20_000
    sampling = Sampling(temperature=1, top_k=0, top_p=1, repetition_penalty=1)
    ids = torch.zeros(rows, 1, dtype=torch.long)
    suppressed = torch.zeros(3, dtype=torch.bool)
    drawn = choose_ids(likelihoods.log().expand(rows, -1), ids, suppressed, sampling, seeded())
    shares = torch.bincount(drawn, minlength=3) / rows
    assert torch.allclose(shares, likelihoods, atol=0.02)
