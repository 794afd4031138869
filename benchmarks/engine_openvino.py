"""The peer `openvino-plain`: OpenVINO GenAI's continuous batching as it comes, int8, without its prefix cache."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.openvino_convert import convert
from benchmarks.systems import Outcome, Setup
from benchmarks.workload import Prompt
from model.backends.openvino_silent import import_genai, import_openvino
from model.chat_format import ChatFormat, get_format
from model.dialogue import Sampling
from model.manifest import read_manifest
from model.tokenizer import load_tokenizer

# Enough for the 32 longest requests of the workload in any shape.
_CACHE_GB = 2


def load(setup: Setup) -> OpenVinoSystem:
    """Convert the checkpoint, unless the cache has it, and load it with GenAI's own settings."""
    converted = setup.cache / "openvino-plain"
    if not converted.exists():
        convert(setup.model, converted)
    genai = import_genai()
    scheduler = genai.SchedulerConfig()
    scheduler.enable_prefix_caching = False
    scheduler.cache_size = _CACHE_GB
    properties = {"INFERENCE_NUM_THREADS": setup.threads}
    pipeline = genai.ContinuousBatchingPipeline(converted, scheduler, "CPU", properties)
    manifest = read_manifest(setup.model)
    chat_format = get_format(manifest.format if manifest else "malbeot", load_tokenizer(setup.model))
    return OpenVinoSystem(pipeline, chat_format)


class OpenVinoSystem:
    """Requests are stepped together; there is no next-utterance head, so candidates go unranked."""

    def __init__(self, pipeline: Any, chat_format: ChatFormat) -> None:
        self._pipeline = pipeline
        self._format = chat_format
        self._genai = import_genai()
        self._ids = itertools.count()
        self.about = {"openvino_genai": str(self._genai.__version__), "precision": "int8"}

    def run(self, prompts: Sequence[Prompt], sampling: Sampling) -> Outcome:
        """As `System.run`."""
        tensor = import_openvino().Tensor
        began = time.perf_counter()
        config = self._config(sampling)
        handles = []
        for number, prompt in enumerate(prompts):
            config.rng_seed = (sampling.seed or 0) + number
            ids = np.array([prompt.ids], dtype=np.int64)
            handles.append(self._pipeline.add_request(next(self._ids), tensor(ids), config))
        first = None
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
            if first is None:
                first = time.perf_counter() - began
        outputs = [handle.read_all() for handle in handles]
        answers = tuple(self._format.decode(candidates[0].generated_ids) for candidates in outputs)
        seconds = time.perf_counter() - began
        lengths = {len(candidate.generated_ids) for candidates in outputs for candidate in candidates}
        if lengths != {sampling.max_new_tokens}:
            raise BenchmarkError("OpenVINO GenAI ended a reply early; the model must not be able to.")
        return Outcome(seconds, first if len(prompts) * sampling.candidates == 1 else None, answers)

    def _config(self, sampling: Sampling) -> Any:
        config = self._genai.GenerationConfig()
        config.do_sample = True
        config.temperature = sampling.temperature
        config.top_k = sampling.top_k
        config.top_p = sampling.top_p
        config.max_new_tokens = sampling.max_new_tokens
        config.num_return_sequences = sampling.candidates
        config.eos_token_id = self._format.eos_id
        return config

    def close(self) -> None:
        """Nothing outlives the process."""
