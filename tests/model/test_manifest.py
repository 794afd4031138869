from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from model.errors import BadCheckpoint
from model.files import write_json
from model.manifest import CURRENT, MANIFEST, Manifest, check_folder, current, point_current, read_manifest

FULL = Manifest(
    version="2025-01-01",
    format="malbeot",
    parent="default",
    exports=("a", "b"),
    data_sha256="00ff",
    metrics={"perplexity": 12.5},
    created_at="2025-01-01T00:00:00+00:00",
    tainted="repeats what users wrote",
)


@pytest.fixture
def models(tiny_folder: Path, tmp_path: Path) -> Path:
    """A models folder with the versions one and two, and no pointer."""
    for version in ("one", "two"):
        shutil.copytree(tiny_folder, tmp_path / "models" / version)
    return tmp_path / "models"


@pytest.mark.parametrize("manifest", [FULL, Manifest(version="v", format="dialogpt")])
def test_a_manifest_is_read_as_it_was_written(manifest: Manifest, tmp_path: Path) -> None:
    write_json(tmp_path / MANIFEST, asdict(manifest))
    assert read_manifest(tmp_path) == manifest


def test_a_checkpoint_of_others_has_no_manifest(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"version": "v", "format": ',
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"version": "v"}',
        b'{"version": "v", "format": "malbeot", "colour": "red"}',
        b'{"version": "v", "format": "malbeot", "exports": null}',
        b"\xff\xfe\x00",
    ],
)
def test_a_broken_manifest_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(BadCheckpoint, match=f"{MANIFEST}: the manifest is broken"):
        read_manifest(tmp_path)


def test_a_checkpoint_is_known_by_config_and_weights(models: Path) -> None:
    check_folder(models / "one")
    (models / "one" / "model.safetensors").rename(models / "one" / "pytorch_model.bin")
    check_folder(models / "one")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (None, "config.json is missing or broken"),
        ("", "config.json is missing or broken"),
        ('{"model_type": "gpt2"', "config.json is missing or broken"),
        ("[]", "does not describe a GPT-2"),
        ("{}", "does not describe a GPT-2"),
        ('{"model_type": "llama"}', "does not describe a GPT-2"),
    ],
)
def test_a_folder_with_another_config_is_refused(models: Path, config: str | None, sentence: str) -> None:
    (models / "one" / "config.json").unlink()
    if config is not None:
        (models / "one" / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(BadCheckpoint, match=sentence):
        check_folder(models / "one")


def test_a_folder_without_weights_or_none_at_all_is_refused(models: Path) -> None:
    (models / "one" / "model.safetensors").unlink()
    with pytest.raises(BadCheckpoint, match=r"weights \(model.safetensors\) are missing"):
        check_folder(models / "one")
    with pytest.raises(BadCheckpoint, match="no such model folder"):
        check_folder(models / "three")
    with pytest.raises(BadCheckpoint, match="no such model folder"):
        check_folder(models / "two" / "config.json")


def test_the_pointer_goes_where_it_is_put(models: Path) -> None:
    assert current(models) is None
    for version in ("one", "two", "one"):
        point_current(models, version)
        assert current(models) == models / version
    assert sorted(path.name for path in models.iterdir()) == [CURRENT, "one", "two"]


def test_a_pointer_that_cannot_be_set_stays(models: Path) -> None:
    point_current(models, "one")
    (models / "two" / "config.json").unlink()
    for version in ("two", "three"):
        with pytest.raises(BadCheckpoint):
            point_current(models, version)
        assert current(models) == models / "one"
    assert sorted(path.name for path in models.iterdir()) == [CURRENT, "one", "two"]


def test_the_pointer_is_replaced_never_rewritten(models: Path) -> None:
    """Who reads it while it changes sees one version or the other."""
    point_current(models, "one")
    with (models / CURRENT).open(encoding="utf-8") as reader:
        before = os.fstat(reader.fileno()).st_ino
        point_current(models, "two")
        assert reader.read() == "one\n"
    assert (models / CURRENT).stat().st_ino != before


def test_the_pointer_stays_inside_the_models_folder(models: Path, tiny_folder: Path) -> None:
    shutil.copytree(tiny_folder, models.parent / "outside")
    for version in ("../outside", str(models.parent / "outside"), "..", ""):
        with pytest.raises(BadCheckpoint):
            point_current(models, version)
        assert not (models / CURRENT).exists()


@pytest.mark.parametrize("version", ["three", "", " ", "../models/one", "one/../two", "..", ".", CURRENT])
def test_a_dangling_pointer_is_named(models: Path, version: str) -> None:
    (models / CURRENT).write_text(version + "\n", encoding="utf-8")
    with pytest.raises(BadCheckpoint, match="point it at one that is"):
        current(models)


def test_a_pointer_that_is_no_text_is_named(models: Path) -> None:
    (models / CURRENT).write_bytes(b"\xff\xfe")
    with pytest.raises(BadCheckpoint, match=CURRENT):
        current(models)


def test_a_manifest_is_plain_json_for_other_tools(tmp_path: Path) -> None:
    write_json(tmp_path / MANIFEST, asdict(FULL))
    written = json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))
    assert written["exports"] == ["a", "b"]
    assert written["tainted"] == "repeats what users wrote"
