"""Which of the looked-up replies fits here: a cross-encoder (Nogueira and Cho 2019) on top of multilingual-e5-small.

The lower layers of e5 read each text alone, as its package does; the upper layers, trained on replies that readers
judged (`python -m training.reranker`), read conversation, candidate and what the candidate answered once together, as
in PreTTR (MacAvaney et al. 2020). All candidates of a conversation go through at once: each sees the conversation and
itself, the conversation sees only itself, so it is computed once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from model.backends.torch_linear import choose_precision, pack
from model.dialogue import DialogueContext, Source
from model.e5_weights import E5Weights, find_weights
from model.errors import BadCheckpoint
from model.line_vectors import read_arrays
from model.retriever import Fit, Match
from model.text import clean_text

RERANKER = Path(__file__).resolve().parent / "retrieval" / "reranker.npz"
APART = 8
"""Layers that read each text alone."""
TURNS = 3
"""Newest turns of the conversation that are read."""
_MOST_TOKENS = 40
_PREFIX = "query: "
# <s> and the three tokens of the prefix, which tell nothing.
_LEFT_OUT = 4
_START = 0.02
# States of a line are about 10 KiB; lines come back with every message of a conversation, replies with every like one.
_REMEMBERED = 2048
# What a stretch of states is: a turn by its age, then what the candidate answered once, then the candidate.
_SAID, _REPLY = TURNS, TURNS + 1
FEATURES = 9
"""See `features`."""

Layers = TypeVar("Layers", bound=nn.Module)


class EncoderLayer(nn.Module):
    """One layer of BERT (Devlin et al. 2019): attention, then a feed-forward part, each added and normalised."""

    def __init__(self, hidden: int, heads: int, intermediate: int, epsilon: float) -> None:
        super().__init__()
        self._heads = heads
        self.projections = nn.Linear(hidden, 3 * hidden)
        self.attended = nn.Linear(hidden, hidden)
        self.attention_norm = nn.LayerNorm(hidden, epsilon)
        self.up = nn.Linear(hidden, intermediate)
        self.down = nn.Linear(intermediate, hidden)
        self.norm = nn.LayerNorm(hidden, epsilon)
        self.dropout = nn.Dropout(0.1)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """`states`: float32 [batch, tokens, hidden]; `mask`: bool [batch, 1, tokens, tokens], what sees what."""
        batch, tokens, hidden = states.shape
        parts = self.projections(states).view(batch, tokens, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(parts[0], parts[1], parts[2], mask)
        seen = seen.transpose(1, 2).reshape(batch, tokens, hidden)
        states = self.attention_norm(states + self.dropout(self.attended(seen)))
        inner = self.down(gelu(self.up(states)))
        found: Tensor = self.norm(states + self.dropout(inner))
        return found


def layer_of(weights: E5Weights, number: int) -> EncoderLayer:
    """Layer `number` of e5, from 0."""
    sizes = weights.sizes
    layer = EncoderLayer(sizes.hidden, sizes.heads, sizes.intermediate, weights.epsilon)
    own = f"l{number}."
    tensors = {
        "projections.weight": np.concatenate([weights.matrix(f"{own}{part}.w", sizes.hidden) for part in "qkv"]),
        "projections.bias": np.concatenate([weights.floats(f"{own}{part}.b") for part in "qkv"]),
        "attended.weight": weights.matrix(f"{own}ao.w", sizes.hidden),
        "up.weight": weights.matrix(f"{own}fi.w", sizes.intermediate),
        "down.weight": weights.matrix(f"{own}fo.w", sizes.hidden),
    }
    floats = {"attended.bias": "ao.b", "up.bias": "fi.b", "down.bias": "fo.b"}
    floats |= {"attention_norm.weight": "aln.w", "attention_norm.bias": "aln.b"}
    floats |= {"norm.weight": "oln.w", "norm.bias": "oln.b"}
    tensors |= {name: weights.floats(own + stored) for name, stored in floats.items()}
    layer.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()})
    return layer


class LowerLayers(nn.Module):
    """Texts to the states of their tokens after the first `APART` layers."""

    def __init__(self, weights: E5Weights) -> None:
        super().__init__()
        self._weights = weights
        self.layers = nn.ModuleList(layer_of(weights, number) for number in range(APART))
        hidden = weights.sizes.hidden
        places = weights.floats("emb.pos").reshape(-1, hidden) + weights.floats("emb.type")[:hidden]
        self._places = torch.from_numpy(places)
        self._norm = nn.LayerNorm(hidden, weights.epsilon)
        self._norm.weight.data = torch.from_numpy(weights.floats("emb.ln.w").copy())
        self._norm.bias.data = torch.from_numpy(weights.floats("emb.ln.b").copy())
        self.eval()

    @torch.inference_mode()
    def of(self, texts: Sequence[str]) -> list[Tensor]:
        """float32 [tokens, hidden] of each text."""
        if not texts:
            return []
        ids = [self._weights.tokens(_PREFIX + clean_text(text), _MOST_TOKENS) for text in texts]
        longest = max(map(len, ids))
        padded = np.array([each + [self._weights.padding] * (longest - len(each)) for each in ids], np.int64)
        real = torch.tensor([[place < len(each) for place in range(longest)] for each in ids])
        states = self._norm(torch.from_numpy(self._weights.word_vectors(padded)) + self._places[:longest])
        for layer in self.layers:
            states = layer(states, real[:, None, None, :])
        # Copies, as a view would keep the whole batch in memory.
        return [found[_LEFT_OUT : len(each)].clone() for found, each in zip(states, ids, strict=True)]


class UpperLayers(nn.Module):
    """What is trained: the layers that read all together, and the two answers, "sensible" and "specific"."""

    def __init__(self, layers: Sequence[EncoderLayer], hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.kinds = nn.Embedding(TURNS + 2, hidden)
        # Torch's own start, of deviation 1, drowns the states, and nothing is learnt but the features.
        nn.init.normal_(self.kinds.weight, std=_START)
        self.dropout = nn.Dropout(0.1)
        self.answers = nn.Linear(hidden, 2)
        nn.init.normal_(self.answers.weight, std=_START)
        self.features = nn.Sequential(nn.Linear(FEATURES, 32), nn.GELU(), nn.Linear(32, 2))

    def forward(self, states: Tensor, kinds: Tensor, owners: Tensor, features: Tensor) -> Tensor:
        """Logits, float32 [batch, candidates, 2].

        `states`: float32 [batch, tokens, hidden]; `kinds`, `owners`: int64 [batch, tokens], what a token's text is and
        whose it is: 0 the conversation's, k the k-th candidate's, -1 nobody's; `features`: float32 [batch, candidates,
        FEATURES].
        """
        mask = (owners[:, :, None] == owners[:, None, :]) | (owners[:, None, :] == 0)
        states = states + self.kinds(kinds)
        for layer in self.layers:
            states = layer(states, mask[:, None])
        numbers = torch.arange(1, features.shape[1] + 1)
        own = ((owners[:, None, :] == numbers[None, :, None]) & (kinds == _REPLY)[:, None, :]).float()
        replies = own @ states / own.sum(dim=-1, keepdim=True).clamp_min(1)
        logits: Tensor = self.answers(self.dropout(replies)) + self.features(features)
        return logits


def features(context: DialogueContext, match: Match) -> list[float]:
    """How the candidate was found: nearness, from what kind of line, in the midst of which talk, to how sure an act."""
    listened = float(match.source is Source.LISTENER)
    return [
        match.confidence,
        listened,
        float(match.general),
        match.confidence * listened,
        float(match.deep),
        float(len(context.turns) > 1),
        float(len(context.turns) > TURNS),
        match.chance or 0.0,
        float(match.chance is not None),
    ]


def laid_out(turns: Sequence[Tensor], candidates: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """States, kinds and owners of one conversation's tokens; `turns`: the newest first; candidates: (said, reply)."""
    stretches = [(states, age, 0) for age, states in enumerate(turns[:TURNS])]
    for number, (said, reply) in enumerate(candidates, 1):
        stretches += [(said, _SAID, number), (reply, _REPLY, number)]
    kinds = torch.cat([torch.full((len(states),), kind) for states, kind, _ in stretches])
    owners = torch.cat([torch.full((len(states),), owner) for states, _, owner in stretches])
    return torch.cat([states for states, _, _ in stretches]), kinds, owners


class Reranker:
    """The trained layers in service, in 8 bits where the machine has them; they are packed in place."""

    def __init__(self, lower: LowerLayers, upper: UpperLayers) -> None:
        precision = choose_precision("auto", torch.device("cpu"))
        self._lower, self._upper = _packed(lower, precision).eval(), _packed(upper, precision).eval()
        self._known: OrderedDict[str, Tensor] = OrderedDict()

    @classmethod
    def load(cls, path: Path, weights: E5Weights) -> Reranker:
        """Read the trained layers. Raises BadCheckpoint when they are none of ours or damaged."""
        return cls(LowerLayers(weights), load_upper(path, weights))

    @torch.inference_mode()
    def fits(self, context: DialogueContext, matches: Sequence[Match]) -> list[Fit]:
        """How each match fits as the next line of `context`."""
        if not matches or not context.turns:
            return []
        turns = [turn.text for turn in reversed(context.turns[-TURNS:])]
        known = self._states([*turns, *(text for match in matches for text in (match.said or "", match.text))])
        pairs = [(known[match.said or ""], known[match.text]) for match in matches]
        states, kinds, owners = laid_out([known[text] for text in turns], pairs)
        told = torch.tensor([[features(context, match) for match in matches]])
        chances = torch.sigmoid(self._upper(states[None], kinds[None], owners[None], told))[0]
        return [Fit(float(sensible), float(specific)) for sensible, specific in chances]

    def _states(self, texts: Sequence[str]) -> dict[str, Tensor]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self._lower.of(new), strict=True))
        for text in texts:
            self._known.move_to_end(text)
        found = {text: self._known[text] for text in texts}
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found


def untrained(weights: E5Weights) -> UpperLayers:
    """The upper layers as e5 has them, under answers that know nothing."""
    layers = [layer_of(weights, number) for number in range(APART, weights.sizes.layers)]
    return UpperLayers(layers, weights.sizes.hidden)


def load_reranker() -> Reranker | None:
    """The one that ships; None where the package that has the lower layers is not installed."""
    weights = find_weights() if RERANKER.exists() else None
    return Reranker.load(RERANKER, weights) if weights is not None else None


def load_upper(path: Path, weights: E5Weights) -> UpperLayers:
    """The trained layers alone. Raises BadCheckpoint when they are none of ours or damaged."""
    upper = untrained(weights)
    stored = read_arrays(path, stored_names(upper), "training.reranker")
    try:
        upper.load_state_dict(from_stored(stored))
    except RuntimeError as error:
        raise BadCheckpoint(f"{path} is of other sizes; make it anew with python -m training.reranker.") from error
    return upper


class _Packed(nn.Module):
    """A linear layer of `model.backends.torch_linear` in the place of torch's."""

    def __init__(self, linear: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._linear = linear

    def forward(self, x: Tensor) -> Tensor:
        return self._linear(x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], -1)


def _packed(module: Layers, precision: str) -> Layers:
    for layer in module.modules():
        if isinstance(layer, EncoderLayer):
            for name, child in list(layer.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(layer, name, _Packed(pack(child.weight.detach(), child.bias.detach(), precision)))
    return module


def stored_names(upper: UpperLayers) -> list[str]:
    """All names a file of weights holds."""
    names = list(upper.state_dict())
    return [*names, *(f"{name}.scale" for name in names if _is_matrix(name))]


def _is_matrix(name: str) -> bool:
    return name.startswith("layers.") and name.endswith(".weight") and "norm" not in name


def to_stored(upper: UpperLayers) -> dict[str, NDArray[np.generic]]:
    """Matrices in 8 bits with a scale a row, the rest in float16."""
    stored: dict[str, NDArray[np.generic]] = {}
    for name, tensor in upper.state_dict().items():
        values = tensor.detach().numpy()
        if _is_matrix(name):
            scale = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12) / 127
            stored[name] = np.rint(values / scale).astype(np.int8)
            stored[f"{name}.scale"] = scale.astype(np.float32)
        else:
            stored[name] = values.astype(np.float16)
    return stored


def from_stored(stored: dict[str, NDArray[np.generic]]) -> dict[str, Tensor]:
    """What `to_stored` was given, rounded."""
    return {
        name: torch.from_numpy(np.asarray(values, np.float32) * np.asarray(stored.get(f"{name}.scale", 1), np.float32))
        for name, values in stored.items()
        if not name.endswith(".scale")
    }
