"""The peer `ctranslate2`: converted from the same checkpoint, int8."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import ctranslate2
from ctranslate2.converters import TransformersConverter
from transformers import PreTrainedTokenizerFast

from benchmarks.errors import BenchmarkError
from benchmarks.systems import Outcome, Setup
from benchmarks.workload import Prompt
from model.chat_format import ChatFormat, get_format
from model.dialogue import Sampling
from model.manifest import read_manifest
from model.tokenizer import load_tokenizer


class _Converter(TransformersConverter):  # type: ignore[misc]
    """Reads the tokenizer as we do: AutoTokenizer takes that of every GPT-2 for a byte-level one."""

    def load_tokenizer(self, tokenizer_class: object, folder: str, **options: object) -> PreTrainedTokenizerFast:
        return self._tokenizer

    def __init__(self, folder: str, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__(folder)
        self._tokenizer = tokenizer


def load(setup: Setup) -> CTranslate2System:
    """Convert the checkpoint, unless the cache has it, and load it."""
    tokenizer = load_tokenizer(setup.model)
    converted = setup.cache / "ctranslate2"
    if not converted.exists():
        _Converter(str(setup.model), tokenizer).convert(str(converted), quantization="int8")
    generator = ctranslate2.Generator(str(converted), compute_type="int8", intra_threads=setup.threads)
    manifest = read_manifest(setup.model)
    return CTranslate2System(generator, get_format(manifest.format if manifest else "malbeot", tokenizer))


class CTranslate2System:
    """Batches are one call of generate_batch; it has no next-utterance head, so candidates go unranked."""

    def __init__(self, generator: Any, chat_format: ChatFormat) -> None:
        self._generator = generator
        self._format = chat_format
        self.about = {"ctranslate2": str(ctranslate2.__version__), "precision": str(generator.compute_type)}

    def run(self, prompts: Sequence[Prompt], sampling: Sampling) -> Outcome:
        """As `System.run`."""
        ctranslate2.set_random_seed((sampling.seed or 0) % 2**32)
        moments: list[float] = []
        alone = len(prompts) * sampling.candidates == 1
        began = time.perf_counter()
        results = self._generator.generate_batch(
            [self._format.tokenizer.convert_ids_to_tokens(list(prompt.ids)) for prompt in prompts],
            max_length=sampling.max_new_tokens,
            num_hypotheses=sampling.candidates,
            sampling_topk=sampling.top_k,
            sampling_topp=sampling.top_p,
            sampling_temperature=sampling.temperature,
            include_prompt_in_result=False,
            # Given only where it is needed: it calls back into Python at each token.
            callback=(lambda _: moments.append(time.perf_counter())) if alone else None,
        )
        answers = tuple(self._format.decode(result.sequences_ids[0]) for result in results)
        seconds = time.perf_counter() - began
        lengths = {len(ids) for result in results for ids in result.sequences_ids}
        if lengths != {sampling.max_new_tokens}:
            raise BenchmarkError("CTranslate2 ended a reply early; the model must not be able to.")
        return Outcome(seconds, moments[0] - began if alone else None, answers)

    def close(self) -> None:
        """Nothing outlives the process."""
