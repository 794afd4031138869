"""Logits to ids, for many requests at once. The same filters in the same order as transformers' generate, so that the
two can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.dialogue import Sampling


@dataclass(frozen=True, slots=True)
class Settings:
    """How each row is sampled. Tensors are [rows, 1] but `greedy`, bool [rows], which is None when no row is greedy.

    `penalised` and `drawn`: whether any row is. `top_k` is the longest shortlist a row needs, 0 for all ids.
    """

    temperatures: Tensor
    top_ks: Tensor
    top_ps: Tensor
    penalties: Tensor
    penalised: bool
    drawn: bool
    greedy: Tensor | None
    top_k: int


def settings_of(samplings: Sequence[Sampling], device: torch.device) -> Settings:
    """The settings of rows, one sampling a row."""

    def column(values: list[float], dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=device).unsqueeze(1)

    greedy = [sampling.temperature == 0 for sampling in samplings]
    top_ks = [sampling.top_k for sampling in samplings if sampling.temperature > 0]
    return Settings(
        # Greedy rows are drawn too, and then overruled; 1 keeps them finite.
        temperatures=column([sampling.temperature or 1.0 for sampling in samplings]),
        top_ks=column([sampling.top_k or 2**31 for sampling in samplings], torch.long),
        top_ps=column([sampling.top_p for sampling in samplings]),
        penalties=column([sampling.repetition_penalty for sampling in samplings]),
        penalised=any(sampling.repetition_penalty != 1 for sampling in samplings),
        drawn=bool(top_ks),
        greedy=torch.tensor(greedy, device=device) if any(greedy) else None,
        top_k=0 if 0 in top_ks else max(top_ks, default=0),
    )


def choose_ids(logits: Tensor, ids: Tensor, suppressed: Tensor, settings: Settings, draws: Tensor) -> Tensor:
    """The next id of each row, int64 [rows].

    `logits` float32 [rows, vocabulary], changed in place; `ids` int64 [rows, length], prompt and reply so far, shorter
    ones filled up with any of their own ids; `suppressed` int64, ids never chosen; `draws` float32 [rows, 1], uniform
    in [0, 1), which together with a row's logits decide its id, whoever its neighbours are. Rows of temperature 0
    take the likeliest id.
    """
    logits.index_fill_(1, suppressed, -torch.inf)
    scores = penalise(logits, ids, settings.penalties) if settings.penalised else logits
    if not settings.drawn:
        return scores.argmax(dim=-1)
    values, listed = shortlist(scores, settings)
    chosen = listed.gather(1, draw(values, draws)).squeeze(1)
    if settings.greedy is None:
        return chosen
    return torch.where(settings.greedy, scores.argmax(dim=-1), chosen)


def penalise(logits: Tensor, ids: Tensor, penalties: Tensor) -> Tensor:
    """Scores of ids that occurred already, pushed down by the row's penalty (Keskar et al. 2019); 1 changes nothing."""
    seen = logits.gather(1, ids)
    return logits.scatter(1, ids, torch.where(seen < 0, seen * penalties, seen / penalties))


def shortlist(scores: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """Scores by temperature and ids, each [rows, k], likeliest first; -inf where top-k or top-p cut them.

    Top-p is that of Holtzman et al. (2020). Only the longest top-k of the rows is sorted and drawn from, which for a
    large vocabulary is most of the time saved.
    """
    size = scores.shape[-1]
    values, ids = scores.topk(min(settings.top_k or size, size), dim=-1)
    places = torch.arange(values.shape[1], device=scores.device)
    values = (values / settings.temperatures).masked_fill(places >= settings.top_ks, -torch.inf)
    # Summed from the least likely up, as transformers does: an id goes while it and all below hold at most 1 - p.
    tail = values.softmax(dim=-1).flip(-1).cumsum(dim=-1).flip(-1)
    cut = (tail <= 1 - settings.top_ps) & (places > 0)
    return values.masked_fill(cut, -torch.inf), ids


def draw(values: Tensor, draws: Tensor) -> Tensor:
    """The place [rows, 1] at which the summed likelihoods of `values` pass the row's draw."""
    sums = values.softmax(dim=-1).cumsum(dim=-1)
    # Of the sum that is there, which rounding leaves beside 1. The place found always has a likelihood above 0.
    return (sums < draws * sums[:, -1:]).sum(dim=-1, keepdim=True)
