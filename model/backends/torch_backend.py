"""The reference backend: plain PyTorch, every chat format, CPU or GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from model import checkpoint as checkpoints
from model.checkpoint import Checkpoint
from model.dialogue import Candidate, DialogueContext, Finish, Sampling, Source
from model.manifest import read_manifest
from model.protocol import EngineConfig
from model.sampling import choose_ids


def load(config: EngineConfig) -> TorchBackend:
    """Load the checkpoint that `config` names. Raises BadCheckpoint. Sets torch's threads for the whole process."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    checkpoint = checkpoints.load(config.model, config.chat_format)
    # A checkpoint of others has no next-utterance head: transformers drew one at random, and its scores mean nothing.
    return TorchBackend(checkpoint, config.device, scores=read_manifest(config.model) is not None)


@dataclass(slots=True)
class Row:
    """One candidate: its ids so far, and how it ends: by the limit, unless it stops by itself."""

    ids: list[int] = field(default_factory=list)
    finish: Finish = Finish.LENGTH


class TorchBackend:
    """A loaded checkpoint that starts generations and scores candidates."""

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu", scores: bool = True) -> None:
        self.version = checkpoint.manifest.version
        self.chat_format = checkpoint.chat_format
        self.max_positions = checkpoint.max_positions
        self.model = checkpoint.model
        cast(torch.nn.Module, self.model).to(device)
        self.device = torch.device(device)
        self._scores = scores
        vocabulary = int(checkpoint.model.config.vocab_size)
        self.suppressed = torch.zeros(vocabulary, dtype=torch.bool, device=self.device)
        self.suppressed[sorted(checkpoint.chat_format.suppressed_ids)] = True
        # Embeddings may be padded beyond the tokenizer; those ids have no text.
        self.suppressed[len(checkpoint.tokenizer) :] = True

    def start(self, context: DialogueContext, sampling: Sampling) -> TorchGeneration:
        """Run the prompt and draw each candidate's first token. Raises ContextTooLong."""
        return TorchGeneration(self, context, sampling)

    @torch.inference_mode()
    def score(self, context: DialogueContext, texts: Sequence[str]) -> list[float] | None:
        """How likely each text is the next utterance, higher is better; None from a model that never learnt it.

        The head of Wolf et al. (2019), read at the last token of context and text, all texts in one forward.
        """
        if not self._scores:
            return None
        encoded = [self.chat_format.encode(context, text, self.max_positions) for text in texts]
        ids = self._pad([row.input_ids for row in encoded])
        kinds = [row.token_type_ids for row in encoded if row.token_type_ids is not None]
        hidden = self.model.transformer(
            ids,
            attention_mask=self._pad([[1] * len(row.input_ids) for row in encoded]),
            token_type_ids=self._pad(kinds) if kinds else None,
            use_cache=False,
        ).last_hidden_state
        last = torch.tensor([len(row.input_ids) - 1 for row in encoded], device=self.device)
        scores: list[float] = self.model.multiple_choice_head(hidden, last).squeeze(-1).tolist()
        return scores

    def _pad(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """int64 [rows, longest], filled with 0 on the right, where causal attention cannot see it."""
        return pad_sequence([torch.tensor(row, device=self.device) for row in rows], batch_first=True)


class TorchGeneration:
    """One request: candidates that share a prompt, advanced together by one token a step."""

    @torch.inference_mode()
    def __init__(self, backend: TorchBackend, context: DialogueContext, sampling: Sampling) -> None:
        self._backend = backend
        self._sampling = sampling
        positions = backend.max_positions
        # However long a reply is asked for, half the positions stay the conversation's.
        room = positions - min(sampling.max_new_tokens, positions // 2)
        prompt = backend.chat_format.encode(context, None, room)
        self._limit = min(sampling.max_new_tokens, positions - len(prompt.input_ids))
        self._random = torch.Generator(backend.device)
        self._random.manual_seed((sampling.seed or 0) % 2**63)
        # Greedy candidates are all the same.
        self.rows = [Row() for _ in range(sampling.candidates if sampling.temperature > 0 else 1)]
        self._open = list(self.rows)
        ids = torch.tensor([prompt.input_ids], device=backend.device)
        kinds = None
        if prompt.token_type_ids is not None:
            kinds = torch.tensor([prompt.token_type_ids], device=backend.device)
        # The reply goes on in the segment that the prompt opened for it.
        self._kind = kinds[:, -1:] if kinds is not None else None
        output = backend.model.transformer(ids, token_type_ids=kinds, use_cache=True)
        self._cache = output.past_key_values
        self._cache.batch_repeat_interleave(len(self.rows))
        self._ids = ids.repeat(len(self.rows), 1)
        self._draw(backend.model.lm_head(output.last_hidden_state[:, -1]).expand(len(self.rows), -1))

    @property
    def finished(self) -> bool:
        """Every candidate has ended."""
        return not self._open

    @torch.inference_mode()
    def step(self) -> None:
        """One more token for each open candidate."""
        output = self._backend.model.transformer(
            self._ids[:, -1:],
            past_key_values=self._cache,
            token_type_ids=self._kind.expand(len(self._open), 1) if self._kind is not None else None,
            use_cache=True,
        )
        self._draw(self._backend.model.lm_head(output.last_hidden_state[:, -1]))

    def text(self) -> str:
        """The first candidate so far. Half a character is not shown, so later text only ever adds to it."""
        return self._backend.chat_format.decode(self.rows[0].ids)

    def candidates(self) -> list[Candidate]:
        """The candidates, once finished."""
        decode = self._backend.chat_format.decode
        return [Candidate(decode(row.ids), Source.GENERATOR, row.finish) for row in self.rows]

    def _draw(self, logits: Tensor) -> None:
        """Take each open candidate's next id from its logits [open, vocabulary], and drop those that end with it."""
        drawn = choose_ids(logits.float(), self._ids, self._backend.suppressed, self._sampling, self._random)
        kept = []
        for index, (row, token) in enumerate(zip(self._open, drawn.tolist(), strict=True)):
            if token == self._backend.chat_format.eos_id:
                row.finish = Finish.STOP
                continue
            row.ids.append(token)
            if len(row.ids) < self._limit:
                kept.append(index)
        self._ids = torch.cat([self._ids, drawn[:, None]], dim=1)
        if len(kept) < len(self._open):
            chosen = torch.tensor(kept, dtype=torch.long, device=self._backend.device)
            self._cache.batch_select_indices(chosen)
            self._ids = self._ids[chosen]
            self._open = [self._open[index] for index in kept]
