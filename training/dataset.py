"""From examples to packed batches. Rows carry no padding but at their end, and sequences never see each other."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from model.chat_format import ChatFormat, Encoded
from model.dialogue import DialogueContext, Role
from model.gpt2 import IGNORED
from training.examples import Dialogue, TrainingExample


@dataclass(frozen=True, slots=True)
class Item:
    """What the sampler draws: sequences that belong together.

    Where `is_choice`, they are the candidates of one example, the true reply last; else documents of one packed row.
    """

    sequences: tuple[Encoded, ...]
    is_choice: bool = False


class ItemDataset(Dataset[Item]):
    """A list of items as torch wants it."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = list(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Item:
        return self.items[index]

    @property
    def tokens(self) -> int:
        """All tokens of one epoch."""
        return sum(len(sequence.input_ids) for item in self.items for sequence in item.sequences)


def encode_text(chat_format: ChatFormat, text: str, max_tokens: int) -> list[Encoded]:
    """A text of any length as documents of at most `max_tokens`, every token learnt, the last one ended.

    Where the format has segments, they carry the token type of what stands before the turns.
    """
    ids = [*chat_format.text_ids(text), chat_format.eos_id]
    kind = chat_format.head(DialogueContext()).kind
    pieces = [tuple(ids[start : start + max_tokens]) for start in range(0, len(ids), max_tokens)]
    return [
        Encoded(piece, (kind,) * len(piece) if chat_format.segmented else None, (True,) * len(piece))
        for piece in pieces
        if len(piece) > 1
    ]


def encode_dialogue(chat_format: ChatFormat, dialogue: Dialogue, max_tokens: int) -> Encoded:
    """A whole dialogue as one document, every token learnt: for pretraining, where user turns teach the language.

    What the user says after the bot's last turn is left out: a document ends with a reply, as a prompt does not.
    """
    last_reply = max(index for index, turn in enumerate(dialogue.turns) if turn.role is Role.BOT)
    *history, last = dialogue.turns[: last_reply + 1]
    context = DialogueContext(dialogue.persona, tuple(history), dialogue.speech_level)
    encoded = chat_format.encode(context, last.text, max_tokens)
    return Encoded(encoded.input_ids, encoded.token_type_ids, (True,) * len(encoded.input_ids))


def encode_example(chat_format: ChatFormat, example: TrainingExample, max_tokens: int) -> Item:
    """The candidates of one example. Distractors are judged, not learnt: they are supervised nowhere."""
    distractors = [chat_format.encode(example.context, text, max_tokens) for text in example.distractors]
    judged = [Encoded(e.input_ids, e.token_type_ids, (False,) * len(e.input_ids)) for e in distractors]
    gold = chat_format.encode(example.context, example.reply, max_tokens)
    return Item((*judged, gold), is_choice=bool(judged))


def pack_documents(documents: Iterable[Encoded], row_length: int, rng: random.Random) -> list[Item]:
    """Shuffle documents and fill rows of at most `row_length` tokens with them, first fit in order."""
    shuffled = list(documents)
    rng.shuffle(shuffled)
    return [Item(tuple(row)) for row in _fill_rows(shuffled, row_length)]


def _fill_rows(sequences: Iterable[Encoded], row_length: int, open_rows: int = 16) -> list[list[Encoded]]:
    """First fit over the newest rows: near-full rows in linear time."""
    rows: list[list[Encoded]] = []
    room: list[int] = []
    for sequence in sequences:
        need = len(sequence.input_ids)
        first = max(0, len(rows) - open_rows)
        place = next((index for index in range(first, len(rows)) if room[index] >= need), None)
        if place is None:
            rows.append([])
            room.append(row_length)
            place = len(rows) - 1
        rows[place].append(sequence)
        room[place] -= need
    return rows


class Packer:
    """Collator: items to the tensors of `DialogueModel.losses`. `pad_id` fills row ends, where nothing is learnt."""

    def __init__(self, row_length: int, pad_id: int) -> None:
        self.row_length = row_length
        self.pad_id = pad_id

    def __call__(self, items: Sequence[Item]) -> dict[str, Tensor]:
        # Longest first packs tightest; the order within a batch changes no loss.
        sequences = sorted((s for item in items for s in item.sequences), key=lambda s: -len(s.input_ids))
        rows = _fill_rows(sequences, self.row_length, open_rows=len(sequences))
        length = max(sum(len(sequence.input_ids) for sequence in row) for row in rows)
        last_token: dict[int, int] = {}
        columns: dict[str, list[list[int]]] = {"input_ids": [], "position_ids": [], "targets": []}
        if rows[0][0].token_type_ids is not None:
            columns["token_type_ids"] = []
        for number, row in enumerate(rows):
            self._add_row(row, length, columns)
            end = number * length - 1
            for sequence in row:
                end += len(sequence.input_ids)
                last_token[id(sequence)] = end
        batch = {name: torch.tensor(values) for name, values in columns.items()}
        choices = [[last_token[id(s)] for s in item.sequences] for item in items if item.is_choice]
        return batch | ({"choices": torch.tensor(choices)} if choices else {})

    def _add_row(self, row: Sequence[Encoded], length: int, columns: dict[str, list[list[int]]]) -> None:
        filling = length - sum(len(sequence.input_ids) for sequence in row)
        ids = [token for sequence in row for token in sequence.input_ids]
        columns["input_ids"].append(ids + [self.pad_id] * filling)
        positions = [position for sequence in row for position in range(len(sequence.input_ids))]
        columns["position_ids"].append(positions + list(range(filling)))
        columns["targets"].append([t for sequence in row for t in _targets(sequence)] + [IGNORED] * filling)
        if "token_type_ids" in columns:
            kinds = [kind for sequence in row for kind in sequence.token_type_ids or ()]
            columns["token_type_ids"].append(kinds + [self.pad_id] * filling)


def _targets(sequence: Encoded) -> list[int]:
    following = zip(sequence.input_ids[1:], sequence.supervised[1:], strict=True)
    return [token if learnt else IGNORED for token, learnt in following] + [IGNORED]
