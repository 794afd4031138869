"""What a model thinks of given replies, and what it writes itself; the numbers `training.metrics` makes measures of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, LogitsProcessorList
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from model.chat_format import Encoded
from model.checkpoint import Checkpoint
from model.dialogue import Candidate, DialogueContext, Finish, Sampling, Source
from model.errors import BadCheckpoint
from model.gpt2 import DialogueModel
from model.text import clean_text
from training.examples import TrainingExample
from training.metrics import is_punctuation

Morphemes = Callable[[Sequence[str]], list[list[str]]]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Negative log likelihood of a reply and its end: `nats` over `tokens`.

    `complete` is False where the reply was longer than the model takes, and only its start was scored.
    """

    nats: float
    tokens: int
    complete: bool


@dataclass(frozen=True, slots=True)
class CandidateScores:
    """One score a candidate, higher is better, by each of the model's two heads; None by one it does not have."""

    next_utterance: tuple[float, ...] | None
    log_likelihood: tuple[float, ...]


def reply_likelihoods(checkpoint: Checkpoint, examples: Sequence[TrainingExample], batch_size: int) -> list[Likelihood]:
    """Score every example's own reply, in the order given. Raises BadCheckpoint when scores are not numbers."""
    encoded = [checkpoint.chat_format.encode(e.context, e.reply, checkpoint.max_positions) for e in examples]
    results: dict[int, Likelihood] = {}
    for picked in _batches([len(row.input_ids) for row in encoded], batch_size):
        rows = [encoded[index] for index in picked]
        with torch.inference_mode():
            nats = _reply_nats(checkpoint, _hidden(checkpoint.model, rows), rows)
        for index, row, value in zip(picked, rows, nats.tolist(), strict=True):
            complete = row.input_ids[-1] == checkpoint.chat_format.eos_id
            results[index] = Likelihood(value, _scored_tokens(row), complete)
    return [results[index] for index in range(len(encoded))]


def score_candidates(checkpoint: Checkpoint, context: DialogueContext, candidates: Sequence[str]) -> CandidateScores:
    """Score `candidates` as the reply to `context`, running what their sequences share only once.

    `next_utterance` is the next-utterance head at the last token. `log_likelihood` is the mean over the reply's
    tokens, not the sum: a sum falls with every further token, and would rank short replies first whatever they say.
    Raises BadCheckpoint when scores are not numbers.
    """
    encoded = [checkpoint.chat_format.encode(context, text, checkpoint.max_positions) for text in candidates]
    shared = _shared_length(encoded)
    rows = [_slice(row, shared, None) for row in encoded]
    with torch.inference_mode():
        hidden = _hidden(checkpoint.model, rows, _run_shared(checkpoint.model, encoded, shared))
        nats = _reply_nats(checkpoint, hidden, rows)
        last = hidden[torch.arange(len(rows)), [len(row.input_ids) - 1 for row in rows]]
        choice = checkpoint.model.multiple_choice_head(last.unsqueeze(1)).squeeze(-1).float()
    _check_finite(choice, checkpoint)
    return CandidateScores(
        next_utterance=tuple(choice.tolist()),
        log_likelihood=tuple(-value / _scored_tokens(row) for value, row in zip(nats.tolist(), rows, strict=True)),
    )


def _shared_length(encoded: Sequence[Encoded]) -> int:
    """Length of the prefix all sequences share, ending before the token that predicts the first supervised one.

    Usually the whole context; less where a long candidate made the encoder drop more of the history.
    """
    columns = zip(*(zip(e.input_ids, e.token_type_ids or e.input_ids, strict=True) for e in encoded), strict=False)
    alike = 0
    for column in columns:
        if len(set(column)) > 1:
            break
        alike += 1
    return max(0, min(alike, min(e.supervised.index(True) for e in encoded) - 1))


def _slice(row: Encoded, start: int, end: int | None) -> Encoded:
    kinds = row.token_type_ids[start:end] if row.token_type_ids is not None else None
    return Encoded(row.input_ids[start:end], kinds, row.supervised[start:end])


def _run_shared(model: DialogueModel, encoded: Sequence[Encoded], shared: int) -> DynamicCache | None:
    if shared == 0:
        return None
    cache = DynamicCache()
    _hidden(model, [_slice(encoded[0], 0, shared)], cache)
    cache.batch_repeat_interleave(len(encoded))
    return cache


def _hidden(model: DialogueModel, rows: Sequence[Encoded], cache: DynamicCache | None = None) -> Tensor:
    """Hidden states [rows, longest, width] of `rows`, which go on after what `cache` holds (and are added to it)."""
    device = model.device
    before = cache.get_seq_length() if cache is not None else 0
    ids = _pad([row.input_ids for row in rows], "right", device)
    mask = _pad([[1] * (before + len(row.input_ids)) for row in rows], "right", device)
    kinds = [row.token_type_ids for row in rows if row.token_type_ids is not None]
    hidden: Tensor = model.transformer(
        ids,
        past_key_values=cache,
        attention_mask=mask,
        position_ids=torch.arange(before, before + ids.shape[1], device=device).expand_as(ids),
        token_type_ids=_pad(kinds, "right", device) if kinds else None,
        use_cache=cache is not None,
    ).last_hidden_state
    return hidden


def _reply_nats(checkpoint: Checkpoint, hidden: Tensor, rows: Sequence[Encoded]) -> Tensor:
    """Negative log likelihood of each row's supervised tokens, float64 [rows].

    A token is predicted at the position before it; only those positions meet the vocabulary.
    """
    targets = _pad([row.input_ids[1:] for row in rows], "right", hidden.device)
    scored = _pad([row.supervised[1:] for row in rows], "right", hidden.device).bool()
    logits = checkpoint.model.lm_head(hidden[:, :-1][scored]).float()
    nats = cross_entropy(logits, targets[scored], reduction="none").double()
    totals = torch.zeros(len(rows), dtype=torch.float64, device=hidden.device)
    totals.index_add_(0, scored.nonzero()[:, 0], nats)
    _check_finite(totals, checkpoint)
    return totals


def _scored_tokens(row: Encoded) -> int:
    return sum(row.supervised[1:])


def _check_finite(values: Tensor, checkpoint: Checkpoint) -> None:
    if not bool(torch.isfinite(values).all()):
        raise BadCheckpoint(
            f"The model '{checkpoint.manifest.version}' gives scores that are not numbers; "
            "its training diverged: train it again with a smaller learning rate."
        )


def _pad(rows: Sequence[Sequence[int]], side: str, device: torch.device) -> Tensor:
    """int64 [rows, longest], filled with 0 on `side`."""
    tensors = [torch.tensor(row, dtype=torch.long, device=device) for row in rows]
    return pad_sequence(tensors, batch_first=True, padding_side=side)


def _batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices in batches of like lengths, so that little is padding."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    return [order[start : start + size] for start in range(0, len(order), size)]


def generate_replies(
    checkpoint: Checkpoint, contexts: Sequence[DialogueContext], sampling: Sampling, batch_size: int = 16
) -> list[Candidate]:
    """One reply to each context, in the order given; `sampling.candidates` is not looked at.

    The same seed and batch size give the same replies. A loop of its own with transformers' logits processors:
    `generate` draws from torch's global generator, and takes settings of the checkpoint's into account that serving
    does not. Raises ContextTooLong when a persona leaves no room beside `max_new_tokens`.
    """
    room = checkpoint.max_positions - sampling.max_new_tokens
    prompts = [checkpoint.chat_format.encode(context, None, room) for context in contexts]
    generator = torch.Generator(checkpoint.model.device)
    if sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(sampling.seed)
    replies: dict[int, Candidate] = {}
    for picked in _batches([len(prompt.input_ids) for prompt in prompts], batch_size):
        with torch.inference_mode():
            written = _write(checkpoint, [prompts[index] for index in picked], sampling, generator)
        for index, ids in zip(picked, written.tolist(), strict=True):
            replies[index] = _candidate(checkpoint, ids)
    return [replies[index] for index in range(len(prompts))]


def _candidate(checkpoint: Checkpoint, ids: list[int]) -> Candidate:
    end = checkpoint.chat_format.eos_id
    finish = Finish.STOP if end in ids else Finish.LENGTH
    kept = ids[: ids.index(end)] if finish is Finish.STOP else ids
    return Candidate(checkpoint.chat_format.decode(kept), Source.GENERATOR, finish)


def _write(
    checkpoint: Checkpoint, prompts: Sequence[Encoded], sampling: Sampling, generator: torch.Generator
) -> Tensor:
    """Ids written after `prompts`, int64 [prompts, at most max_new_tokens]; what follows a row's first end is void."""
    model, end, device = checkpoint.model, checkpoint.chat_format.eos_id, checkpoint.model.device
    ids = _pad([prompt.input_ids for prompt in prompts], "left", device)
    mask = _pad([[1] * len(prompt.input_ids) for prompt in prompts], "left", device)
    given = [prompt.token_type_ids for prompt in prompts if prompt.token_type_ids is not None]
    kinds = _pad(given, "left", device) if given else None
    choose = _chooser(checkpoint, sampling, (mask == 0).sum(-1), generator)
    fresh, positions, start = ids, (mask.cumsum(-1) - 1).clamp(min=0), ids.shape[1]
    ended = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    cache = DynamicCache()
    for _ in range(sampling.max_new_tokens):
        hidden = model.transformer(
            fresh,
            past_key_values=cache,
            attention_mask=mask,
            position_ids=positions,
            token_type_ids=kinds,
            use_cache=True,
        ).last_hidden_state
        fresh = choose(ids, model.lm_head(hidden[:, -1]).float())
        ids = torch.cat([ids, fresh], dim=1)
        ended |= fresh[:, 0] == end
        if bool(ended.all()):
            break
        mask = torch.cat([mask, torch.ones_like(fresh)], dim=1)
        positions = positions[:, -1:] + 1
        # A reply goes on in the segment that the prompt opened for it.
        kinds = kinds[:, -1:] if kinds is not None else None
    return ids[:, start:]


def _chooser(
    checkpoint: Checkpoint, sampling: Sampling, padding: Tensor, generator: torch.Generator
) -> Callable[[Tensor, Tensor], Tensor]:
    """From all ids so far and logits [rows, vocabulary] to the next ids [rows, 1]. `padding`: on each row's left."""
    processors = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty), padding))
    if checkpoint.chat_format.suppressed_ids:
        processors.append(SuppressTokensLogitsProcessor(sorted(checkpoint.chat_format.suppressed_ids)))
    if sampling.temperature > 0:
        processors.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k:
        processors.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        processors.append(TopPLogitsWarper(float(sampling.top_p)))

    def choose(ids: Tensor, logits: Tensor) -> Tensor:
        processed: Tensor = processors(cast(torch.LongTensor, ids), cast(torch.FloatTensor, logits))
        if sampling.temperature == 0:
            return processed.argmax(-1, keepdim=True)
        return torch.multinomial(processed.softmax(-1), 1, generator=generator)

    return choose


def morpheme_splitter() -> Morphemes:
    """Load Kiwi (seconds) and return what splits texts into lower-cased morphemes, punctuation dropped."""
    from kiwipiepy import Kiwi

    kiwi = Kiwi(num_workers=1)

    def split(texts: Sequence[str]) -> list[list[str]]:
        analysed = kiwi.tokenize([clean_text(text).lower() for text in texts])
        return [[token.form for token in tokens if not is_punctuation(token.form)] for tokens in analysed]

    return split
