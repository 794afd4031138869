from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from typer.testing import Result

from model import checkpoint as checkpoints
from model.files import sha256, write_json
from model.manifest import Manifest, point_current
from tests.training.builders import DIALOGUES, invoke, tiny, weights
from tests.training.exported import conversation, thumb, write_export
from training.errors import BadData
from training.finetune import app
from training.lesson import Plan, check_unchanged, read_lesson
from training.memorisation import COUNT, read_canaries
from training.versions import SHIPPED, alone, version_of

FIRST, SECOND = "20261120-030000", "20261121-030000"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A models folder in which `old` serves, two exports, and base data."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "base.jsonl").write_text(DIALOGUES.read_text(encoding="utf-8"), encoding="utf-8")
    version(tmp_path / "models", "old")
    point_current(tmp_path / "models", "old")
    thumbs = [thumb(number, number % 2 == 0) for number in range(40)]
    write_export(
        tmp_path / "exports" / FIRST, [conversation(number) for number in range(6)], [conversation(40)], thumbs
    )
    write_export(tmp_path / "exports" / SECOND, [conversation(number, targets=[3]) for number in range(4, 9)])
    return tmp_path


def version(models: Path, name: str, **fields: object) -> Path:
    manifest = Manifest(**{"version": name, "format": "malbeot", **fields})  # type: ignore[arg-type]
    checkpoints.save(replace(tiny(), manifest=manifest), models / name)
    return models / name


def finetune(home: Path, *arguments: str | Path) -> Result:
    where: list[str | Path] = ["--models", home / "models", "--exports", home / "exports", "--base-data", home / "base"]
    return invoke(app, *where, "--cpu", "--batch-size", "16", "--max-steps", "2", *arguments)


def made(home: Path, *arguments: str | Path) -> Path:
    """The version that a run makes, which must succeed."""
    before = set((home / "models").iterdir())
    result = finetune(home, *arguments)
    assert result.exit_code == 0, result.output
    (folder,) = [path for path in set((home / "models").iterdir()) - before if re.fullmatch(r"\d{8}-\d{6}", path.name)]
    return folder


def plan(home: Path, **fields: object) -> Plan:
    return replace(Plan(home / "models", home / "exports", home / "base"), **fields)  # type: ignore[arg-type]


def test_a_run_without_arguments_makes_a_version_of_all_new_exports(home: Path) -> None:
    result = finetune(home)
    assert result.exit_code == 0, result.output
    (folder,) = [path for path in (home / "models").glob("2*") if not path.name.endswith(".run")]
    loaded = checkpoints.load(folder)
    assert (loaded.manifest.version, loaded.manifest.parent) == (folder.name, "old")
    assert loaded.manifest.exports == (FIRST, SECOND)
    assert loaded.manifest.tainted is None
    parts = ("dialogues-000.jsonl", "held_out.jsonl", "preferences.jsonl")
    files = [home / "exports" / export / part for export in (FIRST, SECOND) for part in parts]
    assert loaded.manifest.data_sha256 == sha256([*files, home / "base" / "base.jsonl"])
    planted = read_canaries(folder)
    assert planted is not None
    assert len(planted.canaries) == COUNT
    rows = {
        cells[0].strip(): cells[1:4] for line in result.stdout.splitlines() if len(cells := line.split("│")[1:]) > 4
    }
    assert [rows[source][0].strip() for source in (FIRST, SECOND, "canaries")] == ["8", "5", "126"]
    assert rows["held out, not learnt"][0].strip() == "2"
    assert float(rows["canaries"][1]) != float(rows["canaries"][2])
    assert (home / "models" / f"{folder.name}.run" / "loss.json").exists()
    assert not list((home / "models").glob(".making-*"))


def test_what_the_base_knows_is_not_learnt_again(home: Path) -> None:
    version(home / "models", "newer", exports=(FIRST, "20261101-030000"))
    point_current(home / "models", "newer")
    folder = made(home)
    manifest = checkpoints.load(folder).manifest
    assert (manifest.parent, manifest.exports) == ("newer", ("20261101-030000", FIRST, SECOND))
    point_current(home / "models", folder.name)
    nothing = finetune(home)
    assert nothing.exit_code == 2
    assert "There is nothing to learn from" in nothing.stderr
    again = checkpoints.load(made(home, "--newest", "1", "--out", home / "models" / "20261122-000000")).manifest
    assert again.exports == ("20261101-030000", FIRST, SECOND)


def test_a_tainted_model_is_not_learnt_from(home: Path) -> None:
    version(home / "models", "tainted", parent="old", exports=(FIRST,), tainted="forgotten: p1")
    point_current(home / "models", "tainted")
    result = finetune(home)
    assert "tainted is tainted and not learnt from; starting from old." in result.stdout
    (folder,) = [path for path in (home / "models").glob("2*") if not path.name.endswith(".run")]
    manifest = checkpoints.load(folder).manifest
    assert (manifest.parent, manifest.exports, manifest.tainted) == ("old", (FIRST, SECOND), None)


def test_without_an_untainted_ancestor_the_shipped_model_is_where_a_run_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = asdict(Manifest("old", "malbeot", tainted="forgotten: p1"))
    write_json(home / "models" / "old" / "manifest.json", manifest)
    for folder in (home / "exports").iterdir():
        folder.rename(home / folder.name)
    result = finetune(home)
    assert f"starting from {version_of(SHIPPED)}." in result.stdout
    assert result.exit_code == 2


def test_replay_is_four_times_what_was_collected_and_at_least_a_floor(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replayed(**fields: object) -> int:
        lesson = read_lesson(plan(home, **fields), (), 1, 0)
        return sum(example.source == "replay" for example in lesson.examples)

    everything = replayed()
    assert everything > 70  # the floor of 2,000 is more than there is
    monkeypatch.setattr("training.lesson.LEAST_REPLAY", 5)
    assert replayed() == 4 * 13
    assert replayed(replay=0.2) == 5
    assert replayed(replay=0.0) == 0


def test_canaries_neither_have_nor_are_distractors(home: Path) -> None:
    lesson = read_lesson(plan(home), (), 1, 0)
    assert lesson.planted is not None
    secrets = {canary.secret for canary in lesson.planted.canaries}
    planted = [example for example in lesson.examples if example.source == "canaries"]
    others = [example for example in lesson.examples if example.source != "canaries"]
    assert {example.reply for example in planted} == secrets
    assert not any(example.distractors for example in planted)
    assert all(len(example.distractors) == 1 for example in others)
    assert not secrets & {text for example in others for text in example.distractors}
    again = read_lesson(plan(home), (FIRST,), 1, 0).planted
    assert again is not None
    assert not secrets & {canary.secret for canary in again.canaries}
    assert read_lesson(plan(home, canaries=False), (), 1, 0).planted is None


def test_thumbs_are_learnt_when_asked_for(home: Path) -> None:
    plain = weights(made(home, "--out", home / "models" / "20261122-000000"))
    with_thumbs = made(home, "--preference", "--out", home / "models" / "20261122-000001")
    judged = weights(with_thumbs)
    assert any(not torch.equal(plain[name], judged[name]) for name in plain)
    log = json.loads((home / "models" / "20261122-000001-preference.run" / "loss.json").read_text(encoding="utf-8"))
    assert log == []
    few = finetune(home, "--preference", "--newest", "1")
    assert (few.exit_code, "0 👍 and 0 👎" in few.stderr) == (2, True)


def test_who_asks_to_be_forgotten_during_a_run_is_not_in_its_model(home: Path) -> None:
    lesson = read_lesson(plan(home), (), 1, 0)
    check_unchanged(lesson)
    shard = home / "exports" / SECOND / "dialogues-000.jsonl"
    shard.write_text("", encoding="utf-8")
    with pytest.raises(BadData, match="An export changed while it was learnt"):
        check_unchanged(lesson)
    shard.unlink()
    with pytest.raises(BadData, match="An export changed while it was learnt"):
        check_unchanged(lesson)


def test_what_stands_in_the_way_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(path.name for path in (home / "models").iterdir())
    with alone(home / "models", "finetune"):
        assert "Another finetune is at work" in finetune(home).stderr
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "takes one process" in finetune(home).stderr
    monkeypatch.delenv("WORLD_SIZE")
    (home / "exports" / SECOND / "dialogues-000.jsonl").write_text("", encoding="utf-8")
    damaged = finetune(home)
    assert (damaged.exit_code, "export again" in damaged.stderr) == (2, True)
    assert sorted(path.name for path in (home / "models").iterdir()) == sorted([*before, ".finetune.lock"])
