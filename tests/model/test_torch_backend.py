from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel

from model import checkpoint as checkpoints
from model.backends.torch_backend import Row, TorchBackend, TorchGeneration, load
from model.chat_format import FORMATS
from model.dialogue import DialogueContext, Finish, Role, Sampling, SpeechLevel, Turn
from model.errors import ContextTooLong
from model.manifest import MANIFEST
from model.protocol import EngineConfig
from model.sampling import choose_ids
from tests.model.conftest import TEXTS

GREEDY = Sampling(temperature=0, repetition_penalty=1, max_new_tokens=16, candidates=1)
CONTEXT = DialogueContext(
    persona=("내 이름은 유희다.", "나는 떡볶이 이야기를 제일 좋아한다."),
    turns=(Turn(Role.USER, "안녕?"), Turn(Role.BOT, "안녕하세요!"), Turn(Role.USER, "뭐 먹을까?")),
    speech_level=SpeechLevel.HAEYO,
)
# Nearly every id is as likely as any other, so that some rows of many end by themselves.
FLAT = Sampling(temperature=50, top_k=0, top_p=1, candidates=16, max_new_tokens=30, seed=0)
PROMPTS = [
    DialogueContext(turns=(Turn(Role.USER, text[cut:]),), persona=CONTEXT.persona[: cut % 3])
    for text in TEXTS
    for cut in (0, 3, 6, 9)
]


@pytest.fixture(scope="module", params=sorted(FORMATS))
def backend(request: pytest.FixtureRequest, tiny_folders: dict[str, Path]) -> TorchBackend:
    """A backend of each chat format."""
    return TorchBackend(checkpoints.load(tiny_folders[request.param]))


@pytest.fixture(scope="module")
def malbeot(tiny_folder: Path) -> TorchBackend:
    return TorchBackend(checkpoints.load(tiny_folder))


def run(backend: TorchBackend, context: DialogueContext, sampling: Sampling) -> TorchGeneration:
    generation = backend.start(context, sampling)
    while not generation.finished:
        generation.step()
    return generation


def uncached_rows(backend: TorchBackend, context: DialogueContext, sampling: Sampling) -> list[Row]:
    """The same draws from a whole forward a token: no cache, no rows dropped from one."""
    room = backend.max_positions - sampling.max_new_tokens
    prompt = backend.chat_format.encode(context, None, room)
    kinds = list(prompt.token_type_ids) if prompt.token_type_ids is not None else None
    rows = [Row() for _ in range(sampling.candidates)]
    still, random = rows, torch.Generator().manual_seed(sampling.seed or 0)
    for length in range(sampling.max_new_tokens):
        ids = torch.tensor([[*prompt.input_ids, *row.ids] for row in still])
        types = torch.tensor([[*kinds, *kinds[-1:] * length]] * len(still)) if kinds else None
        with torch.inference_mode():
            hidden = backend.model.transformer(ids, token_type_ids=types, use_cache=False).last_hidden_state
            drawn = choose_ids(backend.model.lm_head(hidden[:, -1]), ids, backend.suppressed, sampling, random)
        for row, token in zip(still, drawn.tolist(), strict=True):
            if token == backend.chat_format.eos_id:
                row.finish = Finish.STOP
            else:
                row.ids.append(token)
        still = [row for row in still if row.finish is not Finish.STOP]
        if not still:
            break
    return rows


def reference_ids(backend: TorchBackend, context: DialogueContext, sampling: Sampling) -> list[int]:
    """What transformers' generate makes of the same prompt with the same weights."""
    model = GPT2LMHeadModel(backend.model.config)
    model.transformer, model.lm_head = backend.model.transformer, backend.model.lm_head
    model.train(False)
    room = backend.max_positions - sampling.max_new_tokens
    prompt = torch.tensor([backend.chat_format.encode(context, None, room).input_ids])
    output = model.generate(  # type: ignore[misc]
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        repetition_penalty=float(sampling.repetition_penalty),
        max_new_tokens=sampling.max_new_tokens,
        suppress_tokens=sorted(backend.chat_format.suppressed_ids),
        eos_token_id=backend.chat_format.eos_id,
        pad_token_id=backend.chat_format.eos_id,
    )
    new: list[int] = output[0, prompt.shape[1] :].tolist()
    return new[:-1] if new[-1] == backend.chat_format.eos_id else new


@pytest.mark.parametrize("penalty", [1, 1.2])
def test_greedy_ids_are_those_of_transformers_generate(malbeot: TorchBackend, penalty: float) -> None:
    sampling = replace(GREEDY, repetition_penalty=penalty)
    seen = set()
    for context in PROMPTS:
        generation = run(malbeot, context, sampling)
        assert [row.ids for row in generation.rows] == [reference_ids(malbeot, context, sampling)]
        seen.add(tuple(generation.rows[0].ids))
    assert len(PROMPTS) == 20
    assert len(seen) > 10, "prompts that all give the same ids prove little"


def test_greedy_ids_are_those_of_whole_forwards_in_every_format(backend: TorchBackend) -> None:
    """Token types too, which generate does not carry on."""
    sampling = replace(GREEDY, max_new_tokens=12)
    assert run(backend, CONTEXT, sampling).rows == uncached_rows(backend, CONTEXT, sampling)


@pytest.mark.parametrize("name", ["malbeot", "transfertransfo"])
def test_rows_go_on_unchanged_when_others_have_ended(name: str, tiny_folders: dict[str, Path]) -> None:
    backend = TorchBackend(checkpoints.load(tiny_folders[name]))
    rows = run(backend, CONTEXT, FLAT).rows
    assert {row.finish for row in rows} == {Finish.STOP, Finish.LENGTH}
    assert rows == uncached_rows(backend, CONTEXT, FLAT)


def test_every_format_writes_candidates_without_structure(backend: TorchBackend) -> None:
    sampling = Sampling(temperature=1.5, top_k=0, top_p=1, candidates=6, max_new_tokens=40, seed=1)
    generation = run(backend, CONTEXT, sampling)
    assert len({candidate.text for candidate in generation.candidates()}) == 6
    used = {token for row in generation.rows for token in row.ids}
    assert not used & (backend.chat_format.suppressed_ids | {backend.chat_format.eos_id})


def test_candidates_end_by_themselves_or_at_the_limit(malbeot: TorchBackend) -> None:
    rows = run(malbeot, CONTEXT, FLAT).rows
    assert {row.finish for row in rows} == {Finish.STOP, Finish.LENGTH}
    for row in rows:
        assert len(row.ids) == 30 if row.finish is Finish.LENGTH else len(row.ids) < 30


def test_greedy_needs_one_candidate(malbeot: TorchBackend) -> None:
    assert len(run(malbeot, CONTEXT, replace(GREEDY, candidates=4)).rows) == 1


@pytest.mark.parametrize("asked", [200, 256, 1000])
def test_no_sequence_outgrows_the_positions(malbeot: TorchBackend, asked: int) -> None:
    long = replace(CONTEXT, turns=(Turn(Role.USER, "오늘은 뭐 했어? " * 200),))
    generation = run(malbeot, long, replace(GREEDY, max_new_tokens=asked))
    prompt = malbeot.chat_format.encode(long, None, 128)
    assert len(prompt.input_ids) + len(generation.rows[0].ids) <= malbeot.max_positions
    assert generation.candidates()[0].finish is Finish.LENGTH


def test_the_same_seed_gives_the_same_text(malbeot: TorchBackend) -> None:
    sampling = Sampling(seed=11, candidates=3)
    assert run(malbeot, CONTEXT, sampling).rows == run(malbeot, CONTEXT, sampling).rows
    assert run(malbeot, CONTEXT, sampling).rows != run(malbeot, CONTEXT, replace(sampling, seed=12)).rows


def test_requests_stepped_in_turns_do_not_touch_each_other(malbeot: TorchBackend) -> None:
    settings = [Sampling(seed=seed, candidates=2, max_new_tokens=20) for seed in range(3)]
    alone = [run(malbeot, CONTEXT, sampling).rows for sampling in settings]
    together = [malbeot.start(CONTEXT, sampling) for sampling in settings]
    while not all(generation.finished for generation in together):
        for generation in together:
            if not generation.finished:
                generation.step()
    assert [generation.rows for generation in together] == alone


def test_text_only_grows_and_never_shows_half_a_character(malbeot: TorchBackend) -> None:
    generation = malbeot.start(CONTEXT, Sampling(temperature=2, top_k=0, top_p=1, max_new_tokens=120, seed=2))
    shown = generation.text()
    while not generation.finished:
        generation.step()
        assert generation.text().startswith(shown)
        assert "\ufffd" not in generation.text()
        shown = generation.text()
    assert shown == generation.candidates()[0].text


def test_scores_are_those_of_the_double_heads_model_one_by_one(backend: TorchBackend) -> None:
    texts = ["떡볶이 어때요?", "비가 오네요. 우산 챙기셨어요?", "응"]
    scores = backend.score(CONTEXT, texts)
    assert scores is not None
    for text, score in zip(texts, scores, strict=True):
        row = backend.chat_format.encode(CONTEXT, text, backend.max_positions)
        kinds = torch.tensor([[row.token_type_ids]]) if row.token_type_ids is not None else None
        last = torch.tensor([[len(row.input_ids) - 1]])
        with torch.inference_mode():
            output = backend.model(torch.tensor([[row.input_ids]]), mc_token_ids=last, token_type_ids=kinds)
        assert score == pytest.approx(output.mc_logits.item(), abs=1e-4)
    assert len(set(scores)) == 3


def test_a_checkpoint_of_others_gives_no_scores(tiny_folder: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for path in tiny_folder.iterdir():
        if path.name != MANIFEST:
            (foreign / path.name).symlink_to(path)
    assert load(EngineConfig(foreign)).score(CONTEXT, ["응", "아니"]) is None
    assert load(EngineConfig(tiny_folder)).score(CONTEXT, ["응", "아니"]) is not None


def test_a_persona_that_fills_the_positions_is_named(malbeot: TorchBackend) -> None:
    with pytest.raises(ContextTooLong, match="persona"):
        malbeot.start(replace(CONTEXT, persona=("나는 말이 아주 많다. " * 80,)), GREEDY)
