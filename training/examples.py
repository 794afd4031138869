"""What is learnt: dialogues, and the examples they are cut into. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from model.dialogue import DialogueContext, Role, SpeechLevel, Turn
from model.speech_level import speech_level_of
from training.errors import BadData

# The share of the project's own dialogues that no training run learns from and every model is measured on.
HELD_OUT_PERCENT = 5


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A whole conversation of a corpus. `speech_level` is the bot's, None where the corpus does not say.

    `targets` are the indices of the bot turns that replies may be learnt from, None for all of them. `id` and `person`
    (a pseudonym) name the conversation and are no part of it.
    """

    turns: tuple[Turn, ...]
    persona: tuple[str, ...] = ()
    speech_level: SpeechLevel | None = None
    source: str = ""
    targets: tuple[int, ...] | None = None
    id: str | None = field(default=None, compare=False)
    person: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One reply in its context, with replies of other dialogues as distractors of the next-utterance head."""

    context: DialogueContext
    reply: str
    distractors: tuple[str, ...] = ()
    source: str = ""


def examples_of(dialogue: Dialogue) -> list[TrainingExample]:
    """One example for each bot turn that answers something and may be learnt.

    The speech level is the reply's own where it shows one, else the dialogue's: a line that slips must not teach
    that a level means the other.
    """
    return [
        TrainingExample(
            context=DialogueContext(
                persona=dialogue.persona,
                turns=dialogue.turns[:index],
                speech_level=speech_level_of(turn.text) or dialogue.speech_level,
            ),
            reply=turn.text,
            source=dialogue.source,
        )
        for index, turn in enumerate(dialogue.turns)
        if turn.role is Role.BOT and index > 0 and (dialogue.targets is None or index in dialogue.targets)
    ]


def with_distractors(examples: Sequence[TrainingExample], count: int, rng: random.Random) -> list[TrainingExample]:
    """Give each example `count` replies of other dialogues, none equal to its own reply.

    Raises BadData when the examples hold too few different replies for that.
    """
    replies = [example.reply for example in examples]
    if len(set(replies)) <= count:
        raise BadData(f"{count} distractors need more than {count} different replies; add data or ask for fewer.")
    return [replace(example, distractors=_draw(example.reply, replies, count, rng)) for example in examples]


def _draw(reply: str, replies: Sequence[str], count: int, rng: random.Random) -> tuple[str, ...]:
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        other = rng.choice(replies)
        if other != reply:
            drawn[other] = None
    return tuple(drawn)


def split_by_hash(dialogues: Iterable[Dialogue], held_out_percent: int) -> tuple[list[Dialogue], list[Dialogue]]:
    """Training and held-out parts, decided by the first turn's text alone.

    The same opening always falls on the same side, whatever else the corpus holds, so near-copies do not leak.
    """
    kept: list[Dialogue] = []
    held_out: list[Dialogue] = []
    for dialogue in dialogues:
        (held_out if is_held_out(dialogue.turns[0].text, held_out_percent) else kept).append(dialogue)
    return kept, held_out


def is_held_out(opening: str, percent: int) -> bool:
    """Whether dialogues that open with `opening` are among the `percent` that are held out."""
    return random.Random(opening).randrange(100) < percent
