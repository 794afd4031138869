"""GPT-2 as an OpenVINO graph, built node by node from its weights; nothing is traced, so nothing is left to chance.

The graph is what OpenVINO GenAI's continuous batching takes (a stateful decoder, attention as one
ScaledDotProductAttention a layer), with three things added that its sampler cannot do:

- Ids that a reply must not contain have the logit -inf.
- The end of a reply is an id of its own, `Vocabulary.end`, embedded as the format's end token is. So the model can
  tell the end it has just written from one that it was given.
- After `end`, the next "token" is the next-utterance score (Wolf et al. 2019) of all that was read, in one of
  `SCORE_IDS` steps. A candidate is thus ranked by one more decoding step instead of a second reading of its prompt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.backends.openvino_silent import import_openvino

Weights = Mapping[str, NDArray[np.float32]]

# What transformers calls them, and OpenVINO.
ACTIVATIONS = {"gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu": "erf"}
SCORE_IDS = 2048
# Scores are told in even steps of their asinh, which is fine near 0 and coarse far from it: within +-100, in steps of
# .5% or .005, whichever is larger.
_REACH = math.asinh(100)
_STEP = 2 * _REACH / (SCORE_IDS - 1)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a GPT-2 is besides its weights. `width` is that of the hidden states, `epsilon` the layer norms'."""

    layers: int
    heads: int
    width: int
    positions: int
    epsilon: float
    activation: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The graph's ids: the model's own, then `end`, then those that tell a score, from `end + 1` on."""

    size: int
    eos_id: int
    suppressed: tuple[int, ...]

    @property
    def end(self) -> int:
        """The id that ends a reply."""
        return self.size


def score_of(token: int, end: int) -> float:
    """The score that the id after `end` tells."""
    return math.sinh((token - end - 1) * _STEP - _REACH)


def build(shape: Shape, weights: Weights, vocabulary: Vocabulary, int8: bool) -> Any:
    """The graph as an `openvino.Model`.

    `weights` are named as in transformers' GPT2LMHeadModel; with `multiple_choice_head.summary.weight` and `.bias`
    among them the graph tells scores. `int8` stores the large matrices in 8 bits, symmetric, with a scale per output
    channel; everything else stays float32.
    """
    return _Builder(shape, weights, vocabulary, int8).model()


class _Builder:
    """The state of one build. Activations are float32 [batch, length, width]."""

    def __init__(self, shape: Shape, weights: Weights, vocabulary: Vocabulary, int8: bool) -> None:
        self._ov = import_openvino()
        self._op = self._ov.opset13
        self._shape = shape
        self._weights = weights
        self._vocabulary = vocabulary
        self._int8 = int8
        self._sinks: list[Any] = []
        self._matrices: dict[str, Any] = {}
        self._scored = "multiple_choice_head.summary.weight" in weights
        self._ids = self._parameter([-1, -1], "input_ids")
        self._mask = self._parameter([-1, -1], "attention_mask")
        self._positions = self._parameter([-1, -1], "position_ids")
        self._beams = self._parameter([-1], "beam_idx", np.int32)
        # GenAI fills this one, by its name, with the places whose logits it wants; only those are projected.
        self._wanted = self._parameter([-1], "sampled_tokens_indices")

    def model(self) -> Any:
        """The whole graph."""
        op = self._op
        own = op.select(
            op.equal(self._ids, self._integers(self._vocabulary.end)),
            self._integers(self._vocabulary.eos_id),
            self._ids,
        )
        words, places = self._matrix("transformer.wte.weight"), self._floats(self._weights["transformer.wpe.weight"])
        zero = self._integers(0)
        hidden = op.add(op.gather(words, own, zero), op.gather(places, self._positions, zero))
        visible = self._visible()
        for layer in range(self._shape.layers):
            hidden = self._block(hidden, visible, f"transformer.h.{layer}", layer)
        hidden = self._normed(op.gather(hidden, self._wanted, zero), "transformer.ln_f")
        result = op.result(self._logits(hidden))
        result.output(0).get_tensor().set_names({"logits"})
        parameters = [self._ids, self._mask, self._positions, self._beams, self._wanted]
        return self._ov.Model([result], self._sinks, parameters, "gpt2")

    def _visible(self) -> Any:
        """What each place may look at: bool [batch, 1, length, past + length]. GenAI replaces it with its own."""
        op = self._op
        total = op.gather(op.shape_of(self._mask), self._integers(1), self._integers(0))
        length = op.gather(op.shape_of(self._ids), self._integers(1), self._integers(0))
        every = op.range(self._integers(0), total, self._integers(1), output_type="i64")
        new = op.unsqueeze(
            op.add(
                op.range(self._integers(0), length, self._integers(1), output_type="i64"), op.subtract(total, length)
            ),
            self._integers(1),
        )
        earlier = op.less_equal(op.unsqueeze(every, self._integers(0)), new)
        there = op.not_equal(op.unsqueeze(self._mask, self._integers([1, 2])), self._integers(0))
        return op.logical_and(op.unsqueeze(earlier, self._integers([0, 1])), there)

    def _block(self, hidden: Any, visible: Any, name: str, layer: int) -> Any:
        op = self._op
        joined = self._linear(self._normed(hidden, f"{name}.ln_1"), f"{name}.attn.c_attn")
        query, key, value = (self._by_head(part) for part in op.split(joined, self._integers(2), 3).outputs())
        key, value = (
            self._remembered(key, f"past_key_values.{layer}.key"),
            self._remembered(value, f"past_key_values.{layer}.value"),
        )
        attended = op.transpose(
            op.scaled_dot_product_attention(query, key, value, visible), self._integers([0, 2, 1, 3])
        )
        attended = op.reshape(attended, self._integers([0, 0, self._shape.width]), True)
        hidden = op.add(hidden, self._linear(attended, f"{name}.attn.c_proj"))
        inner = self._linear(self._normed(hidden, f"{name}.ln_2"), f"{name}.mlp.c_fc")
        return op.add(hidden, self._linear(op.gelu(inner, ACTIVATIONS[self._shape.activation]), f"{name}.mlp.c_proj"))

    def _logits(self, hidden: Any) -> Any:
        """Logits over all ids, [wanted, length, ids]; of `end` and scores too."""
        op, size = self._op, self._vocabulary.size
        words = op.matmul(hidden, self._matrix(self._head_name()), False, True)
        barred = np.zeros(size, np.float32)
        barred[[*self._vocabulary.suppressed, self._vocabulary.eos_id]] = -np.inf
        end = op.gather(words, self._integers([self._vocabulary.eos_id]), self._integers(-1))
        replying = op.concat([op.add(words, self._floats(barred)), end], -1)
        if not self._scored:
            return replying
        ids = op.gather(self._ids, self._wanted, self._integers(0))
        ended = op.equal(op.reshape(ids, self._integers([0, -1, 1]), True), self._integers(self._vocabulary.end))
        nothing = self._floats(-np.inf)
        return op.concat([op.select(ended, nothing, replying), op.select(ended, self._score(hidden), nothing)], -1)

    def _score(self, hidden: Any) -> Any:
        """The next-utterance score of each place as logits [wanted, length, SCORE_IDS]: 0 for its step, else -inf."""
        op = self._op
        name = "multiple_choice_head.summary"
        score = op.matmul(hidden, self._floats(self._weights[f"{name}.weight"]), False, True)
        score = op.add(score, self._floats(self._weights[f"{name}.bias"]))
        reach = op.clamp(op.asinh(score), -_REACH, _REACH)
        step = op.round(op.multiply(op.add(reach, self._floats(_REACH)), self._floats(1 / _STEP)))
        steps = self._floats(np.arange(SCORE_IDS, dtype=np.float32))
        return op.select(op.equal(step, steps), self._floats(0), self._floats(-np.inf))

    def _head_name(self) -> str:
        return "lm_head.weight" if "lm_head.weight" in self._weights else "transformer.wte.weight"

    def _normed(self, hidden: Any, name: str) -> Any:
        """Layer normalisation."""
        op = self._op
        normal = op.mvn(hidden, self._integers([-1]), True, self._shape.epsilon, "inside_sqrt")
        scaled = op.multiply(normal, self._floats(self._weights[f"{name}.weight"]))
        return op.add(scaled, self._floats(self._weights[f"{name}.bias"]))

    def _linear(self, hidden: Any, name: str) -> Any:
        """transformers' Conv1D, whose weight is stored [inputs, outputs]."""
        # Turned round here, because that is how OpenVINO packs it fastest.
        product = self._op.matmul(hidden, self._matrix(f"{name}.weight", turned=True), False, True)
        return self._op.add(product, self._floats(self._weights[f"{name}.bias"]))

    def _matrix(self, name: str, turned: bool = False) -> Any:
        """A large matrix [outputs, inputs]; the same node whenever it is asked for again."""
        if name not in self._matrices:
            values = self._weights[name].T if turned else self._weights[name]
            self._matrices[name] = self._in_8_bits(values) if self._int8 else self._floats(values)
        return self._matrices[name]

    def _in_8_bits(self, values: NDArray[np.float32]) -> Any:
        scales = np.abs(values).max(axis=1, keepdims=True) / 127
        scales[scales == 0] = 1
        rounded = np.ascontiguousarray(np.rint(values / scales).astype(np.int8))
        wide = self._op.convert(self._op.constant(rounded), "f32")
        return self._op.multiply(wide, self._floats(scales))

    def _by_head(self, part: Any) -> Any:
        """[batch, length, width] as [batch, heads, length, width / heads]."""
        shape = self._integers([0, 0, self._shape.heads, self._shape.width // self._shape.heads])
        return self._op.transpose(self._op.reshape(part, shape, True), self._integers([0, 2, 1, 3]))

    def _remembered(self, new: Any, name: str) -> Any:
        """`new` keys or values after those of earlier calls, which the graph keeps as its state."""
        op, util = self._op, self._ov.op.util
        info = util.VariableInfo()
        info.variable_id = name
        info.data_type = self._ov.Type.f32
        heads, size = self._shape.heads, self._shape.width // self._shape.heads
        info.data_shape = self._ov.PartialShape([-1, heads, -1, size])
        variable = util.Variable(info)
        batch = op.gather(op.shape_of(self._ids), self._integers([0]), self._integers(0))
        empty = op.broadcast(self._floats(0), op.concat([batch, self._integers([heads, 0, size])], 0))
        past = op.gather(op.read_value(empty, variable), self._beams, self._integers(0))
        all_of_it = op.concat([past, new], 2)
        self._sinks.append(op.assign(all_of_it, variable))
        return all_of_it

    def _parameter(self, shape: list[int], name: str, kind: type = np.int64) -> Any:
        parameter = self._op.parameter(self._ov.PartialShape(shape), kind)
        parameter.set_friendly_name(name)
        parameter.output(0).get_tensor().set_names({name})
        return parameter

    def _integers(self, values: int | Sequence[int]) -> Any:
        return self._op.constant(np.array(values, np.int64))

    def _floats(self, values: float | NDArray[np.float32]) -> Any:
        return self._op.constant(np.ascontiguousarray(values, np.float32))
