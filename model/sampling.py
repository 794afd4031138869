"""Logits to ids. The same filters in the same order as transformers' generate, so that the two can be compared."""

from __future__ import annotations

import torch
from torch import Tensor

from model.dialogue import Sampling


def choose_ids(
    logits: Tensor, ids: Tensor, suppressed: Tensor, sampling: Sampling, generator: torch.Generator
) -> Tensor:
    """The next id of each row, int64 [rows].

    `logits` float32 [rows, vocabulary]; `ids` int64 [rows, length], prompt and reply so far; `suppressed` bool
    [vocabulary], ids never chosen. Temperature 0 takes the likeliest id and leaves `generator` alone.
    """
    scores = penalise(logits, ids, sampling.repetition_penalty).masked_fill(suppressed, -torch.inf)
    if sampling.temperature == 0:
        return scores.argmax(dim=-1)
    values, listed = shortlist(scores / sampling.temperature, sampling.top_k, sampling.top_p)
    drawn = torch.multinomial(values.softmax(dim=-1), 1, generator=generator)
    return listed.gather(1, drawn).squeeze(1)


def penalise(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Scores of ids that occurred already, pushed down by `penalty` (Keskar et al. 2019); 1 changes nothing."""
    if penalty == 1:
        return logits
    seen = logits.gather(1, ids)
    return logits.scatter(1, ids, torch.where(seen < 0, seen * penalty, seen / penalty))


def shortlist(scores: Tensor, top_k: int, top_p: float) -> tuple[Tensor, Tensor]:
    """Scores and ids, each [rows, k], likeliest first; what top-p (Holtzman et al. 2020) cuts has the score -inf.

    Only the `top_k` best are sorted and drawn from (0: all), which for a large vocabulary is most of the time saved.
    """
    values, ids = scores.topk(min(top_k or scores.shape[-1], scores.shape[-1]), dim=-1)
    # Summed from the least likely up, as transformers does: an id goes while it and all below hold at most 1 - p.
    tail = values.softmax(dim=-1).flip(-1).cumsum(dim=-1).flip(-1)
    cut = tail <= 1 - top_p
    cut[:, 0] = False
    return values.masked_fill(cut, -torch.inf), ids
