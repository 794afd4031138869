"""OpenVINO GenAI's continuous batching behind jobs of token ids: admission, sharing of prompts, reading, cancelling.

What GenAI leaves to its user is done here. A job starts when the cache has room for all it may come to need, so that
nothing is ever pre-empted, or ignored for want of room, by what came later. Prompts with a common beginning wait for
the first of them to be read (`openvino_prefixes`). So candidates read their prompt once, though they are requests of
their own and not GenAI's `num_return_sequences`, whose repetition penalty mixes the candidates up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from model.backends.openvino_cache import Export
from model.backends.openvino_graph import Shape, score_of
from model.backends.openvino_prefixes import BLOCK, Prefixes, Trail
from model.backends.openvino_silent import import_genai, import_openvino
from model.dialogue import Finish, Sampling
from model.errors import ContextTooLong, EngineFailed

# 131,072 tokens, some 500 conversations with the default model. GenAI looks through all of them for the oldest.
_MOST_BLOCKS = 4096


@dataclass(frozen=True, slots=True)
class Wish:
    """One row: read `prompt`, then write at most `limit` ids. `scored`: and tell a score after the end."""

    prompt: tuple[int, ...]
    limit: int
    sampling: Sampling
    seed: int = 0
    scored: bool = False


@dataclass(slots=True)
class Row:
    """What came of a wish: the ids so far, without the end, and how it ended: by the limit, unless by itself."""

    wish: Wish
    ids: list[int] = field(default_factory=list)
    finish: Finish = Finish.LENGTH
    score: float | None = None
    done: bool = False
    handle: Any = None
    trail: Trail = field(init=False)

    def __post_init__(self) -> None:
        self.trail = Trail(self.wish.prompt)

    @property
    def begun(self) -> bool:
        """The prompt has been read."""
        return len(self.trail.keys) > len(self.wish.prompt)

    def take(self, token: int, end: int) -> None:
        """Add what the model wrote. `end` is the id that ends a reply; the one after it tells the score."""
        self.trail.add(token)
        if token > end:
            self.score = score_of(token, end)
            self.done = True
        elif token == end:
            self.finish = Finish.STOP
            self.done = not self.wish.scored
        else:
            self.ids.append(token)
            self.done = len(self.ids) == self.wish.limit

    def release(self) -> None:
        """Stop writing; the blocks are free after GenAI's next step. Twice is no error."""
        if self.handle is not None:
            self.handle.cancel()
            self.handle = None


class Job:
    """Rows that are advanced together. Made by `Pipeline.submit`."""

    def __init__(self, wishes: Sequence[Wish], blocks: int) -> None:
        self.rows = [Row(wish) for wish in wishes]
        self.blocks = blocks
        self.failed = False
        self.closed = False

    @property
    def finished(self) -> bool:
        """Every row is done. Raises EngineFailed for a job that GenAI gave up."""
        if self.failed:
            raise EngineFailed("OpenVINO gave this reply up for want of memory; raise the engine's cache_mb.")
        return all(row.done for row in self.rows)

    @property
    def over(self) -> bool:
        """Nothing is left to be done."""
        return self.closed or self.failed or self.finished

    def close(self) -> None:
        """Free everything. Closing twice is no error."""
        self.closed = True
        for row in self.rows:
            row.release()


class Pipeline:
    """One loaded export. Not thread-safe."""

    def __init__(self, export: Export, cache_mb: int, threads: int | None = None, step_tokens: int = 256) -> None:
        """Load the export. At most `step_tokens` tokens are read a step: long prompts do not stall their neighbours."""
        self.blocks = min(cache_mb * 2**20 // block_bytes(export.shape, export.precision), _MOST_BLOCKS)
        self._end = export.vocabulary.end
        genai = import_genai()
        scheduling = genai.SchedulerConfig()
        scheduling.cache_size = 0
        scheduling.num_kv_blocks = self.blocks
        scheduling.enable_prefix_caching = True
        scheduling.max_num_batched_tokens = step_tokens
        self._tensor = import_openvino().Tensor
        self._settings = genai.GenerationConfig
        self._ignored = genai.GenerationStatus.IGNORED
        self._pipeline = genai.ContinuousBatchingPipeline(
            str(export.folder), scheduling, "CPU", _properties(export.precision, threads)
        )
        self._request_ids = count(1)
        self._free = self.blocks
        self._prefixes = Prefixes(self.blocks * BLOCK)
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []

    def submit(self, wishes: Sequence[Wish]) -> Job:
        """Queue a job. Raises ContextTooLong when the whole cache is too small for it."""
        needed = blocks_needed(wishes)
        if needed > self.blocks:
            raise ContextTooLong(
                f"This reply needs {needed} blocks of the engine's cache, which has {self.blocks}; raise cache_mb."
            )
        for wish in wishes:
            if not all(0 <= token <= self._end for token in wish.prompt):
                raise EngineFailed("A prompt has ids that the model does not know; tokenizer and model do not fit.")
        job = Job(wishes, needed)
        self._waiting.append(job)
        return job

    def step(self) -> None:
        """Admit what fits, then one step of the model for all jobs; nothing where there are none."""
        self._admit()
        if not self._running:
            return
        self._start_rows()
        self._pipeline.step()
        for job in self._running:
            for row in job.rows:
                if row.handle is not None:
                    self._read(job, row)
        # Only now: what was cancelled before this step kept its blocks until it was over.
        for job in [job for job in self._running if job.over]:
            job.close()
            self._running.remove(job)
            self._free += job.blocks
        if not self._running and self._pipeline.has_non_finished_requests():
            self._pipeline.step()  # computes nothing; lets go of what was cancelled

    def _admit(self) -> None:
        """Admit jobs in the order they came; one that does not fit holds up those behind it, or it might never run."""
        while self._waiting and (self._waiting[0].closed or self._waiting[0].blocks <= self._free):
            job = self._waiting.popleft()
            if not job.closed:
                self._free -= job.blocks
                self._running.append(job)

    def _start_rows(self) -> None:
        """Start the rows of admitted jobs that need not wait for another's prompt."""
        rows = [row for job in self._running if not job.closed for row in job.rows if not row.begun and not row.done]
        reading = [row.trail.keys for row in rows if row.handle is not None]
        for row in rows:
            if row.handle is None and not self._prefixes.must_wait(row.trail.keys, reading):
                self._start(row)
                reading.append(row.trail.keys)

    def _start(self, row: Row) -> None:
        ids = self._tensor(np.array([row.wish.prompt], np.int64))
        row.handle = self._pipeline.add_request(next(self._request_ids), ids, self._configured(row.wish))

    def _configured(self, wish: Wish) -> Any:
        settings = self._settings()
        settings.eos_token_id = self._end
        settings.stop_token_ids = {self._end}
        settings.ignore_eos = wish.scored  # the score comes after the end
        settings.max_new_tokens = wish.limit + wish.scored
        settings.repetition_penalty = wish.sampling.repetition_penalty
        settings.do_sample = wish.sampling.temperature > 0
        if settings.do_sample:
            settings.temperature = wish.sampling.temperature
            settings.top_k = wish.sampling.top_k
            settings.top_p = wish.sampling.top_p
            settings.rng_seed = wish.seed
        return settings

    def _read(self, job: Job, row: Row) -> None:
        if row.handle.get_status() == self._ignored:
            job.failed = True
        elif row.handle.can_read():
            for output in row.handle.read().values():
                for token in output.generated_ids:
                    # A text ends wherever it stands; GenAI may offer that place to others.
                    self._prefixes.note(row.trail.keys)
                    row.take(token, self._end)
            if row.done:
                row.release()


def blocks_needed(wishes: Sequence[Wish]) -> int:
    """The most blocks of the cache that rows may hold at once: a prompt that all of them have once, the rest each."""
    prompt = wishes[0].prompt
    shared = len(prompt) // BLOCK if all(wish.prompt == prompt for wish in wishes) else 0
    # One more: the end, from which the score is told.
    return shared + sum(-(-(len(wish.prompt) + wish.limit + 1) // BLOCK) - shared for wish in wishes)


def block_bytes(shape: Shape, precision: str) -> int:
    """Memory of one block of the cache, an upper bound.

    In fp32 four bytes a value. Else a byte, with a scale and a zero point (float32) for every value vector and for
    every channel of a block's keys.
    """
    size = shape.width // shape.heads
    per_head = BLOCK * size * 8 if precision == "fp32" else BLOCK * (size + size + 8) + size * 8
    return shape.layers * shape.heads * per_head


def _properties(precision: str, threads: int | None) -> dict[str, Any]:
    """OpenVINO's settings. In int8 only the matrices are; activations are what is fastest on the machine."""
    properties: dict[str, Any] = {"KV_CACHE_PRECISION": "f32" if precision == "fp32" else "u8"}
    if precision != "int8":
        properties["INFERENCE_PRECISION_HINT"] = "f32" if precision == "fp32" else "bf16"
    if threads is not None:
        properties |= {"INFERENCE_NUM_THREADS": threads, "sampler_num_threads": threads}
    return properties
