"""What the engine and its child process say to each other: typed messages in length-prefixed pickle frames.

Both ends of the socket are this program on this machine, so pickle carries nothing foreign. No torch.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from model.dialogue import DialogueContext, Reply, Sampling
from model.errors import BadCheckpoint, ModelError

_HEADER = struct.Struct("!I")


PRECISIONS = ("auto", "int8", "bf16", "fp32")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What an engine runs, and how much at once.

    `chat_format` None takes the checkpoint's own, `threads` None the backend's choice. `backend` is "auto" (the
    fastest that works here), "torch", "openvino", or `module:function`, a function that loads the model, called with
    this config in the child. `precision` of the weights: "auto" lets the backend choose for this machine, "fp32" is
    exact. `cache_mb` is the memory for what was already read of conversations; it never takes more, and a request
    waits when it is full. At most `max_running` requests are advanced together and `queue_limit` more wait, each
    `deadline` seconds in all. A child that is silent for `hang_seconds` while it has work is replaced. What is
    looked up among the dialogues of the folder `retriever` is the reply outright where the chance that it fits is
    `take_confidence` or more; below, the model writes, and is trusted to fit with `generator_confidence`.
    """

    model: Path
    chat_format: str | None = None
    threads: int | None = None
    device: str = "cpu"
    backend: str = "auto"
    precision: str = "auto"
    cache_mb: int = 1024
    max_running: int = 16
    queue_limit: int = 64
    deadline: float = 60.0
    hang_seconds: float = 60.0
    retriever: Path | None = None
    take_confidence: float = 0.8
    generator_confidence: float = 0.5

    def __post_init__(self) -> None:
        checks = {
            "max_running must be 1 or more, and queue_limit 0 or more": self.max_running >= 1 and self.queue_limit >= 0,
            "generator_confidence must be between 0 and 1": 0 <= self.generator_confidence <= 1,
            f"precision must be one of {', '.join(PRECISIONS)}": self.precision in PRECISIONS,
            "cache_mb must be 1 or more": self.cache_mb >= 1,
            "deadline and hang_seconds must be above 0": self.deadline > 0 and self.hang_seconds > 0,
        }
        for sentence, holds in checks.items():
            if not holds:
                raise ValueError(sentence)


@dataclass(frozen=True, slots=True)
class Submit:
    """Answer this; the sampling has its seed, so that asking again gives the same reply."""

    request_id: int
    context: DialogueContext
    sampling: Sampling
    streamed: bool


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for this request any more."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded."""

    model_version: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The model cannot be loaded; the child ends."""

    error: BadCheckpoint


@dataclass(frozen=True, slots=True)
class Alive:
    """The child is at work and has nothing else to tell; sent about once a second, from between two steps."""


@dataclass(frozen=True, slots=True)
class Started:
    """The request left the queue and has a slot. Sent before any work, so that a crash has its suspects."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of a streamed request."""

    request_id: int
    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The request is answered."""

    request_id: int
    reply: Reply


@dataclass(frozen=True, slots=True)
class Failed:
    """The request cannot be answered; the child goes on."""

    request_id: int
    error: ModelError


ToWorker = EngineConfig | Submit | Cancel
Event = Started | Piece | Done | Failed
FromWorker = Ready | Refused | Alive | Event


def to_frame(message: ToWorker | FromWorker) -> bytes:
    """The message as it goes over the socket."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _HEADER.pack(len(body)) + body


def read_frame(stream: BinaryIO) -> ToWorker | None:
    """The next message for the child, waited for; None at the end of the stream."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    (length,) = _HEADER.unpack(header)
    body = stream.read(length)
    return cast(ToWorker, pickle.loads(body)) if len(body) == length else None


async def receive_frame(stream: asyncio.StreamReader) -> FromWorker | None:
    """The next message from the child; None when the child has closed its end, or died."""
    try:
        (length,) = _HEADER.unpack(await stream.readexactly(_HEADER.size))
        return cast(FromWorker, pickle.loads(await stream.readexactly(length)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
