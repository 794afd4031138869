"""The vocabulary every room shares: what a conversation is, and what a reply is.

Standard library only. Values are frozen; ids and times belong to storage, not to values.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Role(StrEnum):
    """Who says a turn."""

    USER = "user"
    BOT = "bot"


class SpeechLevel(StrEnum):
    """The two Korean speech levels the bot keeps to: polite 해요체 and casual 반말."""

    HAEYO = "해요체"
    BANMAL = "반말"


class Finish(StrEnum):
    """Why a reply ended."""

    STOP = "stop"
    LENGTH = "length"


class Source(StrEnum):
    """Where a candidate came from."""

    GENERATOR = "generator"
    RETRIEVER = "retriever"
    PERSONA = "persona"
    """A fact of the persona, restated."""
    LISTENER = "listener"
    """A line written for a whole class of what people say."""
    FIXED = "fixed"
    """A line written for when nothing else may be said; never the model's."""


# Who the bot is unless a conversation says otherwise; the model that ships was trained as this one.
DEFAULT_PERSONA = (
    "내 이름은 유희다.",
    "나는 사람들과 이야기하는 걸 좋아하는 AI 말벗이다.",
    "나는 떡볶이 이야기를 제일 좋아한다.",
    "나는 비 오는 날의 분위기를 좋아한다.",
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class DialogueContext:
    """All a reply depends on: who the bot is, what was said (oldest first), and how it should speak.

    `speech_level` is None where it is unknown, as in corpora without labels. `avoid` holds replies that should not be
    given (again), as when another one was asked for; the model does not read it.
    """

    persona: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    speech_level: SpeechLevel | None = None
    avoid: tuple[str, ...] = ()

    def said_before(self) -> tuple[str, ...]:
        """The lines a reply must not repeat: the bot's own turns, and those to avoid."""
        return tuple(turn.text for turn in self.turns if turn.role is Role.BOT) + self.avoid


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens.

    `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 switch those filters off (nucleus sampling: Holtzman et al.
    2020); `repetition_penalty` 1 is none (Keskar et al. 2019, over prompt and reply as in transformers);
    `seed` None draws a fresh one per request.
    """

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.9
    repetition_penalty: float = 1.1
    max_new_tokens: int = 48
    candidates: int = 4
    seed: int | None = None

    def __post_init__(self) -> None:
        checks = {
            "temperature must be 0 or more": self.temperature >= 0,
            "top_k must be 0 or more": self.top_k >= 0,
            "top_p must be above 0 and at most 1": 0 < self.top_p <= 1,
            "repetition_penalty must be above 0": self.repetition_penalty > 0,
            "max_new_tokens must be 1 or more": self.max_new_tokens >= 1,
            "candidates must be between 1 and 16": 1 <= self.candidates <= 16,
        }
        for sentence, holds in checks.items():
            if not holds:
                raise ValueError(sentence)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible reply. `score` is the ranker's (higher is better), None when nothing was ranked.

    `tokens` is how many the model made for it, 0 for a line that was looked up.
    """

    text: str
    source: Source
    finish: Finish
    score: float | None = None
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The chosen candidate, and what it was chosen from (best first).

    `seconds` is wall time in the engine from its start, the wait before it not counted; `tokens` all that were made.
    """

    text: str
    source: Source
    model_version: str
    finish: Finish
    seconds: float
    candidates: tuple[Candidate, ...] = ()
    tokens: int = 0


class Responder(Protocol):
    """Whatever answers a conversation: the engine, or a fake in tests."""

    async def reply(self, context: DialogueContext, sampling: Sampling) -> Reply:
        """Answer the last turn of `context`. Raises EngineBusy, EngineClosed or EngineFailed."""
        ...

    def stream(self, context: DialogueContext, sampling: Sampling) -> AsyncIterator[str | Reply]:
        """Yield pieces of text as they are made, then the whole `Reply` as the last item."""
        ...
