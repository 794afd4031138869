"""Linear layers packed for the machine: exact, half as wide, or in 8 bits."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear

Linear = Callable[[Tensor], Tensor]
"""float32 [rows, inputs] to float32 [rows, outputs] (on a GPU in the weights' own type)."""


def choose_precision(asked: str, device: torch.device) -> str:
    """The precision that "auto" means here; any other is taken as it is."""
    if asked != "auto":
        return asked
    if device.type != "cpu":
        return "bf16"
    return "int8" if _has_int8() else "fp32"


def pack(weight: Tensor, bias: Tensor | None, precision: str) -> Linear:
    """A linear layer of `weight` [outputs, inputs] in "int8", "bf16" or "fp32"."""
    if weight.device.type != "cpu":
        return PlainLinear(weight, bias)
    if precision == "int8" and _has_int8():
        return Int8Linear(weight, bias)
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return PlainLinear(weight.float(), bias)
    return PackedLinear(weight.bfloat16() if precision == "bf16" else weight.float(), bias)


def _has_int8() -> bool:
    return "fbgemm" in torch.backends.quantized.supported_engines


class PlainLinear:
    """Weights as they are."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight = weight.contiguous()
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        return linear(x, self._weight, self._bias)


class PackedLinear:
    """Weights in oneDNN's own order, float32 or bfloat16."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._dtype = weight.dtype
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
        self._bias = bias.to(weight.dtype) if bias is not None else None

    def __call__(self, x: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x.to(self._dtype), self._weight, self._bias, "none", [], "")
        return out.float()


class Int8Linear:
    """8-bit weights with a scale an output, 8-bit inputs with a scale a row.

    The kernel quantises all rows of its input by one range. So that no row's result depends on its neighbours, rows
    are brought to [-1, 1] first, and one more row has exactly that range.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        torch.backends.quantized.engine = "fbgemm"
        scales = weight.float().abs().amax(dim=1).clamp_min(1e-12) / 127
        zeros = torch.zeros(len(weight), dtype=torch.long)
        with warnings.catch_warnings():
            # Deprecated without a successor that is as fast: oneDNN's takes many times as long for a few rows.
            warnings.simplefilter("ignore")
            quantised = torch.quantize_per_channel(weight.float(), scales.double(), zeros, 0, torch.qint8)
        self._weight = torch.ops.quantized.linear_prepack(quantised, None)
        self._bias = bias.float() if bias is not None else None
        self._range = torch.zeros(weight.shape[1])
        self._range[0], self._range[-1] = -1, 1

    def __call__(self, x: Tensor) -> Tensor:
        rows, width = x.shape
        scales = x.abs().amax(dim=-1, keepdim=True).clamp_min_(1e-12)
        padded = x.new_empty(rows + 1, width)
        padded[rows] = self._range
        torch.div(x, scales, out=padded[:rows])
        out: Tensor = torch.ops.quantized.linear_dynamic(padded, self._weight, False)[:rows]
        return out * scales if self._bias is None else torch.addcmul(self._bias, out, scales)
