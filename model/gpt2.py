"""GPT-2 with two heads: the next token, and whether a reply is the next utterance (Wolf et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2DoubleHeadsModel, PreTrainedTokenizerFast

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of a model trained from scratch. `positions` is the longest sequence in tokens."""

    layers: int = 4
    width: int = 256
    heads: int = 4
    positions: int = 256
    dropout: float = 0.1


class Losses(NamedTuple):
    """Mean losses in nats: a supervised token's, and a choice's (None where nothing was to be chosen)."""

    tokens: Tensor
    choice: Tensor | None


class DialogueModel(GPT2DoubleHeadsModel):  # type: ignore[no-untyped-call]
    """The same weights and files as GPT2DoubleHeadsModel; only the training losses are computed more sparingly.

    transformers projects every position of every candidate onto the vocabulary; here only supervised positions are,
    which for a small model is most of the work saved.
    """

    def losses(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        targets: Tensor,
        choices: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Losses:
        """Losses of packed rows.

        `input_ids`, `position_ids`, `targets` (and `token_type_ids`): int64 [rows, length]. Positions restart at 0
        with each sequence, which also keeps attention inside it; `targets` holds the next token, IGNORED where it is
        not learnt. `choices`: int64 [examples, candidates], the index of each candidate's last token in the
        flattened rows, the true reply last.
        """
        hidden = self.transformer(
            input_ids, position_ids=position_ids, token_type_ids=token_type_ids, use_cache=False
        ).last_hidden_state
        learnt = targets != IGNORED
        tokens = cross_entropy(self.lm_head(hidden[learnt]).float(), targets[learnt])
        if choices is None:
            return Losses(tokens, None)
        last = hidden.flatten(0, 1)[choices].unsqueeze(-2)
        scores = self.multiple_choice_head(last).squeeze(-1).float()
        gold = torch.full((len(scores),), scores.shape[1] - 1, device=scores.device)
        return Losses(tokens, cross_entropy(scores, gold))

    def forward(self, *args: object, **inputs: object) -> object:
        """As in transformers; with `targets`, the `Losses` (the Trainer's distributed wrapper knows only forward)."""
        if "targets" in inputs:
            return self.losses(**inputs)  # type: ignore[arg-type]
        return super().forward(*args, **inputs)


def new_model(tokenizer: PreTrainedTokenizerFast, shape: Shape) -> DialogueModel:
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
    return DialogueModel(config)


def fit_vocabulary(model: DialogueModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Grow the embeddings (never shrink them) so that every id of `tokenizer` has one, drawn around the old mean."""
    if len(tokenizer) > model.config.vocab_size:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=True)


def parameter_count(model: torch.nn.Module) -> int:
    """Number of weights, tied ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
