"""Listening lines: replies that fit a whole class of lines, for when no dialogue of ours is near. No torch.

A class is a topic and what the speaker does with it ("pets, proud of one"), given by examples of what is said; each of
its replies was written to fit everything in it. They are the project's own, in training/data/listening.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.dialogue import DialogueContext, SpeechLevel
from model.line_vectors import LineVectors
from model.lines import normalise

# Examples of a class that have to be near together, so that a single odd one decides nothing.
_NEAREST = 3


@dataclass(frozen=True, slots=True)
class ListeningClass:
    """What is said, by examples, and what may be answered in each speech level."""

    name: str
    said: tuple[str, ...]
    replies: Mapping[SpeechLevel, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Heard:
    """A class that was recognised: `nearness` is the mean cosine to its nearest examples; the reply is one of its."""

    name: str
    reply: str
    nearness: float


def load_listening(folder: Path) -> list[ListeningClass]:
    """The classes in the *.jsonl of `folder`, file by file; none where there is no such folder."""
    files = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jsonl"))]
    return [_parsed(json.loads(line)) for text in files for line in text.split("\n") if line]


def _parsed(record: dict[str, object]) -> ListeningClass:
    said, replies = record["said"], record["replies"]
    assert isinstance(said, list) and isinstance(replies, dict)
    by_level = {SpeechLevel(level): tuple(lines) for level, lines in replies.items()}
    return ListeningClass(f"{record['topic']}/{record['act']}", tuple(said), by_level)


class Listener:
    """The classes, ready to be compared with what was said."""

    def __init__(self, classes: Sequence[ListeningClass], vectors: LineVectors) -> None:
        self._classes = list(classes)
        self._vectors = vectors
        self._said = vectors.of([text for each in classes for text in each.said])
        sizes = [len(each.said) for each in classes]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)

    def heard(self, context: DialogueContext, count: int) -> list[Heard]:
        """The `count` nearest classes with a reply that was not said yet, nearest first."""
        if not self._classes or not context.turns or not normalise(context.turns[-1].text):
            return []
        cosines = self._said @ self._vectors.of([context.turns[-1].text])[0]
        bounds = zip(self._starts[:-1], self._starts[1:], strict=True)
        nearness = np.array([np.sort(cosines[start:end])[-_NEAREST:].mean() for start, end in bounds])
        found: list[Heard] = []
        for number in np.argsort(-nearness, kind="stable"):
            reply = _next_reply(self._classes[number], context)
            if reply is not None:
                found.append(Heard(self._classes[number].name, reply, float(nearness[number])))
            if len(found) == count:
                break
        return found


def _next_reply(heard: ListeningClass, context: DialogueContext) -> str | None:
    """One of the class's replies that the bot has not given here; another one after other conversations."""
    replies = heard.replies.get(context.speech_level or SpeechLevel.HAEYO, ())
    said = {normalise(text) for text in context.said_before()}
    fresh = [reply for reply in replies if normalise(reply) not in said]
    if not fresh:
        return None
    return fresh[sum(map(ord, "".join(turn.text for turn in context.turns))) % len(fresh)]
