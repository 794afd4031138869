from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from model.dialogue import DialogueContext, Role, Turn
from tests.training.builders import tiny
from training.collected import Preference
from training.dataset import encode_example
from training.errors import BadData
from training.examples import TrainingExample
from training.preference import (
    LEAST_LABELS,
    Collator,
    Judged,
    PreferenceModel,
    Weights,
    balanced,
    check_labels,
    judged_items,
    kto_loss,
    learn_preferences,
)
from training.scoring import reply_likelihoods
from training.trainer import TrainOptions


def thumbs(wanted: int, unwanted: int) -> list[Preference]:
    """Wanted replies are all the same, and so are unwanted ones; contexts differ."""
    said = [("같이 가요.", True)] * wanted + [("몰라요.", False)] * unwanted
    contexts = [DialogueContext(turns=(Turn(Role.USER, f"{number}번 갈까"),)) for number in range(len(said))]
    return [Preference(context, reply, kind) for context, (reply, kind) in zip(contexts, said, strict=True)]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_the_loss_by_hand() -> None:
    """z is 3, the mean of 4 and 2: β(r − z) is 0.2 for the wanted reply, β(z − r) is 0.4 for the unwanted one."""
    loss = kto_loss(torch.tensor([5.0, -1.0]), torch.tensor([4.0, 2.0]), torch.tensor([True, False]), Weights(1.0, 1.5))
    assert loss.item() == pytest.approx(((1 - sigmoid(0.2)) + 1.5 * (1 - sigmoid(0.4))) / 2)


def test_a_policy_that_has_not_moved_loses_half() -> None:
    nothing, wanted = torch.zeros(4), torch.tensor([True, True, False, True])
    assert kto_loss(nothing, nothing, wanted, Weights(1.0, 1.0)).item() == pytest.approx(0.5)


def test_a_negative_divergence_counts_as_none_and_teaches_nothing() -> None:
    others = torch.tensor([-4.0, -2.0], requires_grad=True)
    gains = torch.tensor([1.0, 1.0], requires_grad=True)
    loss = kto_loss(gains, others, torch.tensor([True, False]), Weights(1.0, 1.0))
    assert loss.item() == pytest.approx(((1 - sigmoid(0.1)) + (1 - sigmoid(-0.1))) / 2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert others.grad is None
    assert gains.grad is not None
    assert gains.grad[0] < 0 < gains.grad[1]


def test_the_rarer_kind_weighs_more() -> None:
    assert balanced(thumbs(30, 10)) == Weights(1.0, 3.0)
    assert balanced(thumbs(10, 30)) == Weights(3.0, 1.0)


@pytest.mark.parametrize(("wanted", "unwanted"), [(20, 15), (60, 5), (3, 60), (0, 0)])
def test_too_few_thumbs_are_refused(wanted: int, unwanted: int) -> None:
    with pytest.raises(BadData, match=f"There are {wanted} 👍 and {unwanted} 👎 .* at least {LEAST_LABELS}"):
        check_labels(thumbs(wanted, unwanted))


@pytest.mark.parametrize("name", ["malbeot", "transfertransfo"])
def test_likelihoods_are_those_of_the_evaluation(name: str) -> None:
    start = tiny(name)
    preferences = thumbs(3, 2)
    items = judged_items(start, preferences, seed=0, batch_size=2)
    for item in items:
        own = next(
            p
            for p in preferences
            if encode_example(start.chat_format, example(p), 256).sequences[-1] == item.sequences[0]
        )
        assert item.wanted is own.wanted
        assert -item.references[0] == pytest.approx(reply_likelihoods(start, [example(own)], 1)[0].nats, abs=1e-3)
    # Each reply is paired with one other context.
    assert sorted(item.sequences[1].input_ids[-4:] for item in items) == sorted(
        item.sequences[0].input_ids[-4:] for item in items
    )
    assert all(item.sequences[0] != item.sequences[1] or item.references[0] == item.references[1] for item in items)


def example(preference: Preference) -> TrainingExample:
    return TrainingExample(preference.context, preference.reply)


def test_the_models_loss_starts_at_half() -> None:
    start = tiny()
    items = judged_items(start, thumbs(4, 4), seed=0)
    model = PreferenceModel(start.model.config)
    model.load_state_dict(start.model.state_dict())
    model.train(False)
    losses = model.losses(**Collator(0)(items))
    assert losses.choice is None
    assert losses.tokens.item() == pytest.approx(0.5, abs=1e-5)
    assert all(isinstance(item, Judged) for item in items)


def test_a_run_raises_what_was_wanted_and_lowers_what_was_not(tmp_path: Path) -> None:
    start = tiny(dropout=0.1)
    preferences = thumbs(24, 16)
    good, bad = example(preferences[0]), example(preferences[-1])
    before = [one.nats for one in reply_likelihoods(start, [good, bad], 2)]
    options = TrainOptions(epochs=6, batch_size=8, learning_rate=2e-2, log_steps=1, cpu=True)
    learnt = learn_preferences(start, preferences, tmp_path / "out", options)
    after = [one.nats for one in reply_likelihoods(learnt, [good, bad], 2)]
    assert after[0] < before[0] - 1
    assert after[1] - before[1] > after[0] - before[0] + 2
    assert learnt.model.config.attn_pdrop == 0.1
    assert not learnt.model.training
    assert (tmp_path / "out-preference.run" / "loss.json").exists()
