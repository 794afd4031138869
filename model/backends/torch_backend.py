"""The reference backend: PyTorch on a CPU or GPU, every chat format, all requests in one forward a step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model import checkpoint as checkpoints
from model.backends.torch_generation import Draft, TorchGeneration
from model.backends.torch_gpt2 import PackedGpt2, Span, make_plan
from model.backends.torch_graphs import Recorder, RowDecoder, record_graph
from model.backends.torch_linear import choose_precision
from model.backends.torch_prefix import BLOCK, PrefixCache
from model.backends.torch_rows import Row, RowCache
from model.chat_format import Encoded
from model.checkpoint import Checkpoint
from model.dialogue import DialogueContext, Sampling
from model.errors import ContextTooLong
from model.manifest import read_manifest
from model.protocol import EngineConfig
from model.sampling import Settings, choose_ids, settings_of

# Prompt tokens read in one step, shared by all prompts: a long one must not hold up the replies under way.
_STEP_TOKENS = 256
# The part of the memory that running requests may take from what is kept for later.
_RUNNING_SHARE = 0.75


def load(config: EngineConfig) -> TorchBackend:
    """Load the checkpoint that `config` names. Raises BadCheckpoint. Sets torch's threads for the whole process."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    checkpoint = checkpoints.load(config.model, config.chat_format)
    # A checkpoint of others has no next-utterance head: transformers drew one at random, and its scores mean nothing.
    scores = read_manifest(config.model) is not None
    record = record_graph if torch.device(config.device).type == "cuda" else None
    return TorchBackend(checkpoint, config.device, scores, config.precision, config.cache_mb << 20, record)


class TorchBackend:
    """A loaded checkpoint that advances generations together and scores texts.

    Of `memory` bytes, running requests take up to three quarters, and what earlier ones read has the rest.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "cpu",
        scores: bool = True,
        precision: str = "fp32",
        memory: int = 256 << 20,
        record: Recorder | None = None,
    ) -> None:
        self.version = checkpoint.manifest.version
        self.chat_format = checkpoint.chat_format
        self.max_positions = checkpoint.max_positions
        self.device = torch.device(device)
        self._scores = scores
        self.model = PackedGpt2(checkpoint.model, choose_precision(precision, self.device), self.device)
        vocabulary = int(checkpoint.model.config.vocab_size)
        # Embeddings may be padded beyond the tokenizer; those ids have no text.
        suppressed = checkpoint.chat_format.suppressed_ids.union(range(len(checkpoint.tokenizer), vocabulary))
        self._suppressed = torch.tensor(sorted(suppressed), dtype=torch.long, device=self.device)
        self._vocabulary = vocabulary
        self._memory = memory
        self._rows = RowCache(self.model.shape, int(self._memory * _RUNNING_SHARE))
        self._decoder: RowDecoder | None = None
        if record is not None:
            self._rows.fix(self.max_positions)
            with torch.inference_mode():
                self._decoder = RowDecoder(self.model, self._rows, self.chat_format.segmented, record)
        self._prefixes = PrefixCache(self._memory - self._rows.bytes)
        self._reply_tokens = Sampling().max_new_tokens
        self._waiting: list[TorchGeneration] = []
        self._placed: list[TorchGeneration] = []
        self._settings: tuple[tuple[Sampling, ...], Settings] | None = None

    @property
    def rows_in_use(self) -> int:
        """Candidates that are being written."""
        return self._rows.count

    @property
    def memory_used(self) -> int:
        """Bytes taken for what was read, by running requests and for later ones."""
        return self._rows.bytes + self._prefixes.bytes

    def start(self, context: DialogueContext, sampling: Sampling) -> TorchGeneration:
        """Admit a request. Raises ContextTooLong when the persona leaves no room, or the cache is too small for it."""
        # Texts are scored after the same prompt, so that it need not be read again.
        self._reply_tokens = sampling.max_new_tokens
        prompt = self.chat_format.encode(context, None, self._prompt_room(sampling.max_new_tokens))
        limit = min(sampling.max_new_tokens, self.max_positions - 1 - len(prompt.input_ids))
        # Greedy candidates are all the same.
        count = sampling.candidates if sampling.temperature > 0 else 1
        scored = self._scores and count > 1
        generation = TorchGeneration(prompt, sampling, count, limit, scored, self.chat_format, self._release)
        if not self._rows.holds(count, generation.positions):
            raise ContextTooLong(
                f"{count} candidates of {generation.positions} tokens do not fit the engine's cache; "
                "ask for fewer candidates, or give the cache more memory."
            )
        self._waiting.append(generation)
        return generation

    @torch.inference_mode()
    def step(self) -> None:
        """One step of the model: a token for every open candidate, and a part of the prompts not read yet."""
        self._place()
        writing = [
            (generation, draft) for generation in self._placed if not generation.reading for draft in generation.open
        ]
        reading, prompt_spans = self._prompt_spans()
        spans = [generation.draft_span(draft) for generation, draft in writing] + prompt_spans
        if not spans:
            return
        hidden = self._read(spans)
        for span in spans:
            span.row.length += len(span.ids)
        self._score_ends(writing, hidden)
        drawing = [(*pair, index) for index, pair in enumerate(writing) if not pair[1].closing]
        for index, generation in enumerate(reading, start=len(writing)):
            self._keep(generation, generation.open[0])
            if generation.open[0].length == len(generation.prompt.input_ids):
                self._begin_writing(generation)
                drawing += [(generation, draft, index) for draft in generation.open]
        if drawing:
            self._draw(drawing, hidden)

    def _begin_writing(self, generation: TorchGeneration) -> None:
        """The prompt is read: a row for each of the other candidates."""
        generation.reading = False
        first, *others = generation.open
        for draft in others:
            self._rows.take(draft, generation.prompt.input_ids)
            self._rows.copy(first, draft)

    def _score_ends(self, writing: Sequence[tuple[TorchGeneration, Draft]], hidden: Tensor) -> None:
        """Score the drafts that have just read their ends, row by row of `hidden`, and let them go."""
        ended = [(index, *pair) for index, pair in enumerate(writing) if pair[1].closing]
        if ended:
            scores = self.model.choice(hidden[[index for index, _, _ in ended]]).tolist()
            for score, (_, generation, draft) in zip(scores, ended, strict=True):
                draft.score = score
                self._end(generation, draft)

    def _draw(self, drawing: Sequence[tuple[TorchGeneration, Draft, int]], hidden: Tensor) -> None:
        """Draw the next token of drafts from their rows of `hidden`."""
        indices = [index for _, _, index in drawing]
        logits = self.model.head(hidden if indices == list(range(len(hidden))) else hidden[indices]).float()
        slots = torch.tensor([draft.slot for _, draft, _ in drawing], device=self.device)
        lengths = torch.tensor([draft.length for _, draft, _ in drawing], device=self.device)
        ids = self._rows.ids[slots, : max(draft.length for _, draft, _ in drawing)]
        draws = torch.tensor([[draft.draw()] for _, draft, _ in drawing], device=self.device)
        settings = self._settings_of(tuple(generation.sampling for generation, _, _ in drawing))
        drawn = choose_ids(logits, ids, self._suppressed, settings, draws)
        self._rows.ids[slots, lengths] = drawn
        for (generation, draft, _), token in zip(drawing, drawn.tolist(), strict=True):
            if not generation.accept(draft, token):
                self._end(generation, draft)

    def _settings_of(self, samplings: tuple[Sampling, ...]) -> Settings:
        """The settings of the last step, while the same requests draw."""
        if self._settings is None or self._settings[0] != samplings:
            self._settings = samplings, settings_of(samplings, self.device)
        return self._settings[1]

    def _end(self, generation: TorchGeneration, draft: Draft) -> None:
        """Keep what was read of a draft that has ended, and give its row back."""
        self._keep(generation, draft)
        self._rows.release(draft)
        generation.open.remove(draft)
        if generation.finished:
            self._placed.remove(generation)

    @torch.inference_mode()
    def _release(self, generation: TorchGeneration) -> None:
        """Free what a generation holds; one that has ended holds nothing."""
        for queue in (self._waiting, self._placed):
            if generation in queue:
                queue.remove(generation)
        for draft in generation.open:
            self._rows.release(draft)
        generation.open = []

    @torch.inference_mode()
    def score(self, context: DialogueContext, texts: Sequence[str]) -> list[float] | None:
        """How likely each text is the next utterance, higher is better; None from a model that never learnt it.

        The head of Wolf et al. (2019), read at the last token of context and text; what of them was read before is
        not read again.
        """
        if not self._scores:
            return None
        prompt = self.chat_format.encode(context, None, self._prompt_room(self._reply_tokens))
        sequences = [self._with_reply(prompt, text) for text in texts]
        longest = max(len(ids) for ids, _ in sequences)
        rows = RowCache(self.model.shape, len(sequences) * longest * self.model.shape.position_bytes)
        rows.fit(len(sequences), longest)
        spans = []
        for ids, kinds in sequences:
            row = Row()
            rows.take(row, ids)
            self._recall(rows, row, self._keys(ids, kinds))
            spans.append(Span(row, ids[row.length :], kinds[row.length :] if kinds is not None else None))
        scores: list[float] = self.model.choice(self._forward(rows, spans)).tolist()
        return scores

    def _with_reply(self, prompt: Encoded, text: str) -> tuple[list[int], list[int] | None]:
        """Ids and token types of a prompt and a reply to it, whose end goes where it does not fit."""
        reply = self.chat_format.reply_segment(text)
        opening = len(self.chat_format.opening_segment().ids)
        new = reply.ids[opening:][: self.max_positions - len(prompt.input_ids)]
        kinds = prompt.token_type_ids
        return [*prompt.input_ids, *new], [*kinds, *[reply.kind] * len(new)] if kinds is not None else None

    def _prompt_room(self, reply_tokens: int) -> int:
        """Tokens for the prompt. However long a reply is asked for, half the positions stay the conversation's."""
        # One position is for the end token.
        return self.max_positions - 1 - min(reply_tokens, self.max_positions // 2 - 1)

    def _read(self, spans: Sequence[Span]) -> Tensor:
        """Hidden states [spans, width] at the ends of the running requests' spans."""
        if self._decoder is None:
            return self._forward(self._rows, spans)
        single = [index for index, span in enumerate(spans) if len(span.ids) == 1]
        others = [index for index, span in enumerate(spans) if len(span.ids) > 1]
        parts = []
        if single:  # first: it also writes where the others' next tokens will be
            parts.append(self._decoder.run([spans[index] for index in single]))
        if others:
            parts.append(self._forward(self._rows, [spans[index] for index in others]))
        places = single + others
        return torch.cat(parts)[sorted(range(len(places)), key=places.__getitem__)]

    def _forward(self, rows: RowCache, spans: Sequence[Span]) -> Tensor:
        """Hidden states [spans, width] at the spans' last tokens."""
        plan, last = make_plan(spans, self.model.shape)
        hidden = self.model.forward(rows, plan)
        return hidden if len(hidden) == len(spans) and last == list(range(len(last))) else hidden[last]

    def _place(self) -> None:
        """Give rows to those who wait, first come first served, while the memory lasts."""
        while self._waiting:
            generation = self._waiting[0]
            placed = [*self._placed, generation]
            rows = sum(len(each.open) for each in placed)
            if not self._rows.fit(rows, max(each.positions for each in placed)):
                return
            self._prefixes.shrink(self._memory - self._rows.bytes)
            self._placed.append(self._waiting.pop(0))
            self._rows.take(generation.open[0], generation.prompt.input_ids)

    def _prompt_spans(self) -> tuple[list[TorchGeneration], list[Span]]:
        """Whose prompts are read on in this step, and the next part of each, in equal shares.

        Of prompts that go on alike only the first is read now; the others find it in the cache afterwards.
        """
        chosen: dict[tuple[int, ...], TorchGeneration] = {}
        for generation in self._placed:
            if generation.reading:
                first, keys = (
                    generation.open[0],
                    self._keys(generation.prompt.input_ids, generation.prompt.token_type_ids),
                )
                self._recall(self._rows, first, keys)
                chosen.setdefault(tuple(keys[: first.length + BLOCK]), generation)
        reading = list(chosen.values())
        share = max(BLOCK, _STEP_TOKENS // max(1, len(reading)) // BLOCK * BLOCK)
        return reading, [generation.prompt_span(share) for generation in reading]

    def _keys(self, ids: Sequence[int], kinds: Sequence[int] | None) -> Sequence[int]:
        """What tells tokens apart in the prefix cache: ids, and their types where there are any."""
        if kinds is None:
            return ids
        return [token + kind * self._vocabulary for token, kind in zip(ids, kinds, strict=True)]

    def _recall(self, rows: RowCache, row: Row, keys: Sequence[int]) -> None:
        """Fill `row` with what is known of `keys` beyond its length; the last token is always read anew."""
        blocks = self._prefixes.find(keys[: len(keys) - 1])[row.length // BLOCK :]
        if blocks and row.length % BLOCK == 0:
            rows.write(row, torch.cat(blocks, dim=3))

    def _keep(self, generation: TorchGeneration, draft: Draft) -> None:
        """Keep what is in a draft's row for whoever goes on from it."""
        keys = self._keys(*generation.read_so_far(draft))
        known, whole = self._prefixes.known(keys), len(keys) // BLOCK * BLOCK
        if known < whole:
            self._prefixes.add(keys[:whole], known, self._rows.read(draft, known, whole))
