"""One request of the torch backend: what it has to read next, and what it has written. Computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from model.backends.torch_gpt2 import Span
from model.backends.torch_rows import Row
from model.chat_format import ChatFormat, Encoded
from model.dialogue import Candidate, Finish, Sampling, Source


@dataclass(slots=True, eq=False)
class Draft(Row):
    """One candidate: its ids so far, what the model reads next, and how it ends: by the limit, unless by itself.

    `closing` drafts are written and read only their end still, at which the next-utterance head scores them.
    """

    random: Random = field(default_factory=Random)
    ids: list[int] = field(default_factory=list)
    feed: list[int] = field(default_factory=list)
    finish: Finish = Finish.LENGTH
    closing: bool = False
    score: float | None = None

    def draw(self) -> float:
        """Uniform in [0, 1), exact in float32."""
        return self.random.getrandbits(24) / 2**24


class TorchGeneration:
    """Candidates that share a prompt. `open`: those that have, or wait for, a row in the cache."""

    def __init__(
        self,
        prompt: Encoded,
        sampling: Sampling,
        count: int,
        limit: int,
        scored: bool,
        chat_format: ChatFormat,
        release: Callable[[TorchGeneration], None],
    ) -> None:
        """`count` candidates of at most `limit` tokens; `release` frees what the backend holds of this generation."""
        self.prompt = prompt
        self.sampling = sampling
        # A stream of draws for each candidate, so that none depends on how long the others go on.
        seed = (sampling.seed or 0) * 16
        self.drafts = [Draft(random=Random(seed + number)) for number in range(count)]
        self.open = list(self.drafts)
        self.reading = True
        self._limit = limit
        self._scored = scored
        self._format = chat_format
        self._release = release

    @property
    def positions(self) -> int:
        """The most positions a row of it will take: prompt, reply and end."""
        return len(self.prompt.input_ids) + self._limit + 1

    @property
    def finished(self) -> bool:
        """Every candidate has ended."""
        return not self.open

    def text(self) -> str:
        """The first candidate so far. Half a character is not shown, so later text only ever adds to it."""
        return self._format.decode(self.drafts[0].ids)

    def candidates(self) -> list[Candidate]:
        """The candidates, once finished."""
        return [
            Candidate(self._format.decode(draft.ids), Source.GENERATOR, draft.finish, draft.score, len(draft.ids))
            for draft in self.drafts
        ]

    def close(self) -> None:
        """Free everything at once."""
        self._release(self)

    def prompt_span(self, most: int) -> Span:
        """The next part of the prompt, `most` tokens or fewer."""
        lead = self.open[0]
        part = slice(lead.length, lead.length + most)
        kinds = self.prompt.token_type_ids
        return Span(lead, self.prompt.input_ids[part], kinds[part] if kinds is not None else None)

    def draft_span(self, draft: Draft) -> Span:
        """What the model reads next of a draft."""
        return Span(draft, draft.feed, self._reply_kinds(len(draft.feed)))

    def _reply_kinds(self, count: int) -> list[int] | None:
        """The reply goes on in the segment that the prompt opened for it."""
        kinds = self.prompt.token_type_ids
        return [kinds[-1]] * count if kinds is not None else None

    def read_so_far(self, draft: Draft) -> tuple[list[int], list[int] | None]:
        """Ids, and token types, of all that is in the draft's row."""
        written = [*draft.ids, self._format.eos_id][: max(0, draft.length - len(self.prompt.input_ids))]
        kinds = self.prompt.token_type_ids
        ids = [*self.prompt.input_ids, *written][: draft.length]
        return ids, [*kinds, *(self._reply_kinds(len(written)) or ())][: draft.length] if kinds is not None else None

    def accept(self, draft: Draft, token: int) -> bool:
        """Add the token drawn for `draft`. Returns whether the model has more to read of it."""
        end = self._format.eos_id
        if token == end:
            draft.finish, draft.feed = Finish.STOP, [end]
        else:
            draft.ids.append(token)
            draft.feed = [token]
            if len(draft.ids) < self._limit:
                return True
            draft.feed = [token, end]
        draft.closing = self._scored and bool(draft.ids)
        return draft.closing
