"""A GPT-2 checkpoint as OpenVINO GenAI takes it, the usual way: traced from torch, nothing of ours added.

The engine builds its own graph (`model.backends.openvino_graph`); the peer must not share that one's costs or gains.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import GPT2LMHeadModel

from model.backends.openvino_silent import import_openvino
from model.files import write_json

# Constants of at least so many values are stored in 8 bits.
_LARGE = 1 << 14


class _Traced(torch.nn.Module):
    """GPT-2 with the keys and values of what was read before as plain inputs and outputs."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.transformer = model.transformer
        self.lm_head = model.lm_head
        self.heads = int(model.config.n_head)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, *past: Tensor) -> list[Tensor]:
        """Logits [batch, length, vocabulary], then keys and values [batch, heads, past + length, width of a head]."""
        hidden = self.transformer.wte(input_ids) + self.transformer.wpe(position_ids)
        before, length = past[0].shape[2], input_ids.shape[1]
        causal = torch.ones(length, before + length, dtype=torch.bool).tril(before)
        mask = causal[None, None] & attention_mask.bool()[:, None, None]
        present: list[Tensor] = []
        for number, block in enumerate(self.transformer.h):
            split = block.attn.c_attn(block.ln_1(hidden)).split(hidden.shape[-1], dim=2)
            query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in split)
            key = torch.cat([past[2 * number], key], dim=2)
            value = torch.cat([past[2 * number + 1], value], dim=2)
            present += [key, value]
            seen = scaled_dot_product_attention(query, key, value, attn_mask=mask)
            hidden = hidden + block.attn.c_proj(seen.transpose(1, 2).flatten(2))
            hidden = hidden + block.mlp(block.ln_2(hidden))
        return [self.lm_head(self.transformer.ln_f(hidden)), *present]


@torch.no_grad()
def convert(checkpoint: Path, folder: Path) -> None:
    """Write the int8 model of `checkpoint` (weights symmetric, one scale an output channel) to the new `folder`."""
    ov = import_openvino()
    model = GPT2LMHeadModel.from_pretrained(str(checkpoint), dtype=torch.float32, local_files_only=True)
    layers, heads = model.config.n_layer, model.config.n_head
    width = model.config.n_embd // heads
    # Unequal sizes, so that the tracer cannot take one for another.
    past = [torch.zeros(2, heads, 3, width) for _ in range(2 * layers)]
    ids = torch.ones(2, 4, dtype=torch.long)
    wrapped = cast(torch.nn.Module, _Traced(model)).eval()
    example = (ids, torch.ones(2, 7, dtype=torch.long), ids, *past)
    with warnings.catch_warnings():
        # The converter's way of tracing is one that torch and transformers have announced the end of.
        warnings.simplefilter("ignore")
        traced = ov.convert_model(wrapped, example_input=example)
    _name(traced, layers, heads, width)
    _quantise(traced)
    _make_stateful(traced, layers, heads, width)
    folder.mkdir()
    ov.save_model(traced, folder / "openvino_model.xml", compress_to_fp16=False)
    write_json(folder / "config.json", {"model_type": "gpt2", "eos_token_id": model.config.eos_token_id})


def _past_names(layers: int, prefix: str) -> list[str]:
    return [f"{prefix}.{layer}.{part}" for layer in range(layers) for part in ("key", "value")]


def _name(model: Any, layers: int, heads: int, width: int) -> None:
    ov = import_openvino()
    inputs = ["input_ids", "attention_mask", "position_ids", *_past_names(layers, "past_key_values")]
    for port, name in zip(model.inputs, inputs, strict=True):
        port.get_tensor().set_names({name})
        shape = [-1, heads, -1, width] if name.startswith("past") else [-1, -1]
        port.get_node().set_partial_shape(ov.PartialShape(shape))
    for port, name in zip(model.outputs, ["logits", *_past_names(layers, "present")], strict=True):
        port.get_tensor().set_names({name})
    model.validate_nodes_and_infer_types()


def _quantise(model: Any) -> None:
    """Store the large matrices in 8 bits; the positions' table, which is only looked up, stays as it is."""
    opset = import_openvino().opset13
    position_ids = next(node for node in model.get_parameters() if "position_ids" in node.output(0).get_names())
    for node in model.get_ordered_ops():
        shape = list(node.output(0).get_partial_shape().to_shape()) if node.get_type_name() == "Constant" else []
        if len(shape) != 2 or shape[0] * shape[1] < _LARGE or _reads(node, position_ids):
            continue
        users = list(node.output(0).get_target_inputs())
        values = node.get_data().astype(np.float32)
        axis = 1 if _rows_are_outputs(users) else 0
        scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True), 1e-8) / 127
        small = opset.constant(np.round(values / scale).astype(np.int8), dtype=np.int8)
        whole = opset.multiply(opset.convert(small, "f32"), opset.constant(scale.astype(np.float32)))
        for user in users:
            user.replace_source_output(whole.output(0))
    model.validate_nodes_and_infer_types()


def _rows_are_outputs(users: Any) -> bool:
    """Whether a matrix has an output channel a row: embeddings, and factors that a MatMul transposes."""
    for user in users:
        node = user.get_node()
        if node.get_type_name() == "MatMul":
            return bool(node.get_attributes()["transpose_b"])
    return True


def _reads(node: Any, parameter: Any) -> bool:
    """Whether a constant is looked up by `parameter`, directly or after a conversion."""
    for user in node.output(0).get_target_inputs():
        gather = user.get_node()
        if gather.get_type_name() == "Gather":
            source = gather.input_value(1).get_node()
            while source.get_input_size() and source.get_type_name() == "Convert":
                source = source.input_value(0).get_node()
            if source.get_friendly_name() == parameter.get_friendly_name():
                return True
    return False


def _make_stateful(model: Any, layers: int, heads: int, width: int) -> None:
    """Turn the past into the model's own state, which paged attention then takes over."""
    ov = import_openvino()
    opset = ov.opset13
    # Private, and the only way; the version is pinned.
    from openvino._offline_transformations import apply_make_stateful_transformation

    beam = opset.parameter([-1], dtype=np.int32, name="beam_idx")
    beam.output(0).get_tensor().set_names({"beam_idx"})
    model.add_parameters([beam])
    names = _past_names(layers, "past_key_values")
    for parameter in model.get_parameters():
        if parameter.output(0).get_names() & set(names):
            users = list(parameter.output(0).get_target_inputs())
            kept = opset.gather(parameter, beam, opset.constant(0, dtype=np.int64))
            for user in users:
                user.replace_source_output(kept.output(0))
    model.validate_nodes_and_infer_types()
    pairs = dict(zip(names, _past_names(layers, "present"), strict=True))
    apply_make_stateful_transformation(model, pairs)
    ids = next(node for node in model.get_parameters() if "input_ids" in node.output(0).get_names())
    batch = opset.gather(
        opset.shape_of(ids, output_type="i64"), opset.constant([0], dtype=np.int64), opset.constant(0, dtype=np.int64)
    )
    numbers = [opset.constant([number], dtype=np.int64) for number in (heads, 0, width)]
    empty = opset.broadcast(opset.constant(0.0, dtype=np.float32), opset.concat([batch, *numbers], axis=0))
    for node in model.get_ops():
        if node.get_type_name() == "ReadValue":
            node.set_arguments([empty.output(0)])
    model.validate_nodes_and_infer_types()
