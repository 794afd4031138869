"""A tiny reranker, and what it is asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from model.dialogue import DialogueContext, Role, Source, Turn
from model.e5_weights import E5Weights
from model.reranker import LowerLayers, Reranker, UpperLayers, untrained
from model.retriever import Match

CONTEXT = DialogueContext((), (Turn(Role.USER, "산에 비"), Turn(Role.BOT, "달"), Turn(Role.USER, "밥 국")))
MATCHES = (
    Match("꽃", 0.9, Source.RETRIEVER, "빵 떡", deep=True),
    Match("물 술", 0.4, Source.LISTENER, "밥국"),
    Match("별 해", 0.2, Source.LISTENER, "집!", general=True),
    Match("길 말", 0.2),
)


def upper_of(weights: E5Weights, seed: int = 0) -> UpperLayers:
    """Upper layers whose answers differ from reply to reply."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        upper = untrained(weights).eval()
        with torch.no_grad():
            upper.answers.weight.mul_(15)
            upper.kinds.weight.mul_(50)
    return upper


def fits(reranker: Reranker, context: DialogueContext, matches: Sequence[Match]) -> Tensor:
    return torch.tensor([[fit.sensible, fit.specific] for fit in reranker.fits(context, matches)])


def far_apart(first: Tensor, second: Tensor) -> bool:
    return float((first - second).abs().max()) > 0.05


def texts_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the lower layers are given from now on."""
    given: list[str] = []
    of = LowerLayers.of

    def recorded(self: LowerLayers, texts: Sequence[str]) -> list[Tensor]:
        given.extend(texts)
        return of(self, texts)

    monkeypatch.setattr(LowerLayers, "of", recorded)
    return given
