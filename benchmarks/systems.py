"""What is compared: our backend, our engine, and the peers. Each is loaded in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from benchmarks.workload import Prompt
from model.dialogue import Sampling


@dataclass(frozen=True, slots=True)
class Setup:
    """What a system is loaded with. `backend` and `precision` are for ours; `cache` takes converted models."""

    model: Path
    cache: Path
    threads: int
    backend: str = "auto"
    precision: str = "auto"
    running: int = 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run took, in seconds from the moment the prompts were handed over.

    `first`: until the first token, None where several prompts ran together. `answers`: each prompt's first candidate.
    """

    seconds: float
    first: float | None
    answers: tuple[str, ...]


class System(Protocol):
    """A loaded model that answers."""

    about: dict[str, str]

    def run(self, prompts: Sequence[Prompt], sampling: Sampling) -> Outcome:
        """Answer all prompts, which arrive at once, with exactly `sampling.max_new_tokens` tokens each.

        Candidates beyond one are ranked where the system can.
        """
        ...

    def close(self) -> None:
        """Free what does not end with the process."""
        ...


class Source(NamedTuple):
    """Where a system comes from: the function (`module:function`) that loads it, and the package it needs."""

    load: str
    package: str
    says: str


OUR_SOURCES: dict[str, Source] = {
    "ours": Source(
        "benchmarks.engine_ours:load_backend", "model", "our backend, driven as the engine's process drives it"
    ),
    "end_to_end": Source("benchmarks.engine_ours:load_engine", "model", "our engine, its process and pipe included"),
}
PEERS: dict[str, Source] = {
    "hf": Source("benchmarks.engine_hf:load", "transformers", "transformers generate, fp32; batches are one generate"),
    "ctranslate2": Source("benchmarks.engine_ctranslate2:load", "ctranslate2", "CTranslate2, int8; ranks nothing"),
    "openvino-plain": Source(
        "benchmarks.engine_openvino:load",
        "openvino_genai",
        "OpenVINO GenAI continuous batching, int8, without prefix cache; ranks nothing",
    ),
}
BACKENDS = ("auto", "torch", "openvino")
