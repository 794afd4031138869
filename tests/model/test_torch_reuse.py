"""How much the torch backend reads, and what it does when its memory is full."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model import checkpoint as checkpoints
from model.backends.torch_backend import TorchBackend
from model.backends.torch_gpt2 import Plan
from model.backends.torch_prefix import BLOCK
from model.backends.torch_rows import RowCache
from model.chat_format import FORMATS
from model.checkpoint import Checkpoint
from model.dialogue import Role, Sampling, Turn
from model.errors import ContextTooLong
from tests.model.prompts import CONTEXT, GREEDY, PROMPTS
from tests.model.test_torch_backend import FLAT, finish, run, written


@pytest.fixture(scope="module", params=sorted(FORMATS))
def checkpoint(request: pytest.FixtureRequest, tiny_folders: dict[str, Path]) -> Checkpoint:
    return checkpoints.load(tiny_folders[request.param])


@pytest.fixture(scope="module")
def malbeot(tiny_folder: Path) -> Checkpoint:
    return checkpoints.load(tiny_folder)


def position_bytes(checkpoint: Checkpoint) -> int:
    return TorchBackend(checkpoint).model.shape.position_bytes


class Counting(TorchBackend):
    """Counts the tokens of every forward."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.read: list[int] = []
        forward = self.model.forward

        def counted(cache: RowCache, plan: Plan) -> object:
            self.read.append(len(plan.ids))
            return forward(cache, plan)

        self.model.forward = counted  # type: ignore[assignment,method-assign]


def test_a_second_turn_reads_its_new_tokens_only_and_says_the_same(checkpoint: Checkpoint) -> None:
    backend = Counting(checkpoint)
    first = run(backend, CONTEXT, replace(GREEDY, max_new_tokens=40))
    answer = first.candidates()[0].text
    grown = replace(CONTEXT, turns=(*CONTEXT.turns, Turn(Role.BOT, answer), Turn(Role.USER, "그래?")))
    ids = checkpoint.chat_format.encode(grown, None, 200).input_ids
    before = first.prompt.input_ids
    same = next((n for n, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before))
    backend.read.clear()
    second = run(backend, grown, GREEDY)
    assert backend.read[0] <= len(ids) - same + BLOCK - 1
    assert written(second) == written(run(TorchBackend(checkpoint), grown, GREEDY))


def test_candidates_share_their_prompt_and_are_scored_from_it(malbeot: Checkpoint) -> None:
    backend = Counting(malbeot)
    generation = run(backend, CONTEXT, replace(FLAT, max_new_tokens=10))
    assert backend.read[0] == len(generation.prompt.input_ids)
    assert max(backend.read[1:]) <= 2 * 16, "an end is two tokens at most"
    backend.read.clear()
    backend.score(CONTEXT, ["응"])
    assert backend.read[0] <= BLOCK + len(malbeot.chat_format.text_ids("응")) + 1


def test_chats_with_one_persona_that_begin_at_once_read_it_once(malbeot: Checkpoint) -> None:
    backend = Counting(malbeot)
    contexts = [replace(CONTEXT, turns=(Turn(Role.USER, text),)) for text in ("안녕?", "뭐 해?", "비가 와", "졸려")]
    together = [backend.start(context, GREEDY) for context in contexts]
    lengths = [len(generation.prompt.input_ids) for generation in together]
    head = len(malbeot.chat_format.head(CONTEXT).ids)
    while any(generation.reading for generation in together):
        backend.step()
    written_meanwhile = sum(len(draft.ids) for generation in together for draft in generation.drafts)
    assert sum(backend.read) <= sum(lengths) - 3 * (head - BLOCK) + written_meanwhile
    finish(backend, *together)
    alone = [written(run(TorchBackend(malbeot), context, GREEDY)) for context in contexts]
    assert [written(generation) for generation in together] == alone


def test_a_long_prompt_holds_no_running_reply_up(malbeot: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.backends.torch_backend._STEP_TOKENS", 2 * BLOCK)
    backend = Counting(malbeot)
    running = backend.start(PROMPTS[0], GREEDY)
    while running.reading:
        backend.step()
    long = backend.start(replace(CONTEXT, turns=(Turn(Role.USER, "긴 말 " * 60),)), GREEDY)
    backend.read.clear()
    while not running.finished:
        backend.step()
    assert max(backend.read) <= 2 * BLOCK + 1
    finish(backend, long)
    assert written(long) == written(
        run(TorchBackend(malbeot), replace(CONTEXT, turns=(Turn(Role.USER, "긴 말 " * 60),)), GREEDY)
    )


def test_a_full_cache_makes_requests_wait_and_changes_no_word(malbeot: Checkpoint) -> None:
    sampling = Sampling(temperature=1.5, candidates=4, max_new_tokens=20, seed=5)
    alone = [written(run(TorchBackend(malbeot), context, sampling)) for context in PROMPTS[:6]]
    memory = 8 * 96 * position_bytes(malbeot)
    small = TorchBackend(malbeot, memory=memory)
    together = [small.start(context, sampling) for context in PROMPTS[:6]]
    most = 0
    while not all(generation.finished for generation in together):
        small.step()
        most = max(most, small.rows_in_use)
        assert small.memory_used <= memory
    assert 0 < most < 24, "they did not all run at once"
    assert [written(generation) for generation in together] == alone


def test_what_can_never_fit_is_refused_by_name(malbeot: Checkpoint) -> None:
    backend = TorchBackend(malbeot, memory=200 * position_bytes(malbeot))
    with pytest.raises(ContextTooLong, match="16 candidates"):
        backend.start(CONTEXT, FLAT)
    assert run(backend, CONTEXT, replace(GREEDY, max_new_tokens=4)).finished


def test_closing_frees_at_once_in_every_state(malbeot: Checkpoint) -> None:
    backend = TorchBackend(malbeot)
    for steps in (0, 1, 4):
        generation = backend.start(CONTEXT, FLAT)
        for _ in range(steps):
            backend.step()
        generation.close()
        generation.close()
        assert backend.rows_in_use == 0
        assert generation.finished
    assert written(run(backend, CONTEXT, FLAT)) == written(run(TorchBackend(malbeot), CONTEXT, FLAT))
