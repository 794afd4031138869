"""GPT-2 with two heads: the next token, and whether a reply is the next utterance (Wolf et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import GPT2Config, GPT2DoubleHeadsModel, PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of a model trained from scratch."""

    layers: int = 4
    width: int = 256
    heads: int = 4
    positions: int = 512
    dropout: float = 0.1


def new_model(tokenizer: PreTrainedTokenizerFast, shape: Shape) -> GPT2DoubleHeadsModel:
    """A randomly initialised model for `tokenizer`; draws from torch's global generator."""
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=shape.positions,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        resid_pdrop=shape.dropout,
        embd_pdrop=shape.dropout,
        attn_pdrop=shape.dropout,
        summary_first_dropout=shape.dropout,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config.num_labels = 1  # one score a candidate
    return GPT2DoubleHeadsModel(config)


def fit_vocabulary(model: GPT2DoubleHeadsModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Grow the embeddings (never shrink them) so that every id of `tokenizer` has one, the mean of the old ones."""
    if len(tokenizer) > model.config.vocab_size:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=True)


def parameter_count(model: torch.nn.Module) -> int:
    """Number of weights, tied ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
