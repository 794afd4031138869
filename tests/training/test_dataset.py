from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.chat_format import FORMATS, ChatFormat, Encoded
from model.dialogue import Role, SpeechLevel, Turn
from model.gpt2 import IGNORED, DialogueModel, Losses
from model.tokenizer import EOS
from tests.training.builders import DIALOGUES, talk, tiny
from training.corpora import load_dialogues
from training.dataset import (
    Item,
    ItemDataset,
    Packer,
    encode_dialogue,
    encode_example,
    encode_text,
    pack_documents,
)
from training.examples import Dialogue, TrainingExample, examples_of, with_distractors

ROW = 24
PAD = 0


every_format = pytest.mark.parametrize("name", sorted(FORMATS))


def encoded(length: int, first: int = 1, kind: int | None = None, learnt: bool = True) -> Encoded:
    """A sequence of ids that count up from `first`."""
    kinds = None if kind is None else (kind,) * length
    return Encoded(tuple(range(first, first + length)), kinds, (False,) + (learnt,) * (length - 1))


@st.composite
def batches(draw: st.DrawFn) -> list[Item]:
    """Choices and documents together, every token of the batch different from all others."""
    segmented = draw(st.booleans())
    candidates = draw(st.integers(2, 4))
    first = PAD + 1
    items: list[Item] = []
    for _ in range(draw(st.integers(1, 6))):
        is_choice = draw(st.booleans())
        count = candidates if is_choice else draw(st.integers(1, 3))
        sequences: list[Encoded] = []
        for length in draw(st.lists(st.integers(1, ROW), min_size=count, max_size=count)):
            sequences.append(encoded(length, first, first if segmented else None, draw(st.booleans())))
            first += length
        items.append(Item(tuple(sequences), is_choice))
    return items


def cut(batch: dict[str, Tensor], sequences: Sequence[Encoded]) -> list[tuple[Encoded, int]]:
    """Where each sequence stands in the flattened rows. Its ids must be found whole and in order."""
    flat = batch["input_ids"].flatten().tolist()
    places = [(sequence, flat.index(sequence.input_ids[0])) for sequence in sequences]
    for sequence, start in places:
        assert flat[start : start + len(sequence.input_ids)] == list(sequence.input_ids)
    return places


@given(batches())
def test_a_batch_holds_every_token_once_and_restarts_positions(items: list[Item]) -> None:
    sequences = [sequence for item in items for sequence in item.sequences]
    batch = Packer(ROW, PAD)(items)
    rows, length = batch["input_ids"].shape
    assert length <= ROW
    assert {batch[name].shape for name in batch if name != "choices"} == {(rows, length)}
    assert {column.dtype for column in batch.values()} == {torch.int64}
    expected = Counter(token for sequence in sequences for token in sequence.input_ids)
    found = Counter(batch["input_ids"].flatten().tolist())
    assert found - Counter({PAD: found[PAD]}) == expected
    for sequence, start in cut(batch, sequences):
        here = slice(start, start + len(sequence.input_ids))
        assert start // length == (here.stop - 1) // length, "a sequence must not run over a row's end"
        assert batch["position_ids"].flatten()[here].tolist() == list(range(len(sequence.input_ids)))


@given(batches())
def test_targets_are_the_next_supervised_token_and_end_in_ignored(items: list[Item]) -> None:
    sequences = [sequence for item in items for sequence in item.sequences]
    batch = Packer(ROW, PAD)(items)
    targets = batch["targets"].flatten()
    for sequence, start in cut(batch, sequences):
        here = targets[start : start + len(sequence.input_ids)].tolist()
        assert here[-1] == IGNORED
        following = zip(sequence.input_ids[1:], sequence.supervised[1:], strict=True)
        assert here[:-1] == [token if learnt else IGNORED for token, learnt in following]
    assert (targets[batch["input_ids"].flatten() == PAD] == IGNORED).all()


@given(batches())
def test_choices_point_at_last_tokens(items: list[Item]) -> None:
    batch = Packer(ROW, PAD)(items)
    expected = [[sequence.input_ids[-1] for sequence in item.sequences] for item in items if item.is_choice]
    assert ("choices" in batch) == bool(expected)
    if expected:
        assert batch["input_ids"].flatten()[batch["choices"]].tolist() == expected


@given(batches())
def test_token_types_go_with_their_sequence(items: list[Item]) -> None:
    sequences = [sequence for item in items for sequence in item.sequences]
    batch = Packer(ROW, PAD)(items)
    assert ("token_type_ids" in batch) == (sequences[0].token_type_ids is not None)
    if "token_type_ids" in batch:
        kinds = batch["token_type_ids"].flatten()
        for sequence, start in cut(batch, sequences):
            assert kinds[start : start + len(sequence.input_ids)].tolist() == list(sequence.token_type_ids or ())


@given(st.lists(st.integers(1, ROW), min_size=1, max_size=60), st.integers(0, 5))
def test_documents_fill_rows_without_loss(lengths: list[int], seed: int) -> None:
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    documents = [encoded(length, start) for length, start in zip(lengths, starts, strict=True)]
    items = pack_documents(documents, ROW, random.Random(seed))
    assert Counter(sequence for item in items for sequence in item.sequences) == Counter(documents)
    used = [sum(len(sequence.input_ids) for sequence in item.sequences) for item in items]
    assert max(used) <= ROW
    assert not any(item.is_choice for item in items)
    # Two neighbours that fit into one row would have been put there.
    assert all(one + other > ROW for one, other in pairwise(used))
    assert ItemDataset(items).tokens == sum(lengths)


def test_documents_are_shuffled_by_the_seed() -> None:
    documents = [encoded(5, start) for start in range(0, 500, 5)]
    packed = [pack_documents(documents, ROW, random.Random(seed)) for seed in (1, 1, 2)]
    assert packed[0] == packed[1] != packed[2]


@cache
def format_of(name: str) -> ChatFormat:
    return tiny(name).chat_format


@cache
def loud_model(name: str) -> DialogueModel:
    """A model with weights so large that any token seen from where it should not be shows in the loss."""
    model = tiny(name).model
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8 if weight.dim() > 1 else 1)
    model.train(False)
    return model


def small_examples(count: int, distractors: int) -> list[TrainingExample]:
    dialogues = load_dialogues([str(DIALOGUES)]).dialogues
    examples = [example for dialogue in dialogues for example in examples_of(dialogue)]
    return with_distractors(random.Random(0).sample(examples, count), distractors, random.Random(0))


def loss_of(name: str, items: Sequence[Item], row_length: int = 256) -> Losses:
    with torch.inference_mode():
        return loud_model(name).losses(**Packer(row_length, PAD)(items))


@every_format
def test_packing_changes_no_loss(name: str) -> None:
    chat_format = format_of(name)
    items = [encode_example(chat_format, example, 256) for example in small_examples(6, 2)]
    packed = loss_of(name, items)
    assert len(Packer(256, PAD)(items)["input_ids"]) < sum(len(item.sequences) for item in items), "nothing was packed"
    alone = [loss_of(name, [Item((sequence,))]) for item in items for sequence in item.sequences[-1:]]
    learnt = torch.tensor([float(sum(item.sequences[-1].supervised)) for item in items])
    assert packed.tokens == pytest.approx(
        float((torch.stack([losses.tokens for losses in alone]) * learnt).sum() / learnt.sum()), abs=1e-5
    )
    choices = [loss_of(name, [item], row_length=1).choice for item in items]
    assert packed.choice is not None
    assert float(packed.choice) == pytest.approx(sum(float(c) for c in choices if c is not None) / 6, abs=1e-5)
    assert float(packed.choice) > 0.01


@every_format
def test_packing_documents_changes_no_loss(name: str) -> None:
    chat_format = format_of(name)
    dialogues = load_dialogues([str(DIALOGUES)]).dialogues[::10]
    documents = [encode_dialogue(chat_format, dialogue, 256) for dialogue in dialogues]
    documents += [piece for text in ("오늘 비가 와요.", "떡볶이!") for piece in encode_text(chat_format, text, 256)]
    rows = pack_documents(documents, 256, random.Random(0))
    assert len(rows) < len(documents)
    learnt = [sum(document.supervised[1:]) for document in documents]
    alone = [float(loss_of(name, [Item((document,))]).tokens) for document in documents]
    expected = sum(loss * count for loss, count in zip(alone, learnt, strict=True)) / sum(learnt)
    assert float(loss_of(name, rows).tokens) == pytest.approx(expected, abs=1e-5)


@every_format
def test_a_gold_reply_is_learnt_and_distractors_are_not(name: str) -> None:
    chat_format = format_of(name)
    (example,) = small_examples(3, 2)[:1]
    item = encode_example(chat_format, example, 256)
    *judged, gold = item.sequences
    assert item.is_choice
    assert [any(sequence.supervised) for sequence in judged] == [False, False]
    assert gold == chat_format.encode(example.context, example.reply, 256)
    texts = [chat_format.decode(sequence.input_ids) for sequence in item.sequences]
    assert all(text.endswith(reply) for text, reply in zip(texts, [*example.distractors, example.reply], strict=True))


def test_an_example_without_distractors_is_no_choice() -> None:
    chat_format = format_of("malbeot")
    (example,) = small_examples(3, 0)[:1]
    item = encode_example(chat_format, example, 256)
    assert not item.is_choice
    assert len(item.sequences) == 1
    assert "choices" not in Packer(256, PAD)([item])


@every_format
def test_a_dialogue_is_learnt_whole(name: str) -> None:
    chat_format = format_of(name)
    dialogue = talk("안녕", "안녕하세요.", "뭐 해?", "책 읽어요.", persona=("나는 유희다.",), level=SpeechLevel.HAEYO)
    document = encode_dialogue(chat_format, dialogue, 256)
    assert all(document.supervised)
    assert len(document.supervised) == len(document.input_ids)
    assert document.input_ids[-1] == chat_format.eos_id
    text = chat_format.decode(document.input_ids)
    assert all(line in text for line in [*dialogue.persona, *(turn.text for turn in dialogue.turns)])


def test_what_follows_the_last_reply_is_not_taken_for_one() -> None:
    chat_format = format_of("malbeot")
    answered = talk("안녕", "안녕하세요.")
    left_open = Dialogue((*answered.turns, Turn(Role.USER, "잘 자")))
    assert encode_dialogue(chat_format, left_open, 256) == encode_dialogue(chat_format, answered, 256)


@every_format
def test_a_long_text_is_cut_into_documents_and_ended(name: str) -> None:
    chat_format = format_of(name)
    text = "오늘은 비가 와서 집에 있었어요. " * 20
    pieces = encode_text(chat_format, text, 47)
    assert len(pieces) > 2
    assert [len(piece.input_ids) for piece in pieces[:-1]] == [47] * (len(pieces) - 1)
    ids = [token for piece in pieces for token in piece.input_ids]
    assert ids == [*chat_format.text_ids(text), chat_format.eos_id]
    assert all(all(piece.supervised) and len(piece.supervised) == len(piece.input_ids) for piece in pieces)
    if chat_format.segmented:
        assert {len(piece.token_type_ids or ()) == len(piece.input_ids) for piece in pieces} == {True}
    else:
        assert {piece.token_type_ids for piece in pieces} == {None}


def test_a_lone_last_token_teaches_nothing_and_is_dropped() -> None:
    chat_format = format_of("malbeot")
    text = "오늘은 비가 와요."
    length = len(chat_format.text_ids(text))
    (piece,) = encode_text(chat_format, text, length)
    assert piece.input_ids == tuple(chat_format.text_ids(text))
    assert encode_text(chat_format, "", 50) == []


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=80))
def test_no_text_becomes_structure(text: str) -> None:
    chat_format = format_of("malbeot")
    ids = [token for piece in encode_text(chat_format, f"{text}{EOS}<user>", 16) for token in piece.input_ids]
    assert not chat_format.suppressed_ids & set(ids)
    assert chat_format.eos_id not in ids[:-1]
