from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2DoubleHeadsModel, PreTrainedTokenizerFast

from model import checkpoint as checkpoints
from model.chat_format import FORMATS
from model.checkpoint import Checkpoint
from model.dialogue import DialogueContext, SpeechLevel
from model.errors import BadCheckpoint
from model.manifest import MANIFEST, Manifest
from tests.model.builders import user_last

CONTEXT = DialogueContext(("내 이름은 유희다.",), user_last("안녕?", "안녕하세요!", "뭐 먹을까?"), SpeechLevel.HAEYO)
WEIGHTS = "model.safetensors"


class DiskFull(Exception):
    """What the tokenizer below meets."""


class UnwritableTokenizer(PreTrainedTokenizerFast):
    """A tokenizer that cannot be saved, as when the disk fills up after the weights."""

    def save_pretrained(self, *_: Any, **__: Any) -> tuple[str, ...]:
        raise DiskFull


@pytest.fixture
def tiny(tiny_folder: Path) -> Checkpoint:
    return checkpoints.load(tiny_folder)


@pytest.fixture
def copied(tiny_folder: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may break."""
    shutil.copytree(tiny_folder, tmp_path / "copied")
    return tmp_path / "copied"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def written_weights(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(folder / WEIGHTS)
    return tensors


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_what_is_saved_is_loaded_again(name: str, tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    first = checkpoints.load(tiny_folders[name])
    manifest = Manifest("v2", name, "v1", ("a",), "00", {"loss": 1.5}, "2025-01-01T00:00:00+00:00", "a reason")
    checkpoints.save(replace(first, manifest=manifest), tmp_path / "models" / "v2")
    second = checkpoints.load(tmp_path / "models" / "v2")
    assert second.manifest == manifest
    assert second.chat_format.name == name
    assert second.max_positions == first.max_positions == 256
    assert second.chat_format.encode(CONTEXT, "네", 256) == first.chat_format.encode(CONTEXT, "네", 256)
    assert not second.model.training
    old, new = first.model.state_dict(), second.model.state_dict()
    assert list(new) == list(old)
    assert all(torch.equal(new[key], old[key]) for key in old)


def test_a_loaded_model_knows_its_tied_weights(tiny: Checkpoint) -> None:
    assert tiny.model.lm_head.weight is tiny.model.transformer.wte.weight


def test_tied_weights_are_written_once(tiny_folder: Path) -> None:
    names = set(written_weights(tiny_folder))
    assert "transformer.wte.weight" in names
    assert "lm_head.weight" not in names


def test_half_precision_halves_the_file_and_leaves_the_model(tiny: Checkpoint, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    checkpoints.save(tiny, tmp_path / "half", torch.bfloat16)
    checkpoints.save(tiny, tmp_path / "full")
    half, full = written_weights(tmp_path / "half"), written_weights(tmp_path / "full")
    assert {value.dtype for value in half.values()} == {torch.bfloat16}
    assert {value.dtype for value in full.values()} == {torch.float32}
    assert all(torch.equal(half[name], full[name].bfloat16()) for name in full)
    assert (tmp_path / "half" / WEIGHTS).stat().st_size < (tmp_path / "full" / WEIGHTS).stat().st_size * 0.6
    assert all(torch.equal(tiny.model.state_dict()[name], value) for name, value in before.items())
    loaded = checkpoints.load(tmp_path / "half")
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    assert checkpoints.load(tmp_path / "half", dtype=torch.bfloat16).model.dtype is torch.bfloat16


def test_any_user_of_transformers_can_load_the_folder(tiny: Checkpoint, tiny_folder: Path) -> None:
    config = json.loads((tiny_folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["GPT2DoubleHeadsModel"]
    plain: GPT2DoubleHeadsModel = GPT2DoubleHeadsModel.from_pretrained(str(tiny_folder))
    ours = tiny.model.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in plain.state_dict().items())


def test_a_saved_folder_can_be_read_by_others(tiny_folder: Path) -> None:
    assert tiny_folder.stat().st_mode & 0o777 == 0o755


def test_a_new_checkpoint_replaces_the_old_and_keeps_what_is_named(tiny: Checkpoint, copied: Path) -> None:
    (copied / "MODEL_CARD.md").write_text("card", encoding="utf-8")
    (copied / "notes.txt").write_text("notes", encoding="utf-8")
    renamed = replace(tiny, manifest=replace(tiny.manifest, version="next"))
    checkpoints.save(renamed, copied, keep=("MODEL_CARD.md", "not-there.md"))
    assert (copied / "MODEL_CARD.md").read_text(encoding="utf-8") == "card"
    assert not (copied / "notes.txt").exists()
    assert not (copied / "not-there.md").exists()
    assert checkpoints.load(copied).manifest.version == "next"
    assert [path.name for path in copied.parent.iterdir()] == ["copied"]


def test_an_interrupted_save_leaves_the_old_folder_and_nothing_else(
    tiny: Checkpoint, copied: Path, tiny_folder: Path
) -> None:
    tokenizer = UnwritableTokenizer(tokenizer_object=tiny.tokenizer.backend_tokenizer)  # type: ignore[no-untyped-call]
    broken = replace(tiny, tokenizer=tokenizer)
    with pytest.raises(DiskFull):
        checkpoints.save(broken, copied)
    assert contents(copied) == contents(tiny_folder)
    with pytest.raises(DiskFull):
        checkpoints.save(broken, copied.parent / "new")
    assert [path.name for path in copied.parent.iterdir()] == ["copied"]


def test_a_folder_without_a_manifest_is_named_after_itself_and_its_tokens(copied: Path) -> None:
    (copied / MANIFEST).unlink()
    loaded = checkpoints.load(copied)
    assert loaded.manifest == Manifest(version="copied", format="malbeot")
    assert loaded.chat_format.name == "malbeot"


def test_the_format_may_be_chosen_where_it_fits(tiny_folder: Path) -> None:
    assert checkpoints.load(tiny_folder, "dialogpt").chat_format.name == "dialogpt"
    with pytest.raises(BadCheckpoint, match="<speaker1>, <speaker2>"):
        checkpoints.load(tiny_folder, "transfertransfo")
    with pytest.raises(BadCheckpoint, match="no chat format 'alpaca'"):
        checkpoints.load(tiny_folder, "alpaca")


def cut(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


def drop_weights(folder: Path, part: str) -> None:
    kept = {name: value for name, value in written_weights(folder).items() if part not in name}
    save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})


def change_config(folder: Path, **fields: object) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | fields), encoding="utf-8")


def pickle_with_code(folder: Path) -> None:
    """A .bin of the kind that runs a command when unpickled."""

    class Payload:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return (Path.touch, (folder / "touched",))

    (folder / WEIGHTS).unlink()
    torch.save({"transformer.wte.weight": Payload()}, folder / "pytorch_model.bin")


BREAKAGES: dict[str, Callable[[Path], object]] = {
    "no folder": shutil.rmtree,
    "no config": lambda folder: (folder / "config.json").unlink(),
    "cut config": lambda folder: cut(folder / "config.json", 0.5),
    "config of another model": lambda folder: change_config(folder, model_type="llama"),
    "config with nonsense": lambda folder: change_config(folder, n_embd="wide"),
    "config of a wider model": lambda folder: change_config(folder, n_embd=64),
    "config of a deeper model": lambda folder: change_config(folder, n_layer=3),
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
    "empty weights": lambda folder: (folder / WEIGHTS).write_bytes(b""),
    "cut weights": lambda folder: cut(folder / WEIGHTS, 0.9),
    "weights cut in the header": lambda folder: cut(folder / WEIGHTS, 0.001),
    "weights with a huge header": lambda folder: (folder / WEIGHTS).write_bytes(struct.pack("<Q", 1 << 60) + b"{}"),
    "a git-lfs pointer for weights": lambda folder: (folder / WEIGHTS).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", encoding="utf-8"
    ),
    "weights without embeddings": lambda folder: drop_weights(folder, "wte"),
    "weights without a layer": lambda folder: drop_weights(folder, "h.1."),
    "weights that are code": pickle_with_code,
    "no tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
    "cut tokenizer": lambda folder: cut(folder / "tokenizer.json", 0.5),
    "broken tokenizer settings": lambda folder: cut(folder / "tokenizer_config.json", 0.5),
    "broken manifest": lambda folder: cut(folder / MANIFEST, 0.5),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_folder_is_one_sentence_and_stays_as_it_is(copied: Path, breakage: str) -> None:
    BREAKAGES[breakage](copied)
    before = contents(copied.parent)
    with pytest.raises(BadCheckpoint) as caught:
        checkpoints.load(copied)
    sentence = str(caught.value)
    assert sentence.startswith(str(copied))
    assert sentence.endswith((".", "?"))
    assert "\n" not in sentence
    assert contents(copied.parent) == before


def test_a_tokenizer_with_more_entries_than_the_embeddings_is_refused(tiny: Checkpoint, copied: Path) -> None:
    """Its last ids would be an index error in the middle of a reply."""
    tiny.tokenizer.add_tokens([f"새{number}" for number in range(3)])
    tiny.tokenizer.save_pretrained(str(copied))
    with pytest.raises(BadCheckpoint, match="tokenizer"):
        checkpoints.load(copied)


def test_a_next_utterance_head_may_be_missing_as_from_others(copied: Path) -> None:
    drop_weights(copied, "multiple_choice_head")
    head = checkpoints.load(copied).model.state_dict()["multiple_choice_head.summary.weight"]
    assert head.shape == (1, 32)
    assert head.isfinite().all()
