from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel

from model import checkpoint as checkpoints
from model.backends.openvino_backend import OpenVinoBackend, OpenVinoGeneration
from model.backends.openvino_check import contexts, reference_scores
from model.backends.openvino_export import write
from model.checkpoint import Checkpoint
from model.dialogue import Candidate, DialogueContext, Finish, Role, Sampling, SpeechLevel, Turn
from model.errors import ContextTooLong
from tests.model.conftest import TEXTS
from tests.model.prompts import CONTEXT, GREEDY, PROMPTS

DEFAULT = Path(__file__).resolve().parents[2] / "model" / "default"
# Nearly every id is as likely as any other, so that some rows of many end by themselves.
FLAT = Sampling(temperature=50, top_k=0, top_p=1, candidates=16, max_new_tokens=60, seed=0)


def backend_of(checkpoint: Checkpoint, folder: Path, precision: str = "fp32", cache_mb: int = 4) -> OpenVinoBackend:
    export = write(folder, checkpoint, precision, scored=True)
    return OpenVinoBackend(export, checkpoint.chat_format, "tiny", cache_mb)


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> Checkpoint:
    return checkpoints.load(tiny_folder)


@pytest.fixture(scope="module")
def exact(tiny: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> OpenVinoBackend:
    """A backend in fp32."""
    return backend_of(tiny, tmp_path_factory.mktemp("exact"))


def finish(backend: OpenVinoBackend, generations: Sequence[OpenVinoGeneration]) -> list[list[Candidate]]:
    while not all(generation.finished for generation in generations):
        backend.step()
    found = [generation.candidates() for generation in generations]
    for generation in generations:
        generation.close()
    return found


def answer(backend: OpenVinoBackend, context: DialogueContext, sampling: Sampling) -> list[Candidate]:
    return finish(backend, [backend.start(context, sampling)])[0]


def generated(checkpoint: Checkpoint, context: DialogueContext, sampling: Sampling) -> str:
    """What transformers' generate makes of the same prompt with the same weights."""
    model = GPT2LMHeadModel(checkpoint.model.config)
    model.transformer, model.lm_head = checkpoint.model.transformer, checkpoint.model.lm_head
    model.train(False)
    room = checkpoint.max_positions - sampling.max_new_tokens
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
    return checkpoint.chat_format.decode(output[0, prompt.shape[1] :].tolist())


@pytest.mark.parametrize("penalty", [1, 1.2])
def test_greedy_replies_are_those_of_transformers_generate(
    exact: OpenVinoBackend, tiny: Checkpoint, penalty: float
) -> None:
    sampling = replace(GREEDY, repetition_penalty=penalty)
    found = finish(exact, [exact.start(context, sampling) for context in PROMPTS])
    expected = [generated(tiny, context, sampling) for context in PROMPTS]
    assert [candidates[0].text for candidates in found] == expected
    assert len(expected) == 20
    assert len(set(expected)) > 10, "prompts that all give the same text prove little"


@pytest.mark.slow
def test_greedy_replies_of_the_default_model_are_those_of_transformers_generate(tmp_path: Path) -> None:
    checkpoint = checkpoints.load(DEFAULT)
    backend = backend_of(checkpoint, tmp_path, cache_mb=32)
    asked = [replace(context, speech_level=level) for context in contexts() for level in (*SpeechLevel, None)][:20]
    found = finish(backend, [backend.start(context, GREEDY) for context in asked])
    assert [candidates[0].text for candidates in found] == [generated(checkpoint, each, GREEDY) for each in asked]


@pytest.mark.parametrize("name", ["malbeot", "dialogpt", "usr-sys"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_format_writes_candidates_without_structure(
    name: str, precision: str, tiny_folders: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint = checkpoints.load(tiny_folders[name])
    backend = backend_of(checkpoint, tmp_path, precision)
    generation = backend.start(CONTEXT, replace(FLAT, temperature=2))
    found = finish(backend, [generation])[0]
    assert len({candidate.text for candidate in found}) > 12
    used = {token for row in generation._job.rows for token in row.ids}
    assert not used & (checkpoint.chat_format.suppressed_ids | {checkpoint.chat_format.eos_id})
    assert max(used) < len(checkpoint.tokenizer)


def test_candidates_end_by_themselves_or_at_the_limit_and_all_have_the_score_of_torch(
    exact: OpenVinoBackend, tiny: Checkpoint
) -> None:
    generation = exact.start(CONTEXT, FLAT)
    found = finish(exact, [generation])[0]
    assert {candidate.finish for candidate in found} == {Finish.STOP, Finish.LENGTH}
    for row, candidate in zip(generation._job.rows, found, strict=True):
        assert len(row.ids) == 60 if candidate.finish is Finish.LENGTH else len(row.ids) < 60
        ids = row.ids if candidate.finish is Finish.STOP else row.ids[:-1]
        prompt = tiny.chat_format.encode(CONTEXT, None, 196).input_ids
        with torch.inference_mode():
            read = torch.tensor([[*prompt, *ids, tiny.chat_format.eos_id]])
            hidden = tiny.model.transformer(read).last_hidden_state
            score = float(tiny.model.multiple_choice_head(hidden, torch.tensor([read.shape[1] - 1])))
        assert candidate.score == pytest.approx(score, rel=0.004, abs=0.004)
    assert len({candidate.score for candidate in found}) > 8


def test_texts_of_others_have_the_score_of_torch(exact: OpenVinoBackend, tiny: Checkpoint) -> None:
    scores = exact.score(CONTEXT, TEXTS)
    assert scores == pytest.approx(reference_scores(tiny, CONTEXT, TEXTS), rel=0.004, abs=0.004)


def test_a_model_without_the_head_gives_no_scores(tiny: Checkpoint, tmp_path: Path) -> None:
    export = write(tmp_path, tiny, "fp32", scored=False)
    backend = OpenVinoBackend(export, tiny.chat_format, "tiny", cache_mb=1)
    assert backend.score(CONTEXT, TEXTS) is None
    assert [candidate.score for candidate in answer(backend, CONTEXT, Sampling(seed=1))] == [None] * 4


def test_a_seed_gives_the_same_candidates_alone_and_among_others(exact: OpenVinoBackend) -> None:
    settings = [Sampling(seed=seed, temperature=1.5, candidates=2, max_new_tokens=20) for seed in range(6)]
    alone = [answer(exact, CONTEXT, sampling) for sampling in settings]
    assert finish(exact, [exact.start(CONTEXT, sampling) for sampling in settings]) == alone
    assert len({candidates[0].text for candidates in alone}) == 6
    # Nor does it matter how many candidates there are besides.
    assert answer(exact, CONTEXT, replace(settings[0], candidates=4))[:2] == alone[0]


def test_a_penalty_looks_at_its_own_candidate_only(exact: OpenVinoBackend) -> None:
    """GenAI's own way to several candidates takes what one has said for repeated by the next."""
    sampling = Sampling(seed=3, repetition_penalty=1.8, temperature=0.8, max_new_tokens=24)
    alone = answer(exact, CONTEXT, replace(sampling, candidates=1))[0]
    assert answer(exact, CONTEXT, sampling)[0].text == alone.text


def test_who_joins_or_leaves_changes_nothing_for_the_others(exact: OpenVinoBackend) -> None:
    settings = [Sampling(seed=seed, temperature=1.5, max_new_tokens=30) for seed in range(4)]
    expected = [answer(exact, context, each) for context, each in zip(PROMPTS, settings, strict=False)]
    first = [exact.start(context, each) for context, each in zip(PROMPTS[:3], settings, strict=False)]
    for _ in range(5):
        exact.step()
    first[1].close()
    late = exact.start(PROMPTS[3], settings[3])
    found = finish(exact, [first[0], first[2], late])
    assert found == [expected[0], expected[2], expected[3]]


def test_greedy_needs_one_candidate(exact: OpenVinoBackend) -> None:
    assert len(answer(exact, CONTEXT, replace(GREEDY, candidates=4))) == 1


@pytest.mark.parametrize("asked", [200, 256, 1000])
@pytest.mark.parametrize("candidates", [1, 2])
def test_no_sequence_outgrows_the_positions(exact: OpenVinoBackend, asked: int, candidates: int) -> None:
    long = replace(CONTEXT, turns=(Turn(Role.USER, "오늘은 뭐 했어? " * 200),))
    generation = exact.start(long, Sampling(temperature=0.1, max_new_tokens=asked, candidates=candidates, seed=0))
    finish(exact, [generation])
    for row in generation._job.rows:
        assert len(row.wish.prompt) + len(row.ids) <= exact.max_positions


def test_text_only_grows_and_never_shows_half_a_character(exact: OpenVinoBackend) -> None:
    generation = exact.start(CONTEXT, replace(FLAT, temperature=2, max_new_tokens=120, candidates=1, seed=2))
    shown, pieces = generation.text(), 0
    while not generation.finished:
        exact.step()
        assert generation.text().startswith(shown)
        assert "\ufffd" not in generation.text()
        pieces += generation.text() != shown
        shown = generation.text()
    assert pieces > 10
    assert shown == generation.candidates()[0].text


def test_a_persona_that_fills_the_positions_is_named(exact: OpenVinoBackend) -> None:
    with pytest.raises(ContextTooLong, match="persona"):
        exact.start(replace(CONTEXT, persona=("나는 말이 아주 많다. " * 80,)), GREEDY)


def test_closing_twice_or_before_anything_was_done_is_no_error(exact: OpenVinoBackend) -> None:
    generation = exact.start(CONTEXT, GREEDY)
    generation.close()
    generation.close()
    assert answer(exact, CONTEXT, GREEDY) == answer(exact, CONTEXT, GREEDY)
