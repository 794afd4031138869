"""GPT-2's forward over cached rows: the sequences of many requests, one token or many of each, in one pass.

The same mathematics as transformers' GPT2Model in evaluation mode, without what training and its options need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding, gelu, layer_norm, scaled_dot_product_attention
from transformers.activations import ACT2FN

from model.backends.torch_linear import Linear, PlainLinear, pack
from model.backends.torch_rows import KeyValueShape, Row, RowCache
from model.gpt2 import DialogueModel


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens to read next in a row, with their token types where the format has them."""

    row: Row
    ids: Sequence[int]
    kinds: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class _Long:
    """Several tokens of one row: where they are among all tokens, and in the row; `mask` None for a whole prefix."""

    offset: int
    count: int
    slot: int
    start: int
    mask: Tensor | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is the same in every layer. The spans of one token come first, in the order of their slots.

    `slots` and `positions` int64 [tokens] say where keys and values go. The single tokens attend together, over rows
    0 to `rows` - 1 up to `length`; `mask` [rows, 1, 1, length] or None; `lanes` are their rows where those are not
    simply all.
    """

    ids: Tensor
    kinds: Tensor | None
    slots: Tensor
    positions: Tensor
    singles: int
    rows: int
    length: int
    mask: Tensor | None
    lanes: Tensor | None
    longs: tuple[_Long, ...]


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, slots=True)
class _Layer:
    before_attention: _Norm
    attention: Linear
    attended: Linear
    before_feed: _Norm
    feed: Linear
    fed: Linear
    scale: float


class PackedGpt2:
    """The weights of a DialogueModel, packed. `head` maps hidden states to logits."""

    def __init__(self, model: DialogueModel, precision: str, device: torch.device) -> None:
        config = model.config
        # What is not packed stays exact on a CPU; a GPU has one type for all.
        dtype = torch.bfloat16 if device.type != "cpu" and precision == "bf16" else torch.float32
        body: Any = model.transformer
        self.shape = KeyValueShape(config.n_layer, config.n_head, config.n_embd // config.n_head, dtype, device)

        def at_home(tensor: Tensor) -> Tensor:
            return tensor.detach().to(device, dtype)

        def norm(module: Any) -> _Norm:
            return _Norm(at_home(module.weight), at_home(module.bias), config.layer_norm_epsilon)

        def turned(module: Any) -> Linear:  # transformers' Conv1D keeps [inputs, outputs]
            return pack(at_home(module.weight).t(), at_home(module.bias), precision)

        self._words, self._places = at_home(body.wte.weight), at_home(body.wpe.weight)
        self._layers = [
            _Layer(
                norm(block.ln_1),
                turned(block.attn.c_attn),
                turned(block.attn.c_proj),
                norm(block.ln_2),
                turned(block.mlp.c_fc),
                turned(block.mlp.c_proj),
                _scale(config, number),
            )
            for number, block in enumerate(body.h)
        ]
        self._last = norm(body.ln_f)
        self._activate = _activation(config.activation_function)
        tied = model.lm_head.weight.data_ptr() == body.wte.weight.data_ptr()
        words = self._words if tied else at_home(model.lm_head.weight)
        self.head: Linear = PlainLinear(words, None) if device.type != "cpu" else pack(words, None, precision)
        self._choice = model.multiple_choice_head.to(device, dtype)

    def choice(self, hidden: Tensor) -> Tensor:
        """Next-utterance scores [rows] of hidden states [rows, width] at the ends of sequences."""
        first = torch.zeros(len(hidden), dtype=torch.long, device=hidden.device)
        scores: Tensor = self._choice(hidden.unsqueeze(1), first)
        return scores.reshape(-1).float()

    def forward(self, cache: RowCache, plan: Plan) -> Tensor:
        """Hidden states [tokens, width] after the last norm; keys and values are written into the rows."""
        x = embedding(plan.ids, self._words) + embedding(plan.positions, self._places)
        if plan.kinds is not None:
            x = x + embedding(plan.kinds, self._words)
        for layer, kept in zip(self._layers, cache.layers, strict=True):
            x = x + layer.attended(self._attend(layer, kept, layer.attention(layer.before_attention(x)), plan))
            x = x + layer.fed(self._activate(layer.feed(layer.before_feed(x))))
        return self._last(x)

    def _attend(self, layer: _Layer, kept: Tensor, mixed: Tensor, plan: Plan) -> Tensor:
        """Attention of all tokens over their own rows, [tokens, width], from queries, keys and values `mixed`."""
        tokens, width = mixed.shape[0], mixed.shape[1] // 3
        heads, size = self.shape.heads, self.shape.head_size
        kept[:, plan.slots, :, plan.positions] = mixed[:, width:].view(tokens, 2, heads, size)
        queries = mixed[:, :width].view(tokens, heads, size)
        parts = []
        if plan.singles:
            parts.append(self._attend_singles(layer, kept, queries[: plan.singles], plan))
        for long in plan.longs:
            keys, values = kept[:, long.slot : long.slot + 1, :, : long.start + long.count]
            asked = queries[long.offset : long.offset + long.count].transpose(0, 1).unsqueeze(0)
            out = scaled_dot_product_attention(
                asked, keys, values, attn_mask=long.mask, is_causal=long.mask is None, scale=layer.scale
            )
            parts.append(out.squeeze(0).transpose(0, 1))
        attended = parts[0] if len(parts) == 1 else torch.cat(parts)
        return attended.reshape(tokens, width)

    def _attend_singles(self, layer: _Layer, kept: Tensor, queries: Tensor, plan: Plan) -> Tensor:
        keys, values = kept[:, : plan.rows, :, : plan.length]
        asked = queries
        if plan.lanes is not None:
            asked = queries.new_zeros(plan.rows, *queries.shape[1:]).index_copy_(0, plan.lanes, queries)
        out = scaled_dot_product_attention(asked.unsqueeze(2), keys, values, attn_mask=plan.mask, scale=layer.scale)
        return out.squeeze(2) if plan.lanes is None else out.squeeze(2).index_select(0, plan.lanes)


def make_plan(spans: Sequence[Span], shape: KeyValueShape) -> tuple[Plan, list[int]]:
    """The plan of one forward, and for each span the index of its last token in the result."""
    order = sorted(range(len(spans)), key=lambda index: (len(spans[index].ids) > 1, spans[index].row.slot))
    ordered = [spans[index] for index in order]
    singles = [span.row for span in ordered if len(span.ids) == 1]
    longs: list[_Long] = []
    last = [0] * len(spans)
    offset = 0
    for index, span in zip(order, ordered, strict=True):
        count = len(span.ids)
        if count > 1:
            mask = _causal(count, span.row.length, shape) if span.row.length else None
            longs.append(_Long(offset, count, span.row.slot, span.row.length, mask))
        offset += count
        last[index] = offset - 1
    rows = singles[-1].slot + 1 if singles else 0
    length = max((row.length for row in singles), default=-1) + 1
    gaps = len(singles) < rows
    uneven = any(row.length + 1 != length for row in singles)

    def on_device(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=shape.device)

    plan = Plan(
        ids=on_device([token for span in ordered for token in span.ids]),
        kinds=on_device([kind for span in ordered for kind in span.kinds or ()])
        if spans[0].kinds is not None
        else None,
        slots=on_device([span.row.slot for span in ordered for _ in span.ids]),
        positions=on_device([span.row.length + step for span in ordered for step in range(len(span.ids))]),
        singles=len(singles),
        rows=rows,
        length=length,
        mask=_lengths_mask(singles, rows, length, shape) if uneven else None,
        lanes=on_device([row.slot for row in singles]) if gaps else None,
        longs=tuple(longs),
    )
    return plan, last


def _causal(count: int, start: int, shape: KeyValueShape) -> Tensor:
    """[count, start + count]: 0 where a token may look, -inf where it may not."""
    mask = torch.full((count, start + count), -torch.inf, dtype=shape.dtype, device=shape.device)
    return mask.triu_(start + 1)


def _lengths_mask(singles: Sequence[Row], rows: int, length: int, shape: KeyValueShape) -> Tensor:
    """[rows, 1, 1, length]: 0 up to each row's new position, -inf beyond; rows without a query see everything."""
    ends = [length] * rows
    for row in singles:
        ends[row.slot] = row.length + 1
    seen = torch.arange(length) < torch.tensor(ends)[:, None]
    mask = torch.zeros(rows, length, dtype=shape.dtype).masked_fill_(~seen, -torch.inf)
    return mask[:, None, None].to(shape.device)


def _scale(config: Any, layer: int) -> float:
    scale = float((config.n_embd // config.n_head) ** -0.5) if config.scale_attn_weights else 1.0
    return scale / (layer + 1) if config.scale_attn_by_inverse_layer_idx else scale


def _activation(name: str) -> Callable[[Tensor], Tensor]:
    if name == "gelu_new":
        return lambda x: gelu(x, approximate="tanh")
    known: Callable[[Tensor], Tensor] = ACT2FN[name]
    return known
