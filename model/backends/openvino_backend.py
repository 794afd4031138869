"""The backend for CPUs: OpenVINO GenAI, continuous batching with a prefix cache.

It differs from the torch backend in these: it draws from generators of its own, so that a seed gives other replies
than there (but always the same ones, alone or in a batch); scores are told in steps of half a percent, and are those of
the ids as they were written, not of the text read again; and in the formats whose prompt ends with the end token, that
last one does not count for the repetition penalty. Penalty, temperature, top-k and top-p are applied as there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from model.backends.openvino_cache import Export, NotServable, Order, obtain
from model.backends.openvino_pipeline import Job, Pipeline, Row, Wish
from model.backends.openvino_prefixes import BLOCK
from model.chat_format import ChatFormat, get_format, infer_format
from model.dialogue import DEFAULT_PERSONA, Candidate, DialogueContext, Sampling, Source, SpeechLevel
from model.manifest import check_folder, read_manifest
from model.protocol import EngineConfig
from model.tokenizer import load_tokenizer

# Measured in int8: 96% of next ids and .03 in scores on the default model, 98% and .05 on random weights in KoGPT2's
# shape. With its positions reversed 75% and 1.4, without one of four MLPs 70% and .55.
MIN_AGREEMENT = 0.85
MAX_SCORE_ERROR = 0.3
_GREEDY = Sampling(temperature=0, repetition_penalty=1, candidates=1)


def load(config: EngineConfig) -> OpenVinoBackend:
    """Serve the checkpoint that `config` names, which is converted and compared with torch at its first use.

    Raises BadCheckpoint, and of its kind NotServable where only torch can serve it. Precision "auto" is int8: on a
    2-core CPU with avx512_vnni it was 3.5 times as fast as fp32 for one chat in KoGPT2's shape and 2.3 times for eight,
    1.3 and 1.6 times in the default model's, and its weights take a quarter of the memory.
    """
    check_folder(config.model)
    manifest = read_manifest(config.model)
    tokenizer = load_tokenizer(config.model)
    name = config.chat_format or (manifest.format if manifest else infer_format(tokenizer))
    chat_format = get_format(name, tokenizer)
    if chat_format.segmented:
        raise NotServable(f"the chat format '{name}' has token types, which OpenVINO GenAI does not take")
    export = obtain(Order(config.model, name, "int8" if config.precision == "auto" else config.precision))
    if export.agreement < MIN_AGREEMENT or export.score_error > MAX_SCORE_ERROR:
        raise NotServable(
            f"{config.model}: in {export.precision}, OpenVINO agrees with torch in {export.agreement:.0%} of next "
            f"tokens and within {export.score_error:.2f} in scores, {MIN_AGREEMENT:.0%} and {MAX_SCORE_ERROR} are asked"
        )
    version = manifest.version if manifest else config.model.resolve().name
    backend = OpenVinoBackend(export, chat_format, version, config.cache_mb, config.threads)
    backend.warm(DialogueContext(DEFAULT_PERSONA, speech_level=level) for level in SpeechLevel)
    return backend


class OpenVinoBackend:
    """A loaded export that starts generations and scores texts."""

    def __init__(
        self, export: Export, chat_format: ChatFormat, version: str, cache_mb: int, threads: int | None = None
    ) -> None:
        self.version = version
        self.chat_format = chat_format
        self.max_positions = export.shape.positions
        self.scored = export.scored
        self.pipeline = Pipeline(export, cache_mb, threads)
        self._end = export.vocabulary.end
        self._open: list[OpenVinoGeneration] = []

    def start(self, context: DialogueContext, sampling: Sampling) -> OpenVinoGeneration:
        """Admit a request; it waits while the cache is full. Raises ContextTooLong when it can never fit."""
        generation = OpenVinoGeneration(self, context, sampling)
        self._open.append(generation)
        return generation

    def step(self) -> None:
        """One more token for all open generations."""
        self.pipeline.step()
        for generation in self._open:
            generation.follow_up()

    def forget(self, generation: OpenVinoGeneration) -> None:
        """Take a generation out of the steps."""
        if generation in self._open:
            self._open.remove(generation)

    def score(self, context: DialogueContext, texts: Sequence[str]) -> list[float] | None:
        """How likely each text is the next utterance, higher is better; None from a model that never learnt it.

        The head of Wolf et al. (2019). Only what is not in the prefix cache is read; open generations go on meanwhile.
        """
        if not self.scored:
            return None
        rows = [self.chat_format.encode(context, text, self.max_positions).input_ids for text in texts]
        scores = [row.score for row in self._finish([self.scoring(ids) for ids in rows])]
        return [score for score in scores if score is not None]

    def warm(self, contexts: Iterable[DialogueContext]) -> None:
        """Read the beginnings that many conversations share, such as a persona's, into the prefix cache."""
        for context in contexts:
            ids = self.chat_format.head(context).ids
            # Whole blocks: only these can be shared by many at once.
            whole = ids[: len(ids) // BLOCK * BLOCK] or ids
            if whole:
                self._finish([Wish(self.as_prompt(whole), 1, _GREEDY)])

    def next_ids(self, prompts: Sequence[Sequence[int]]) -> list[int]:
        """The likeliest id after each prompt."""
        rows = self._finish([Wish(self.as_prompt(ids), 1, _GREEDY) for ids in prompts])
        return [row.ids[0] if row.ids else self.chat_format.eos_id for row in rows]

    def as_prompt(self, ids: Sequence[int]) -> tuple[int, ...]:
        """`ids` as the model takes them: every end token is `end`, as where it was written, but at the last place."""
        eos, end = self.chat_format.eos_id, self._end
        return (*(end if token == eos else token for token in ids[:-1]), *ids[-1:])

    def scoring(self, ids: Sequence[int]) -> Wish:
        """Read `ids`, which end with a reply, and tell its score: `end` in the last place asks for it."""
        return Wish((*self.as_prompt(ids)[:-1], self._end), 0, _GREEDY, scored=True)

    def _finish(self, wishes: Sequence[Wish]) -> list[Row]:
        job = self.pipeline.submit(wishes)
        while not job.finished:
            self.step()
        return job.rows


class OpenVinoGeneration:
    """One request: candidates that share a prompt. With several, each is scored as it ends."""

    def __init__(self, backend: OpenVinoBackend, context: DialogueContext, sampling: Sampling) -> None:
        self._backend = backend
        positions = backend.max_positions
        # However long a reply is asked for, half the positions stay the conversation's.
        room = positions - min(sampling.max_new_tokens, positions // 2)
        ids = backend.chat_format.encode(context, None, room).input_ids
        # Greedy candidates are all the same.
        number = sampling.candidates if sampling.temperature > 0 else 1
        limit = min(sampling.max_new_tokens, positions - len(ids))
        first = Wish(backend.as_prompt(ids), limit, sampling, scored=backend.scored and number > 1)
        seed = (sampling.seed or 0) * 16
        wishes = [replace(first, seed=(seed + place) % 2**32) for place in range(number)]
        self._job = backend.pipeline.submit(wishes)
        self._scores: Job | None = None
        self._closed = False

    @property
    def finished(self) -> bool:
        """Every candidate has ended, and has its score. Raises EngineFailed when OpenVINO gave up."""
        job = self._job if self._scores is None else self._scores
        return job.finished and not self._unscored()

    def follow_up(self) -> None:
        """After a step: have those candidates scored that ended by the limit, at which nothing asks for a score."""
        job = self._job if self._scores is None else self._scores
        if self._closed or job.failed or not job.finished:
            return
        rows = self._unscored()
        if rows and self._scores is None:
            # The end takes the place of the last id: the reply was cut anyway, and so it fits wherever it was written.
            replies = [(*row.wish.prompt, *row.ids) for row in rows]
            self._scores = self._backend.pipeline.submit([self._backend.scoring(ids) for ids in replies])
        elif rows and self._scores is not None:
            for row, told in zip(rows, self._scores.rows, strict=True):
                row.score = told.score

    def _unscored(self) -> list[Row]:
        return [row for row in self._job.rows if row.wish.scored and row.score is None]

    def text(self) -> str:
        """The first candidate so far. Half a character is not shown, so later text only ever adds to it."""
        return self._backend.chat_format.decode(self._job.rows[0].ids)

    def candidates(self) -> list[Candidate]:
        """The candidates, once finished; scored where there are several."""
        decode = self._backend.chat_format.decode
        return [
            Candidate(decode(row.ids), Source.GENERATOR, row.finish, row.score, len(row.ids)) for row in self._job.rows
        ]

    def close(self) -> None:
        """Free everything; its blocks are free after the next step. Closing twice is no error."""
        self._closed = True
        self._backend.forget(self)
        self._job.close()
        if self._scores is not None:
            self._scores.close()
