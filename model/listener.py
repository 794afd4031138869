"""Listening lines: replies that fit a whole class of lines, for when no dialogue of ours is near. No torch.

A class is a topic and what the speaker does with it ("pets, proud of one"), given by examples of what is said; each of
its replies was written to fit everything in it. The classes of the topic `GENERAL` fit whatever somebody does it with,
those of `REACTION` tell finer what happened or what is asked, those of `ALWAYS` fit nearly anything that is told, those
of `ASKED` answer a form of question (`model.question`) and may have a place, {}, for words of it. They are the
project's own, in training/data/listening.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.choice import choice
from model.dialogue import DialogueContext, Role, SpeechLevel
from model.line_vectors import LineVectors
from model.lines import earlier_line, has_words, normalise, previous_reply
from model.question import WHO_IT_IS, asked
from model.reflection import reflected, sentences, with_reflection

GENERAL = "아무 이야기"
REACTION = "알맞은 대꾸"
ALWAYS = "어떤 말이든"
ASKED = "어떤 물음이든"
CHOICE = "둘 중 하나를 고름"
_SPECIAL = (GENERAL, REACTION, ALWAYS, ASKED)
# Examples of a class that have to be near together, so that a single odd one decides nothing.
_NEAREST = 3
# Turns of the bot between two lines that fit anything.
_BETWEEN = 1


@dataclass(frozen=True, slots=True)
class ListeningClass:
    """What is said, by examples, and what may be answered in each speech level."""

    topic: str
    act: str
    said: tuple[str, ...]
    replies: Mapping[SpeechLevel, tuple[str, ...]]

    @property
    def name(self) -> str:
        """Topic and act."""
        return f"{self.topic}/{self.act}"


@dataclass(frozen=True, slots=True)
class Heard:
    """A class that was recognised: `nearness` is the mean cosine to its nearest examples; the reply is one of its.

    `said`: what it answers, in words: topic and act with the nearest example, of a general one the act alone.
    `said_back`: whether the reply has words of what it answers. `chance`: of a reaction, that this act was told.
    """

    name: str
    reply: str
    nearness: float
    said: str
    said_back: bool = False
    chance: float | None = None


def load_listening(folder: Path) -> list[ListeningClass]:
    """The classes in the *.jsonl of `folder`, file by file; none where there is no such folder."""
    files = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jsonl"))]
    return [_parsed(json.loads(line)) for text in files for line in text.split("\n") if line]


def _parsed(record: dict[str, object]) -> ListeningClass:
    said, replies = record["said"], record["replies"]
    assert isinstance(said, list) and isinstance(replies, dict)
    by_level = {SpeechLevel(level): tuple(lines) for level, lines in replies.items()}
    return ListeningClass(str(record["topic"]), str(record["act"]), tuple(said), by_level)


class Listener:
    """The classes, ready to be compared with what was said."""

    def __init__(self, classes: Sequence[ListeningClass], vectors: LineVectors) -> None:
        self._classes = [each for each in classes if each.topic not in _SPECIAL]
        by_act = (each for each in classes if each.topic in (GENERAL, REACTION))
        self._general = {each.act: (each, vectors.of(each.said)) for each in by_act}
        self.acts = frozenset(each.act for each in classes if each.topic == GENERAL)
        """Those of the general classes."""
        self.reactions = frozenset(each.act for each in classes if each.topic == REACTION)
        """The finer ones."""
        self.always = frozenset(each.act for each in classes if each.topic == ALWAYS)
        """What fits nearly anything that is told."""
        self._always = [(each, vectors.of(each.said)) for each in classes if each.topic == ALWAYS]
        self._asked = {each.act: each for each in classes if each.topic == ASKED}
        always = (text for each, _ in self._always for replies in each.replies.values() for text in replies)
        self._always_ends = tuple(_end(text) for text in always)
        self._vectors = vectors
        self._said = vectors.of([text for each in self._classes for text in each.said])
        sizes = [len(each.said) for each in self._classes]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self._owners = np.repeat(np.arange(len(sizes)), sizes)

    def heard(self, context: DialogueContext, count: int) -> list[Heard]:
        """The `count` nearest classes with a reply that was not said yet, nearest first."""
        if not self._classes or not has_words(context.turns):
            return []
        cosines = self._said @ self._vectors.of([context.turns[-1].text])[0]
        nearness = self._nearness(cosines)
        found: list[Heard] = []
        for number in np.argsort(-nearness, kind="stable"):
            each = self._classes[number]
            reply = _next_reply(each, context)
            if reply is not None:
                start, end = self._starts[number : number + 2]
                example = each.said[int(cosines[start:end].argmax())]
                said = f"{each.topic}, {each.act}: {example}"
                found.append(Heard(each.name, reply, float(nearness[number]), said))
            if len(found) == count:
                break
        return found

    def _nearness(self, cosines: NDArray[np.float32]) -> NDArray[np.float64]:
        """The mean of the _NEAREST best cosines of each class, without a loop over some thousands of them."""
        # Class by class, the best first.
        order = np.lexsort((-cosines, self._owners))
        ranks = np.arange(len(cosines)) - self._starts[self._owners]
        owners, best = self._owners[ranks < _NEAREST], cosines[order][ranks < _NEAREST]
        classes = len(self._classes)
        return np.bincount(owners, best, classes) / np.bincount(owners, minlength=classes)

    def in_general(self, context: DialogueContext, acts: Mapping[str, float]) -> list[Heard]:
        """A reply to each of `acts` that has one not said yet, in their order, and one of each class of `ALWAYS`.

        `acts` are told with their chances. What was said is said back before it where that can be done and was not done
        just before. None of `ALWAYS` where one was among the bot's newest turns: who is told to go on each time is not
        listened to. Before these, to a question, what answers its form and, where it asks to choose, a choice.
        """
        if not has_words(context.turns):
            return []
        text = context.turns[-1].text
        newest = self._vectors.of([text])[0]
        lately = [turn.text for turn in context.turns if turn.role is Role.BOT][-_BETWEEN:]
        tired = self._always_ends if any(normalise(line).endswith(self._always_ends) for line in lately) else ()
        level = context.speech_level or SpeechLevel.HAEYO
        back = reflected(text, level)
        found = self._answers(context, level) if back is None else []
        if _just_said_back(context, level):
            back = None
        general = [self._general[act] for act in acts if act in self._general]
        for each, said in [*general, *([] if tired else self._always)]:
            reply = _next_reply(each, context)
            if reply is not None and not normalise(reply).endswith(tired):
                best = np.sort(said @ newest)[-_NEAREST:]
                nearness = float(best.mean()) if len(best) else 0.0
                whole = with_reflection(back, reply) if back is not None else None
                chance = acts[each.act] if each.topic == REACTION else None
                found.append(Heard(each.name, whole or reply, nearness, each.act, whole is not None, chance))
        return found

    def _answers(self, context: DialogueContext, level: SpeechLevel) -> list[Heard]:
        """To each form of question in the newest turn a reply, and one with the words that were asked about."""
        text = context.turns[-1].text
        found = []
        for form, echo in ((each.form, echo) for each in asked(text, level) for echo in dict.fromkeys((each.echo, ""))):
            answers = self._asked.get(form)
            reply = _next_reply(answers, context, echo) if answers is not None else None
            if answers is not None and reply is not None:
                found.append(Heard(answers.name, reply, 0.0, form, said_back=bool(echo)))
        # Whether it is a human or a machine is nothing to choose.
        chosen = choice(text, level) if all(each.said != WHO_IT_IS for each in found) else None
        return found if chosen is None else [*found, Heard(CHOICE, chosen, 1.0, CHOICE, said_back=True)]


def _just_said_back(context: DialogueContext, level: SpeechLevel) -> bool:
    """Whether the bot did so to the turn before; every time would tire."""
    earlier, previous = earlier_line(context.turns), previous_reply(context.turns)
    before = reflected(earlier, level) if earlier is not None else None
    return before is not None and previous is not None and previous.startswith(before)


def _next_reply(heard: ListeningClass, context: DialogueContext, echo: str = "") -> str | None:
    """One of the class's replies that the bot has not given here; another one after other conversations.

    With an `echo`, one that has a place for it.
    """
    lines = heard.replies.get(context.speech_level or SpeechLevel.HAEYO, ())
    replies = [line.format(echo) for line in lines if ("{}" in line) == bool(echo)]
    said = [normalise(text) for text in context.said_before()]
    ends = map(_end, replies)
    fresh = [reply for reply, end in zip(replies, ends, strict=True) if not any(text.endswith(end) for text in said)]
    if not fresh:
        return None
    return fresh[sum(map(ord, "".join(turn.text for turn in context.turns))) % len(fresh)]


def _end(reply: str) -> str:
    """What is left of a reply whatever was put before it."""
    return normalise(sentences(reply)[-1])
