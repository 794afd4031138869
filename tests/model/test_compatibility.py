"""Checkpoints of others, in the exact layout of their files: loaded, talked to, and fine-tuned."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import GPT2LMHeadModel
from typer.testing import CliRunner

from model import checkpoint as checkpoints
from model.backends.torch_backend import TorchBackend, load
from model.chat_format import new_tokens
from model.checkpoint import Checkpoint
from model.dialogue import DialogueContext, Role, Sampling, SpeechLevel, Turn
from model.protocol import EngineConfig
from tests.model.builders import DIALOGPT_SIZE, KOGPT2_SIZE, make_dialogpt, make_kogpt2, user_last
from tests.model.conftest import TEXTS
from training.base import load_base
from training.corpora import write_dialogues
from training.examples import Dialogue
from training.finetune import app

CONTEXT = DialogueContext(("내 이름은 유희다.",), user_last("오늘 점심 뭐 먹을까요?"), SpeechLevel.HAEYO)
ATTENTION = "transformer.h.0.attn.c_attn.weight"
SAMPLING = Sampling(max_new_tokens=12, candidates=3, seed=1)

LAYOUTS: dict[str, tuple[Callable[[Path], Path], str, int]] = {
    "kogpt2": (make_kogpt2, "usr-sys", KOGPT2_SIZE),
    "kogpt2 in safetensors": (lambda folder: make_kogpt2(folder, "model.safetensors"), "usr-sys", KOGPT2_SIZE),
    "DialoGPT": (make_dialogpt, "dialogpt", DIALOGPT_SIZE),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {name: make(root / name) for name, (make, _, _) in LAYOUTS.items()}


@pytest.fixture(params=sorted(LAYOUTS))
def layout(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    turns = [(Turn(Role.USER, text[:12]), Turn(Role.BOT, text[-12:])) for text in TEXTS]
    write_dialogues(
        [Dialogue(pair, ("내 이름은 유희다.",), SpeechLevel.HAEYO) for pair in turns], tmp_path / "data.jsonl"
    )
    yield tmp_path / "data.jsonl"
    # Two 1024-position models with large vocabularies a test add up.
    for path in tmp_path.iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def finetune(base: Path, data: Path, out: Path, *options: str) -> Checkpoint:
    """Two steps of the command, then what it wrote."""
    arguments = ["--base", str(base), "--data", str(data), "--out", str(out), *options]
    result = CliRunner().invoke(app, [*arguments, "--max-steps", "2", "--batch-size", "2", "--cpu", "--log-steps", "1"])
    assert result.exit_code == 0, result.output
    return checkpoints.load(out)


def replies(checkpoint: Checkpoint) -> list[str]:
    """What the torch backend answers to CONTEXT."""
    backend = TorchBackend(checkpoint)
    generation = backend.start(CONTEXT, SAMPLING)
    while not generation.finished:
        backend.step()
    return [candidate.text for candidate in generation.candidates()]


def test_the_format_and_every_weight_are_found(bases: dict[str, Path], layout: str) -> None:
    _, chat_format, size = LAYOUTS[layout]
    loaded = checkpoints.load(bases[layout])
    assert loaded.chat_format.name == loaded.manifest.format == chat_format
    assert loaded.manifest.version == layout
    assert (loaded.model.config.vocab_size, loaded.max_positions, len(loaded.tokenizer)) == (size, 1024, size)
    plain: GPT2LMHeadModel = GPT2LMHeadModel.from_pretrained(str(bases[layout]))
    ours = loaded.model.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in plain.state_dict().items())


def test_both_kinds_of_weight_files_hold_the_same(bases: dict[str, Path]) -> None:
    old, new = (checkpoints.load(bases[name]).model.state_dict() for name in ("kogpt2", "kogpt2 in safetensors"))
    assert all(torch.equal(old[name], new[name]) for name in old if not name.startswith("multiple_choice_head"))


def test_text_goes_in_and_comes_out_whole(bases: dict[str, Path], layout: str) -> None:
    chat_format = checkpoints.load(bases[layout]).chat_format
    for text in TEXTS:
        ids = chat_format.text_ids(text)
        assert len(ids) < len(text)
        assert chat_format.decode(ids) == text


def test_the_end_is_the_one_the_model_was_trained_with(bases: dict[str, Path], layout: str) -> None:
    loaded = checkpoints.load(bases[layout])
    assert loaded.chat_format.eos_id == loaded.model.config.eos_token_id


def test_it_answers(bases: dict[str, Path], layout: str) -> None:
    backend = load(EngineConfig(bases[layout]))
    generation = backend.start(CONTEXT, SAMPLING)
    while not generation.finished:
        backend.step()
    assert len({candidate.text for candidate in generation.candidates()}) == 3
    assert all("<" not in candidate.text for candidate in generation.candidates())
    assert backend.score(CONTEXT, ["네", "아니요"]) is None, "its next-utterance head never learnt anything"


def test_malbeots_tokens_are_added_to_it(bases: dict[str, Path], layout: str) -> None:
    _, _, size = LAYOUTS[layout]
    before = checkpoints.load(bases[layout])
    fitted, added = load_base(str(bases[layout]), "malbeot")
    assert fitted.tokenizer.convert_ids_to_tokens(added) == list(new_tokens("malbeot"))
    assert added == list(range(size, size + len(added)))
    assert len(fitted.model.transformer.wte.weight) == len(fitted.tokenizer) == size + len(added)
    assert torch.equal(fitted.model.transformer.wte.weight[:size], before.model.transformer.wte.weight)
    assert fitted.chat_format.text_ids(TEXTS[0]) == before.chat_format.text_ids(TEXTS[0])
    assert fitted.chat_format.text_ids("<bot>") != [added[-3]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kogpt2", "DialoGPT"])
@pytest.mark.parametrize("chat_format", [None, "malbeot"])
def test_it_can_be_fine_tuned(
    bases: dict[str, Path], name: str, chat_format: str | None, data: Path, tmp_path: Path
) -> None:
    _, own, size = LAYOUTS[name]
    tuned = finetune(bases[name], data, tmp_path / "tuned", *(["--format", chat_format] if chat_format else []))
    added = new_tokens("malbeot") if chat_format else ()
    assert tuned.chat_format.name == tuned.manifest.format == (chat_format or own)
    assert (tuned.manifest.version, tuned.manifest.parent) == ("tuned", name)
    assert len(tuned.tokenizer) == tuned.model.config.vocab_size == size + len(added)
    assert tuned.chat_format.decode(tuned.chat_format.text_ids(TEXTS[0])) == TEXTS[0]
    before = checkpoints.load(bases[name]).model.state_dict()
    assert not torch.equal(tuned.model.state_dict()[ATTENTION], before[ATTENTION])
    assert len(set(replies(tuned))) == 3
    assert TorchBackend(tuned).score(CONTEXT, ["네", "아니요"]) is not None
    assert json.loads((tmp_path / "tuned" / "config.json").read_text())["architectures"] == ["GPT2DoubleHeadsModel"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft asks for it
@pytest.mark.filterwarnings("ignore:Setting .save_embedding_layers. to .True.:UserWarning")  # as is right here
@pytest.mark.parametrize("name", ["kogpt2", "DialoGPT"])
def test_low_rank_adapters_end_up_in_a_plain_checkpoint(
    bases: dict[str, Path], name: str, data: Path, tmp_path: Path
) -> None:
    _, _, size = LAYOUTS[name]
    options = ["--format", "malbeot", "--lora", "--lora-rank", "2", "--learning-rate", "0.01", "--warmup", "0"]
    tuned = finetune(bases[name], data, tmp_path / "tuned", *options)
    before, _ = load_base(str(bases[name]), "malbeot")
    assert {key.split(".")[0] for key in load_file(tmp_path / "tuned" / "model.safetensors")} == {
        "transformer",
        "multiple_choice_head",
    }
    change = tuned.model.state_dict()[ATTENTION] - before.model.state_dict()[ATTENTION]
    assert change.abs().max() > 0
    assert torch.linalg.matrix_rank(change, tol=1e-6) <= 2
    old, new = before.model.transformer, tuned.model.transformer
    assert torch.equal(new.wte.weight[:size], old.wte.weight[:size]), "old embeddings are frozen"
    assert torch.equal(new.wpe.weight, old.wpe.weight)
    learnt = [tuned.tokenizer.get_vocab()[token] for token in ("<user>", "<bot>", "<eos>")]
    assert all(not torch.equal(new.wte.weight[token], old.wte.weight[token]) for token in learnt)
    assert tuned.model.lm_head.weight is new.wte.weight
    assert len(set(replies(tuned))) == 3
