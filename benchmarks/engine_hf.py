"""The peer `hf`: transformers' generate in fp32, as a simple bot would use it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import GPT2DoubleHeadsModel, GPT2LMHeadModel
from transformers.generation.streamers import BaseStreamer

from benchmarks.errors import BenchmarkError
from benchmarks.systems import Outcome, Setup
from benchmarks.workload import Prompt
from model import checkpoint as checkpoints
from model.chat_format import ChatFormat
from model.dialogue import Sampling


def load(setup: Setup) -> HfSystem:
    """Load the model for generate, and its head for ranking. Sets torch's threads for the whole process."""
    torch.set_num_threads(setup.threads)
    chat_format = checkpoints.load(setup.model).chat_format
    # Not one model for both: the one with two heads projects every position of the prompt onto the vocabulary.
    model = GPT2LMHeadModel.from_pretrained(str(setup.model), dtype=torch.float32, local_files_only=True)
    heads = GPT2DoubleHeadsModel.from_pretrained(str(setup.model), dtype=torch.float32, local_files_only=True)
    return HfSystem(model, heads.multiple_choice_head, chat_format)


class HfSystem:
    """Batches are one call of generate; candidates are ranked by one more forward over prompt and candidates."""

    def __init__(self, model: Any, head: Any, chat_format: ChatFormat) -> None:
        self._model = model
        self._head = head
        self._format = chat_format
        self.about = {"transformers": transformers.__version__, "torch": torch.__version__, "precision": "fp32"}

    @torch.inference_mode()
    def run(self, prompts: Sequence[Prompt], sampling: Sampling) -> Outcome:
        """As `System.run`."""
        torch.manual_seed(sampling.seed or 0)
        began = time.perf_counter()
        first = _FirstToken() if len(prompts) * sampling.candidates == 1 else None
        ids = torch.tensor([prompt.ids for prompt in prompts])
        made = self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            max_new_tokens=sampling.max_new_tokens,
            num_return_sequences=sampling.candidates,
            streamer=first,
        )
        replies = made[:, ids.shape[1] :]
        best = self._best(made) if sampling.candidates > 1 else range(len(prompts))
        answers = tuple(self._format.decode(replies[row].tolist()) for row in best)
        seconds = time.perf_counter() - began
        if replies.shape[1] != sampling.max_new_tokens or bool((replies == self._format.eos_id).any()):
            raise BenchmarkError("transformers ended a reply early; the model must not be able to.")
        return Outcome(seconds, first.at - began if first is not None else None, answers)

    def _best(self, made: Tensor) -> list[int]:
        """The row of the candidate that the next-utterance head likes best; all rows are of one prompt."""
        hidden = self._model.transformer(made, use_cache=False).last_hidden_state
        last = torch.full((len(made),), made.shape[1] - 1)
        return [int(self._head(hidden, last).squeeze(-1).argmax())]

    def close(self) -> None:
        """Nothing outlives the process."""


class _FirstToken(BaseStreamer):
    """Notes when the first token came; generate hands over the prompt before it."""

    def __init__(self) -> None:
        self.at = 0.0
        self._calls = 0

    def put(self, value: Tensor) -> None:
        self._calls += 1
        if self._calls == 2:
            self.at = time.perf_counter()

    def end(self) -> None:
        """Nothing to do."""
