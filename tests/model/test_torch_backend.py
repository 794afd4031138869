from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import GPT2LMHeadModel

from model import checkpoint as checkpoints
from model.backends.torch_backend import TorchBackend, load
from model.backends.torch_generation import Draft, TorchGeneration
from model.chat_format import FORMATS
from model.checkpoint import Checkpoint
from model.dialogue import DialogueContext, Finish, Sampling
from model.errors import ContextTooLong
from model.manifest import MANIFEST
from model.protocol import EngineConfig
from model.sampling import choose_ids, settings_of
from tests.model.prompts import CONTEXT, GREEDY, PROMPTS

# Nearly every id is as likely as any other, so that some rows of many end by themselves.
FLAT = Sampling(temperature=50, top_k=0, top_p=1, candidates=16, max_new_tokens=30, seed=3)


@pytest.fixture(scope="module", params=sorted(FORMATS))
def checkpoint(request: pytest.FixtureRequest, tiny_folders: dict[str, Path]) -> Checkpoint:
    """A checkpoint of each chat format."""
    return checkpoints.load(tiny_folders[request.param])


@pytest.fixture
def backend(checkpoint: Checkpoint) -> TorchBackend:
    return TorchBackend(checkpoint)


@pytest.fixture(scope="module")
def malbeot_checkpoint(tiny_folder: Path) -> Checkpoint:
    return checkpoints.load(tiny_folder)


@pytest.fixture
def malbeot(malbeot_checkpoint: Checkpoint) -> TorchBackend:
    """A backend that has read nothing yet."""
    return TorchBackend(malbeot_checkpoint)


def run(backend: TorchBackend, context: DialogueContext, sampling: Sampling) -> TorchGeneration:
    generation = backend.start(context, sampling)
    finish(backend, generation)
    generation.close()
    return generation


def finish(backend: TorchBackend, *generations: TorchGeneration) -> None:
    while not all(generation.finished for generation in generations):
        backend.step()


def written(generation: TorchGeneration) -> list[tuple[list[int], Finish]]:
    return [(draft.ids, draft.finish) for draft in generation.drafts]


def uncached(checkpoint: Checkpoint, context: DialogueContext, sampling: Sampling) -> list[tuple[list[int], Finish]]:
    """What each candidate would be, from a whole forward of transformers a token: no cache, no neighbours."""
    room = checkpoint.max_positions - 1 - sampling.max_new_tokens
    prompt = checkpoint.chat_format.encode(context, None, room)
    kinds = list(prompt.token_type_ids) if prompt.token_type_ids is not None else None
    suppressed = torch.tensor(sorted(checkpoint.chat_format.suppressed_ids))
    settings = settings_of([sampling], torch.device("cpu"))
    results = []
    for number in range(sampling.candidates):
        draft = Draft(random=Random((sampling.seed or 0) * 16 + number))
        while len(draft.ids) < sampling.max_new_tokens and draft.finish is not Finish.STOP:
            ids = torch.tensor([[*prompt.input_ids, *draft.ids]])
            types = torch.tensor([[*kinds, *kinds[-1:] * len(draft.ids)]]) if kinds else None
            with torch.inference_mode():
                hidden = checkpoint.model.transformer(ids, token_type_ids=types, use_cache=False).last_hidden_state
                logits = checkpoint.model.lm_head(hidden[:, -1])
                token = int(choose_ids(logits, ids, suppressed, settings, torch.tensor([[draft.draw()]])))
            if token == checkpoint.chat_format.eos_id:
                draft.finish = Finish.STOP
            else:
                draft.ids.append(token)
        results.append((draft.ids, draft.finish))
    return results


def reference_ids(checkpoint: Checkpoint, context: DialogueContext, sampling: Sampling) -> list[int]:
    """What transformers' generate makes of the same prompt with the same weights."""
    model = GPT2LMHeadModel(checkpoint.model.config)
    model.transformer, model.lm_head = checkpoint.model.transformer, checkpoint.model.lm_head
    model.train(False)
    room = checkpoint.max_positions - 1 - sampling.max_new_tokens
    prompt = torch.tensor([checkpoint.chat_format.encode(context, None, room).input_ids])
    output = model.generate(  # type: ignore[misc]
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        repetition_penalty=float(sampling.repetition_penalty),
        max_new_tokens=sampling.max_new_tokens,
        suppress_tokens=sorted(checkpoint.chat_format.suppressed_ids),
        eos_token_id=checkpoint.chat_format.eos_id,
        pad_token_id=checkpoint.chat_format.eos_id,
    )
    new: list[int] = output[0, prompt.shape[1] :].tolist()
    return new[:-1] if new[-1] == checkpoint.chat_format.eos_id else new


@pytest.mark.parametrize("penalty", [1, 1.2])
def test_greedy_ids_are_those_of_transformers_generate(malbeot_checkpoint: Checkpoint, penalty: float) -> None:
    sampling = replace(GREEDY, repetition_penalty=penalty)
    backend = TorchBackend(malbeot_checkpoint)
    together = [backend.start(context, sampling) for context in PROMPTS]
    finish(backend, *together)
    seen = set()
    for context, generation in zip(PROMPTS, together, strict=True):
        expected = reference_ids(malbeot_checkpoint, context, sampling)
        alone = run(TorchBackend(malbeot_checkpoint), context, sampling)
        assert [draft.ids for draft in alone.drafts] == [expected]
        assert [draft.ids for draft in generation.drafts] == [expected], "in a batch"
        seen.add(tuple(expected))
    assert len(PROMPTS) == 20
    assert len(seen) > 10, "prompts that all give the same ids prove little"


def test_ids_are_those_of_whole_forwards_in_every_format(backend: TorchBackend, checkpoint: Checkpoint) -> None:
    """Token types too, which generate does not carry on."""
    for sampling in (replace(GREEDY, max_new_tokens=12), replace(FLAT, candidates=3, max_new_tokens=12)):
        assert written(run(backend, CONTEXT, sampling)) == uncached(checkpoint, CONTEXT, sampling)


def test_rows_go_on_unchanged_when_others_have_ended(malbeot: TorchBackend, malbeot_checkpoint: Checkpoint) -> None:
    rows = written(run(malbeot, CONTEXT, FLAT))
    assert {end for _, end in rows} == {Finish.STOP, Finish.LENGTH}
    assert rows == uncached(malbeot_checkpoint, CONTEXT, FLAT)


def test_every_format_writes_candidates_without_structure(backend: TorchBackend) -> None:
    sampling = Sampling(temperature=1.5, top_k=0, top_p=1, candidates=6, max_new_tokens=40, seed=1)
    generation = run(backend, CONTEXT, sampling)
    assert len({candidate.text for candidate in generation.candidates()}) == 6
    used = {token for draft in generation.drafts for token in draft.ids}
    assert not used & (backend.chat_format.suppressed_ids | {backend.chat_format.eos_id})


def test_candidates_end_by_themselves_or_at_the_limit(malbeot: TorchBackend) -> None:
    rows = written(run(malbeot, CONTEXT, FLAT))
    assert {end for _, end in rows} == {Finish.STOP, Finish.LENGTH}
    for ids, end in rows:
        assert len(ids) == 30 if end is Finish.LENGTH else len(ids) < 30


def test_greedy_needs_one_candidate(malbeot: TorchBackend) -> None:
    generation = run(malbeot, CONTEXT, replace(GREEDY, candidates=5))
    assert len(generation.candidates()) == 1


def test_the_same_seed_gives_the_same_text(malbeot: TorchBackend) -> None:
    sampling = Sampling(seed=11, candidates=3)
    first = written(run(malbeot, CONTEXT, sampling))
    assert written(run(malbeot, CONTEXT, sampling)) == first
    assert written(run(malbeot, CONTEXT, replace(sampling, seed=12))) != first


def test_requests_that_come_and_go_do_not_touch_each_other(malbeot_checkpoint: Checkpoint) -> None:
    asked = [
        (context, Sampling(temperature=1.5, seed=number, candidates=1 + number % 3, max_new_tokens=6 + 3 * number))
        for number, context in enumerate(PROMPTS[:8])
    ]
    alone = [written(run(TorchBackend(malbeot_checkpoint), *each)) for each in asked]
    backend = TorchBackend(malbeot_checkpoint)
    together = []
    for each in asked:
        together.append(backend.start(*each))
        backend.step()
        backend.step()
    leaver = backend.start(CONTEXT, FLAT)
    backend.step()
    leaver.close()
    finish(backend, *together)
    assert [written(generation) for generation in together] == alone


def test_text_only_grows_and_never_shows_half_a_character(malbeot: TorchBackend) -> None:
    generation = malbeot.start(CONTEXT, Sampling(temperature=2, top_k=0, top_p=1, max_new_tokens=120, seed=2))
    shown = generation.text()
    while not generation.finished:
        malbeot.step()
        assert generation.text().startswith(shown)
        assert "\ufffd" not in generation.text()
        shown = generation.text()
    assert shown == generation.candidates()[0].text


def head_score(checkpoint: Checkpoint, ids: list[int], kinds: list[int] | None) -> float:
    """What transformers' double-heads model says of a sequence, read as a whole."""
    types = torch.tensor([[kinds]]) if kinds is not None else None
    with torch.inference_mode():
        output = checkpoint.model(
            torch.tensor([[ids]]), mc_token_ids=torch.tensor([[len(ids) - 1]]), token_type_ids=types
        )
    return float(output.mc_logits.item())


def test_scores_are_those_of_the_double_heads_model_one_by_one(backend: TorchBackend, checkpoint: Checkpoint) -> None:
    texts = ["떡볶이 어때요?", "비가 오네요. 우산 챙기셨어요?", "응"]
    cold = backend.score(CONTEXT, texts)
    run(backend, CONTEXT, GREEDY)
    warm = backend.score(CONTEXT, texts)
    assert cold is not None and warm is not None
    for text, *scores in zip(texts, cold, warm, strict=True):
        row = checkpoint.chat_format.encode(CONTEXT, text, backend.max_positions)
        kinds = list(row.token_type_ids) if row.token_type_ids is not None else None
        expected = head_score(checkpoint, list(row.input_ids), kinds)
        assert scores == pytest.approx([expected, expected], abs=1e-4)
    assert len(set(cold)) == 3


def test_candidates_are_scored_as_they_end(backend: TorchBackend, checkpoint: Checkpoint) -> None:
    generation = run(backend, CONTEXT, replace(FLAT, candidates=8, max_new_tokens=20))
    prompt = generation.prompt
    assert any(draft.ids for draft in generation.drafts)
    for draft in generation.drafts:
        ids = [*prompt.input_ids, *draft.ids, checkpoint.chat_format.eos_id]
        kinds = prompt.token_type_ids
        types = [*kinds, *kinds[-1:] * (len(draft.ids) + 1)] if kinds is not None else None
        expected = pytest.approx(head_score(checkpoint, ids, types), abs=1e-4) if draft.ids else None
        assert draft.score == expected


def test_a_checkpoint_of_others_gives_no_scores(tiny_folder: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for path in tiny_folder.iterdir():
        if path.name != MANIFEST:
            (foreign / path.name).symlink_to(path)
    stranger, own = load(EngineConfig(foreign)), load(EngineConfig(tiny_folder))
    assert stranger.score(CONTEXT, ["응", "아니"]) is None
    assert all(candidate.score is None for candidate in run(stranger, CONTEXT, FLAT).candidates())
    assert own.score(CONTEXT, ["응", "아니"]) is not None


def test_a_persona_that_fills_the_positions_is_named(malbeot: TorchBackend) -> None:
    with pytest.raises(ContextTooLong, match="persona"):
        malbeot.start(replace(CONTEXT, persona=("나는 말이 아주 많다. " * 80,)), GREEDY)
