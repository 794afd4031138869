"""Learn from 👍 and 👎 by KTO (Ethayarajh et al. 2024, "Model Alignment as Prospect Theoretic Optimization").

A thumb is unpaired: one reply was wanted, or was not. With x a context, y its reply, π the model that learns and π0 the
one it started as (equations 7 and 8 of the paper):

    r = log π(y|x) − log π0(y|x)
    z = max(0, mean over the batch of log π(y'|x) − log π0(y'|x)), y' a reply to another context, without gradient
    v = λ_D σ(β (r − z)) where y was wanted, λ_U σ(β (z − r)) where it was not
    loss = mean(λ_y − v)

Written here and not taken from trl 1.16, whose versions would fit: its KTOTrainer takes texts only and tokenizes them
itself, special tokens included, so that what a person typed could forge a turn, and learns other sequences than
`chat_format.encode`, the only encoder there is, makes in serving. It also needs datasets, pandas and pyarrow.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from model.chat_format import Encoded
from model.checkpoint import Checkpoint
from model.gpt2 import IGNORED, DialogueModel, Losses
from training.base import pad_id
from training.collected import Preference
from training.dataset import Item
from training.errors import BadData
from training.trainer import TrainOptions, train

# Fewer thumbs say more about who pressed them than about replies.
LEAST_LABELS = 36
LEAST_OF_A_KIND = 6
BETA = 0.1
_STEP_SIZE = 0.1
_DROPOUTS = ("resid_pdrop", "embd_pdrop", "attn_pdrop", "summary_first_dropout")


@dataclass(frozen=True, slots=True)
class Judged(Item):
    """A reply in its context and a reply of another context in the same one; `references`: log π0 of both, in nats."""

    wanted: bool = True
    references: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Weights:
    """λ of wanted and unwanted replies."""

    wanted: float
    unwanted: float


def check_labels(preferences: Sequence[Preference]) -> None:
    """Raise BadData when there are too few thumbs, or too few of one kind, to learn from."""
    wanted = sum(preference.wanted for preference in preferences)
    unwanted = len(preferences) - wanted
    if len(preferences) < LEAST_LABELS or min(wanted, unwanted) < LEAST_OF_A_KIND:
        raise BadData(
            f"There are {wanted} 👍 and {unwanted} 👎 to learn from, and --preference needs at least {LEAST_LABELS} "
            f"in all and {LEAST_OF_A_KIND} of each; leave it out until more people have judged replies."
        )


def balanced(preferences: Sequence[Preference]) -> Weights:
    """λ such that both kinds weigh the same in all, the rarer one more a reply (section 4.2 of the paper)."""
    wanted = sum(preference.wanted for preference in preferences)
    unwanted = len(preferences) - wanted
    return Weights(max(1.0, unwanted / wanted), max(1.0, wanted / unwanted))


def kto_loss(gains: Tensor, others: Tensor, wanted: Tensor, weights: Weights, beta: float = BETA) -> Tensor:
    """The loss above, a scalar. `gains` (r) and `others` (of y') float32 [replies], `wanted` bool [replies]."""
    z = others.mean().clamp(min=0).detach()
    value = torch.where(wanted, torch.sigmoid(beta * (gains - z)), torch.sigmoid(beta * (z - gains)))
    weight = torch.where(wanted, weights.wanted, weights.unwanted)
    return (weight * (1 - value)).mean()


class PreferenceModel(DialogueModel):  # type: ignore[no-untyped-call]
    """The same weights with the KTO loss in the place of the language model's. `weights` are set before training."""

    weights = Weights(1.0, 1.0)

    def losses(  # type: ignore[override]
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        targets: Tensor,
        references: Tensor,
        wanted: Tensor,
        token_type_ids: Tensor | None = None,
    ) -> Losses:
        """Loss of rows as `collate` makes them: all judged replies, then as many replies of other contexts."""
        likelihoods = self.log_likelihoods(input_ids, position_ids, targets, token_type_ids)
        gains, others = (likelihoods - references).chunk(2)
        return Losses(kto_loss(gains, others, wanted, self.weights), None)

    def log_likelihoods(
        self, input_ids: Tensor, position_ids: Tensor, targets: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Log likelihood of each row's targets, float32 [rows], in nats."""
        hidden = self.transformer(
            input_ids, position_ids=position_ids, token_type_ids=token_type_ids, use_cache=False
        ).last_hidden_state
        learnt = targets != IGNORED
        logits = self.lm_head(hidden[learnt]).float()
        picked = logits.log_softmax(-1).gather(1, targets[learnt].unsqueeze(1)).squeeze(1)
        return torch.zeros(len(targets), device=picked.device).index_add(0, learnt.nonzero()[:, 0], picked)


def rows_of(sequences: Sequence[Encoded], filling: int) -> dict[str, Tensor]:
    """One sequence a row, int64 [sequences, longest]; positions restart in the filling, which keeps it apart."""
    length = max(len(sequence.input_ids) for sequence in sequences)
    rows: dict[str, list[list[int]]] = {"input_ids": [], "position_ids": [], "targets": []}
    if sequences[0].token_type_ids is not None:
        rows["token_type_ids"] = []
    for sequence in sequences:
        size = len(sequence.input_ids)
        following = zip(sequence.input_ids[1:], sequence.supervised[1:], strict=True)
        targets = [token if learnt else IGNORED for token, learnt in following]
        rows["input_ids"].append([*sequence.input_ids, *[filling] * (length - size)])
        rows["position_ids"].append([*range(size), *range(length - size)])
        rows["targets"].append([*targets, *[IGNORED] * (length - size + 1)])
        if sequence.token_type_ids is not None:
            rows["token_type_ids"].append([*sequence.token_type_ids, *[filling] * (length - size)])
    return {name: torch.tensor(values) for name, values in rows.items()}


@dataclass(frozen=True, slots=True)
class Collator:
    """Judged replies to the tensors of `PreferenceModel.losses`."""

    filling: int

    def __call__(self, items: Sequence[Item]) -> dict[str, Tensor]:
        judged = [item for item in items if isinstance(item, Judged)]
        rows = rows_of([*(item.sequences[0] for item in judged), *(item.sequences[1] for item in judged)], self.filling)
        references = [*(item.references[0] for item in judged), *(item.references[1] for item in judged)]
        return rows | {
            "references": torch.tensor(references),
            "wanted": torch.tensor([item.wanted for item in judged]),
        }


def judged_items(start: Checkpoint, preferences: Sequence[Preference], seed: int, batch_size: int = 16) -> list[Judged]:
    """Encode thumbs, pair each context with the reply of another, and score both with the model as it starts."""
    shuffled = random.Random(seed).sample(preferences, len(preferences))
    encode, length = start.chat_format.encode, start.max_positions
    pairs = [
        (encode(own.context, own.reply, length), encode(own.context, other.reply, length))
        for own, other in zip(shuffled, [*shuffled[1:], shuffled[0]], strict=True)
    ]
    model = _learner(start)
    model.train(False)
    items: list[Judged] = []
    for first in range(0, len(pairs), batch_size):
        batch = pairs[first : first + batch_size]
        rows = rows_of([sequence for pair in batch for sequence in pair], pad_id(start))
        with torch.no_grad():
            scores = model.log_likelihoods(**rows).view(-1, 2).tolist()
        judged = zip(batch, scores, shuffled[first : first + batch_size], strict=True)
        items += [Judged(pair, False, thumb.wanted, (own, other)) for pair, (own, other), thumb in judged]
    return items


def _learner(start: Checkpoint) -> PreferenceModel:
    """A copy of the model without dropout, whose noise would be taken for a difference to the start."""
    config = type(start.model.config)(**start.model.config.to_dict())
    for name in _DROPOUTS:
        setattr(config, name, 0.0)
    model = PreferenceModel(config)
    model.load_state_dict(start.model.state_dict())
    return model


def learn_preferences(
    start: Checkpoint, preferences: Sequence[Preference], out: Path, options: TrainOptions
) -> Checkpoint:
    """`start` after learning from thumbs; the run's log and curve go to `<out>-preference.run`.

    Steps are a tenth as large as when replies are learnt. Raises BadData when there are too few thumbs.
    """
    check_labels(preferences)
    model = _learner(start)
    model.weights = balanced(preferences)
    settings = replace(options, learning_rate=options.learning_rate * _STEP_SIZE, choice_weight=0.0, max_steps=-1)
    items = judged_items(start, preferences, options.seed)
    train(model, items, Collator(pad_id(start)), out.with_name(f"{out.name}-preference"), settings)
    start.model.load_state_dict({name: value.cpu() for name, value in model.state_dict().items()})
    start.model.train(False)
    return start
