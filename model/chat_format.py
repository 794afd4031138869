"""THE encoder: one class a chat format, used by training and by serving alike. No torch.

Every format turns a context, and in training its reply, into token ids. What was typed by a person never becomes a
special token: text is tokenized with special tokens split, and an id that marks structure is dropped from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from transformers import PreTrainedTokenizerFast

from model.dialogue import DialogueContext, Role, SpeechLevel, Turn
from model.errors import BadCheckpoint, ContextTooLong
from model.text import clean_text, visible_text
from model.tokenizer import BANMAL, BOS, BOT, EOS, HAEYO, PERSONA, USER

SPEAKER1, SPEAKER2 = "<speaker1>", "<speaker2>"
# Room kept for the newest turn when the persona is long.
_MIN_TURN_TOKENS = 16
# Turns looked at; of a longer history the start moves on by whole steps, as bot.context does it.
_WINDOW_TURNS = 64
_WINDOW_STEP = 16


@dataclass(frozen=True, slots=True)
class Encoded:
    """One sequence. `token_type_ids` is None where the format has none; `supervised` marks what the LM loss sees."""

    input_ids: tuple[int, ...]
    token_type_ids: tuple[int, ...] | None
    supervised: tuple[bool, ...]


class Segment(NamedTuple):
    """A run of ids of one speaker.

    `kind` is the token type where the format has segments; ids from `learn_from` on are what the LM loss sees.
    """

    ids: list[int]
    kind: int = 0
    learn_from: int | None = None


class ChatFormat(ABC):
    """What the four formats share: cleaning, the token budget, and the mask of what is learnt."""

    name: ClassVar[str]
    required_tokens: ClassVar[tuple[str, ...]]
    segmented: ClassVar[bool] = False

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab()
        missing = [token for token in self.required_tokens if token not in vocabulary]
        if missing:
            raise BadCheckpoint(
                f"The chat format '{self.name}' needs the tokens {', '.join(missing)}, which this tokenizer lacks. "
                "Choose another format, or fine-tune the checkpoint into this one with training.finetune."
            )
        self._ids = {token: int(vocabulary[token]) for token in self.required_tokens}
        self._structural = frozenset(tokenizer.all_special_ids) | frozenset(self._ids.values())
        self.eos_id = self._end_id()

    def _end_id(self) -> int:
        if self.tokenizer.eos_token_id is None:
            raise BadCheckpoint(
                f"The chat format '{self.name}' needs an end-of-sequence token; the tokenizer has none."
            )
        return int(self.tokenizer.eos_token_id)

    @property
    def suppressed_ids(self) -> frozenset[int]:
        """Ids a reply must not contain: all structure but its end, so that no reply forges a turn."""
        return self._structural - {self.eos_id}

    def text_ids(self, text: str) -> list[int]:
        """Ids of a person's text, with nothing structural among them."""
        ids = self.tokenizer(clean_text(text), add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [token for token in ids if token not in self._structural]

    def encode(self, context: DialogueContext, reply: str | None, max_tokens: int) -> Encoded:
        """`context` as a prompt that ends where the bot speaks, or with `reply` as the supervised example.

        Fits `max_tokens`: oldest turns go first (many at once, see `first_kept`), then the start of the newest turn,
        then the end of the reply. The persona always stays; raises ContextTooLong when it alone leaves no room.
        """
        head = self.head(context)
        opening = self.opening_segment()
        beside_head = max_tokens - len(head.ids)
        # Measured without the reply: a context that can be answered can be ranked and learnt too.
        if beside_head - len(opening.ids) < _MIN_TURN_TOKENS:
            raise ContextTooLong(
                f"The persona takes {len(head.ids)} of {max_tokens} tokens and leaves no room to talk; shorten it."
            )
        answer = opening if reply is None else self.reply_segment(reply)
        longest = max(len(opening.ids), min(max_tokens // 2, beside_head - _MIN_TURN_TOKENS))
        answer = answer._replace(ids=answer.ids[:longest])
        room = beside_head - len(answer.ids)
        return _join([head, *self._fit(context.turns, room), answer], self.segmented)

    def _fit(self, turns: Sequence[Turn], room: int) -> list[Segment]:
        beyond = -(-max(0, len(turns) - _WINDOW_TURNS) // _WINDOW_STEP) * _WINDOW_STEP
        segments = [self.turn_segment(turn) for turn in turns[beyond:]]
        sizes = [len(segment.ids) for segment in segments]
        if sizes and sizes[-1] > room:
            return [self._shorten(turns[-1], room)]
        return segments[first_kept(sizes, room) :]

    def _shorten(self, turn: Turn, room: int) -> Segment:
        """The end of a turn that is longer than all the room: what was asked tends to stand last."""
        ids = self.text_ids(turn.text)
        frame = len(self.turn_segment(turn).ids) - len(ids)
        return self.wrap_turn(turn.role, ids[len(ids) - (room - frame) :])

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, without structural tokens, broken or invisible characters."""
        kept = [token for token in ids if token not in self._structural]
        text = self.tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return visible_text(str(text).replace("\ufffd", "")).strip()

    def turn_segment(self, turn: Turn) -> Segment:
        """One turn of the history, with its marks."""
        return self.wrap_turn(turn.role, self.text_ids(turn.text))

    @abstractmethod
    def head(self, context: DialogueContext) -> Segment:
        """What stands before the turns: persona and speech level, where the format has a place for them."""

    @abstractmethod
    def wrap_turn(self, role: Role, ids: list[int]) -> Segment:
        """The ids of a turn's text between the format's marks."""

    @abstractmethod
    def opening_segment(self) -> Segment:
        """What makes the model speak as the bot; may be empty."""

    @abstractmethod
    def reply_segment(self, reply: str) -> Segment:
        """The opening, the reply and its end; the LM loss sees all but the opening."""


def first_kept(sizes: Sequence[int], room: int) -> int:
    """The first of the turns, of `sizes` tokens each, to keep so that all from it on fit `room`.

    The conversation is gone through from its first turn. Whenever the turns so far do not fit, the oldest go until
    half the room is free (but never the newest two, if these fit). Later turns change nothing in what was dropped
    before them: between two drops a conversation only grows, and what an engine computed for it can be used again.
    """
    first, total = 0, 0
    for newest, size in enumerate(sizes):
        total += size
        if total > room:
            while first < newest and (total > room or (total > room // 2 and first < newest - 1)):
                total -= sizes[first]
                first += 1
    return first


def _join(segments: Sequence[Segment], segmented: bool) -> Encoded:
    ids = tuple(token for segment in segments for token in segment.ids)
    kinds = tuple(segment.kind for segment in segments for _ in segment.ids) if segmented else None
    supervised = tuple(
        segment.learn_from is not None and index >= segment.learn_from
        for segment in segments
        for index in range(len(segment.ids))
    )
    return Encoded(ids, kinds, supervised)


class MalbeotFormat(ChatFormat):
    """`<bos> [<persona> fact]... [<haeyo>|<banmal>] <user> text <eos> <bot> text <eos> ...`: ordinary tokens only."""

    name = "malbeot"
    required_tokens = (BOS, EOS, PERSONA, USER, BOT, HAEYO, BANMAL)

    def _end_id(self) -> int:
        return self._ids[EOS]

    def head(self, context: DialogueContext) -> Segment:
        ids = [self._ids[BOS]]
        for fact in context.persona:
            ids += [self._ids[PERSONA], *self.text_ids(fact)]
        if context.speech_level is not None:
            ids.append(self._ids[HAEYO if context.speech_level is SpeechLevel.HAEYO else BANMAL])
        return Segment(ids)

    def wrap_turn(self, role: Role, ids: list[int]) -> Segment:
        return Segment([self._ids[USER if role is Role.USER else BOT], *ids, self.eos_id])

    def opening_segment(self) -> Segment:
        return Segment([self._ids[BOT]])

    def reply_segment(self, reply: str) -> Segment:
        return self.wrap_turn(Role.BOT, self.text_ids(reply))._replace(learn_from=1)


class DialogptFormat(ChatFormat):
    """Turns joined by the end token (Zhang et al. 2020). Persona facts go first, as turns; no speech level."""

    name = "dialogpt"
    required_tokens = ()

    def head(self, context: DialogueContext) -> Segment:
        return Segment([token for fact in context.persona for token in [*self.text_ids(fact), self.eos_id]])

    def wrap_turn(self, role: Role, ids: list[int]) -> Segment:
        return Segment([*ids, self.eos_id])

    def opening_segment(self) -> Segment:
        return Segment([])

    def reply_segment(self, reply: str) -> Segment:
        return Segment([*self.text_ids(reply), self.eos_id], learn_from=0)


class UsrSysFormat(ChatFormat):
    """`<usr> q <unused1> emotion <sys> a </s>` of the KoGPT2 chatbots, several turns in a row.

    The emotion is songys' label, of which 0 is everyday talk, the one a companion starts from. Persona facts, which
    those chatbots have no place for, go first, each after `<unused2>`; no speech level.
    """

    name = "usr-sys"
    required_tokens = ("<usr>", "<sys>", "<unused1>", "<unused2>", "</s>")
    everyday = "0"

    def _end_id(self) -> int:
        return self._ids["</s>"]

    def head(self, context: DialogueContext) -> Segment:
        return Segment([token for fact in context.persona for token in [self._ids["<unused2>"], *self.text_ids(fact)]])

    def wrap_turn(self, role: Role, ids: list[int]) -> Segment:
        if role is Role.USER:
            return Segment([self._ids["<usr>"], *ids])
        return Segment([self._ids["<sys>"], *ids, self.eos_id])

    def opening_segment(self) -> Segment:
        return Segment([self._ids["<unused1>"], *self.text_ids(self.everyday), self._ids["<sys>"]])

    def reply_segment(self, reply: str) -> Segment:
        opening = self.opening_segment().ids
        return Segment([*opening, *self.text_ids(reply), self.eos_id], learn_from=len(opening))


class TransferTransfoFormat(ChatFormat):
    """`<bos> persona <speaker1> user <speaker2> bot ... <eos>` with speakers as token types (Wolf et al. 2019).

    Token types are embedded with the word embeddings, as in GPT-2, so a type is the id of the speaker's token; the
    persona carries the bot's. torch backend only.
    """

    name = "transfertransfo"
    required_tokens = (BOS, EOS, SPEAKER1, SPEAKER2)
    segmented = True

    def _end_id(self) -> int:
        return self._ids[EOS]

    def _speaker(self, role: Role) -> int:
        return self._ids[SPEAKER1 if role is Role.USER else SPEAKER2]

    def head(self, context: DialogueContext) -> Segment:
        facts = [token for fact in context.persona for token in self.text_ids(fact)]
        return Segment([self._ids[BOS], *facts], self._speaker(Role.BOT))

    def wrap_turn(self, role: Role, ids: list[int]) -> Segment:
        return Segment([self._speaker(role), *ids], self._speaker(role))

    def opening_segment(self) -> Segment:
        return self.wrap_turn(Role.BOT, [])

    def reply_segment(self, reply: str) -> Segment:
        return Segment([self._speaker(Role.BOT), *self.text_ids(reply), self.eos_id], self._speaker(Role.BOT), 1)


# The order is the order of inference: the more particular tokens first.
FORMATS: dict[str, type[ChatFormat]] = {
    chat_format.name: chat_format
    for chat_format in (MalbeotFormat, TransferTransfoFormat, UsrSysFormat, DialogptFormat)
}


def get_format(name: str, tokenizer: PreTrainedTokenizerFast) -> ChatFormat:
    """The format called `name` over `tokenizer`. Raises BadCheckpoint for an unknown name or missing tokens."""
    if name not in FORMATS:
        raise BadCheckpoint(f"There is no chat format '{name}'; choose one of {', '.join(sorted(FORMATS))}.")
    return FORMATS[name](tokenizer)


def infer_format(tokenizer: PreTrainedTokenizerFast) -> str:
    """The format a checkpoint without a manifest was made for, told by its tokens; dialogpt if by none."""
    vocabulary = tokenizer.get_vocab()
    return next(name for name, cls in FORMATS.items() if all(token in vocabulary for token in cls.required_tokens))


def new_tokens(name: str) -> tuple[str, ...]:
    """The tokens a tokenizer must be given so that format `name` can use it."""
    if name not in FORMATS:
        raise BadCheckpoint(f"There is no chat format '{name}'; choose one of {', '.join(sorted(FORMATS))}.")
    return FORMATS[name].required_tokens
