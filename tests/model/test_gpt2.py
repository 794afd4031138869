from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import GPT2DoubleHeadsModel

from model import checkpoint as checkpoints
from model.chat_format import FORMATS, Encoded, get_format
from model.checkpoint import Checkpoint
from model.dialogue import DialogueContext, SpeechLevel
from model.gpt2 import IGNORED, DialogueModel, Shape, fit_vocabulary, new_model, parameter_count
from model.tokenizer import train_tokenizer
from tests.model.builders import user_last, with_tokens
from tests.model.conftest import TEXTS
from training.base import pad_id
from training.dataset import Item, Packer, encode_example
from training.examples import TrainingExample

LINES = [piece.strip() for text in TEXTS for piece in text.replace("?", "?|").replace(".", ".|").split("|") if piece]


def examples() -> list[TrainingExample]:
    """Twelve, of many lengths, each with two distractors."""
    return [
        TrainingExample(
            DialogueContext(
                persona=tuple(TEXTS[1:2] * (number % 3)),
                turns=user_last(*(LINES * 2)[number % 5 : number % 5 + 1 + number % 4]),
                speech_level=[None, SpeechLevel.HAEYO, SpeechLevel.BANMAL][number % 3],
            ),
            reply=LINES[number % len(LINES)],
            distractors=(LINES[(number + 1) % len(LINES)], LINES[(number + 2) % len(LINES)] * 2),
        )
        for number in range(12)
    ]


@pytest.fixture(scope="module", params=sorted(FORMATS))
def tiny(request: pytest.FixtureRequest, tiny_folders: dict[str, Path]) -> Checkpoint:
    return checkpoints.load(tiny_folders[request.param])


def reference(model: DialogueModel) -> GPT2DoubleHeadsModel:
    """transformers' own class with the same weights."""
    plain = GPT2DoubleHeadsModel(model.config)
    plain.load_state_dict(model.state_dict())
    plain.train(False)
    return plain


def padded(rows: Sequence[Sequence[int]], filling: int) -> list[list[int]]:
    longest = max(len(row) for row in rows)
    return [[*row, *[filling] * (longest - len(row))] for row in rows]


def reference_losses(model: GPT2DoubleHeadsModel, items: Sequence[Item], filling: int) -> tuple[float, float]:
    """Mean LM and choice losses of transformers' double-heads model over unpacked items, one at a time."""
    token_loss, tokens, choice_loss = 0.0, 0, 0.0
    for item in items:
        rows: tuple[Encoded, ...] = item.sequences
        labels = [[t if s else IGNORED for t, s in zip(row.input_ids, row.supervised, strict=True)] for row in rows]
        kinds = [row.token_type_ids for row in rows if row.token_type_ids is not None]
        with torch.inference_mode():
            output = model(
                torch.tensor([padded([row.input_ids for row in rows], filling)]),
                attention_mask=torch.tensor([padded([[1] * len(row.input_ids) for row in rows], 0)]),
                token_type_ids=torch.tensor([padded(kinds, filling)]) if kinds else None,
                mc_token_ids=torch.tensor([[len(row.input_ids) - 1 for row in rows]]),
                labels=torch.tensor([padded(labels, IGNORED)]),
                mc_labels=torch.tensor([len(rows) - 1]),
            )
        learnt = sum(sum(row.supervised) for row in rows)
        token_loss += output.loss.item() * learnt
        tokens += learnt
        choice_loss += output.mc_loss.item()
    return token_loss / tokens, choice_loss / len(items)


def test_losses_of_packed_rows_are_those_of_the_double_heads_model(tiny: Checkpoint) -> None:
    items = [encode_example(tiny.chat_format, example, tiny.max_positions) for example in examples()]
    batch = Packer(tiny.max_positions, pad_id(tiny))(items)
    assert batch["input_ids"].shape[0] < 36, "nothing shares a row"
    with torch.inference_mode():
        losses = tiny.model(**batch)
    expected_tokens, expected_choice = reference_losses(reference(tiny.model), items, pad_id(tiny))
    assert losses.tokens.item() == pytest.approx(expected_tokens, abs=1e-5)
    assert losses.choice.item() == pytest.approx(expected_choice, abs=1e-5)


def test_losses_in_training_mode_read_no_neighbour(tiny: Checkpoint) -> None:
    """The Trainer's mode, gradients on: another document in the row changes nothing in the first."""
    tiny.model.train(True)
    try:
        for module in tiny.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        items = [encode_example(tiny.chat_format, example, tiny.max_positions) for example in examples()[:4]]
        packed = Packer(tiny.max_positions, pad_id(tiny))
        together = tiny.model.losses(**packed(items)).choice
        alone = [tiny.model.losses(**packed([item])).choice for item in items]
    finally:
        tiny.model.train(False)
    assert together is not None
    assert together.item() == pytest.approx(sum(loss.item() for loss in alone if loss is not None) / 4, abs=1e-5)


def test_without_distractors_there_is_no_choice(tiny: Checkpoint) -> None:
    items = [encode_example(tiny.chat_format, TrainingExample(e.context, e.reply), 256) for e in examples()]
    with torch.inference_mode():
        losses = tiny.model(**Packer(256, pad_id(tiny))(items))
    assert losses.choice is None
    expected, _ = reference_losses(reference(tiny.model), items, pad_id(tiny))
    assert losses.tokens.item() == pytest.approx(expected, abs=1e-5)


def test_without_targets_forward_is_that_of_transformers(tiny: Checkpoint) -> None:
    ids = torch.tensor([[[1, 2, 3, 4], [5, 6, 7, 8]]])
    last = torch.tensor([[3, 3]])
    with torch.inference_mode():
        ours, theirs = tiny.model(ids, mc_token_ids=last), reference(tiny.model)(ids, mc_token_ids=last)
    assert torch.equal(ours.logits, theirs.logits)
    assert torch.equal(ours.mc_logits, theirs.mc_logits)


def test_the_weights_have_the_names_of_the_double_heads_model(tiny: Checkpoint) -> None:
    ours, theirs = tiny.model.state_dict(), GPT2DoubleHeadsModel(tiny.model.config).state_dict()
    assert {name: value.shape for name, value in ours.items()} == {name: v.shape for name, v in theirs.items()}


def test_a_new_model_has_the_shape_asked_for_and_the_seeds_weights() -> None:
    tokenizer = train_tokenizer(TEXTS, vocab_size=300)
    shape = Shape(layers=3, width=24, heads=4, positions=64)
    torch.manual_seed(5)
    model = new_model(tokenizer, shape)
    config = model.config
    assert (config.n_layer, config.n_embd, config.n_head, config.n_positions) == (3, 24, 4, 64)
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == tuple(
        tokenizer.get_vocab()[token] for token in ("<bos>", "<eos>", "<pad>")
    )
    torch.manual_seed(5)
    assert torch.equal(new_model(tokenizer, shape).transformer.wte.weight, model.transformer.wte.weight)


def test_parameters_are_counted_once_where_they_are_tied() -> None:
    width, layers, positions = 24, 2, 64
    tokenizer = train_tokenizer(TEXTS, vocab_size=300)
    model = new_model(tokenizer, Shape(layers=layers, width=width, heads=4, positions=positions))
    layer = 4 * width * width + 4 * width + 8 * width * width + 5 * width + 4 * width
    assert parameter_count(model) == (len(tokenizer) + positions) * width + layers * layer + 2 * width + width + 1


def test_new_tokens_get_embeddings_near_the_others_and_old_ones_stay() -> None:
    tokenizer = train_tokenizer(TEXTS, vocab_size=300)
    torch.manual_seed(0)
    model = new_model(tokenizer, Shape(layers=1, width=16, heads=2, positions=64))
    with torch.no_grad():
        model.transformer.wte.weight += 3  # so that a mean of 0 is told from the mean of the old ones
    before = model.transformer.wte.weight.detach().clone()
    with_tokens(tokenizer, ["<speaker1>", "<speaker2>"])
    fit_vocabulary(model, tokenizer)
    after = model.transformer.wte.weight
    assert len(after) == len(tokenizer) == len(before) + 2 == model.config.vocab_size
    assert torch.equal(after[:-2], before)
    assert (after[-2:] - before.mean(0)).abs().max() < 1
    assert model.lm_head.weight is after
    get_format("transfertransfo", tokenizer)


def test_embeddings_are_never_shrunk() -> None:
    small, large = train_tokenizer(TEXTS, vocab_size=290), train_tokenizer(TEXTS, vocab_size=300)
    model = new_model(large, Shape(layers=1, width=16, heads=2, positions=64))
    fit_vocabulary(model, small)
    assert model.config.vocab_size == len(model.transformer.wte.weight) == len(large) > len(small)


def test_losses_are_in_nats_a_token() -> None:
    """Weights of zero know nothing: each of V ids is as likely, each of two candidates too."""
    tokenizer = train_tokenizer(TEXTS, vocab_size=300)
    model = new_model(tokenizer, Shape(layers=1, width=16, heads=2, positions=256))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    item = encode_example(get_format("malbeot", tokenizer), TrainingExample(DialogueContext(), "응", ("아니",)), 256)
    losses = model.losses(**Packer(256, 0)([item]))
    assert losses.tokens.item() == pytest.approx(math.log(len(tokenizer)))
    assert losses.choice is not None
    assert losses.choice.item() == pytest.approx(math.log(2))
