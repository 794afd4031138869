from __future__ import annotations

import getpass
import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import Result

from model import checkpoint as checkpoints
from model.files import write_json
from model.manifest import CANDIDATE, Manifest, current, point_current
from tests.training.builders import DIALOGUES, invoke, tiny
from tests.training.exported import conversation, write_export
from training import versions
from training.corpora import load_dialogues
from training.examples import HELD_OUT_PERCENT, examples_of, split_by_hash, with_distractors
from training.finetune import finetune
from training.gates import HITS_LOSS, Figures, Remembered, fitness, hits_allowance, memory, quality
from training.measure import CHATS, FROZEN, Effort, read_sets
from training.memorisation import Planted, make_canaries, plant, write_canaries
from training.promote import app
from training.trainer import TrainOptions
from training.versions import Decision, read_decisions

LEARN = TrainOptions(max_steps=80, batch_size=16, learning_rate=1e-2, log_steps=80, choice_weight=0.5, cpu=True)
OVERFIT = TrainOptions(epochs=40, batch_size=16, learning_rate=1e-2, log_steps=80, cpu=True)
EXPORT = "20261120-030000"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base data, an export, and checkpoints: new ones know nothing, `better` has learnt, `worse` lost its head."""
    folder = tmp_path_factory.mktemp("workshop")
    (folder / "base").mkdir()
    records = [json.loads(line) for line in DIALOGUES.read_text(encoding="utf-8").splitlines()]
    more = [conversation(number) for number in range(400, 1000)]
    lines = [json.dumps(record, ensure_ascii=False) for record in (*records, *more)]
    (folder / "base" / "base.jsonl").write_text("\n".join(lines), encoding="utf-8")
    held_out = [conversation(number) for number in range(48, 78)]
    write_export(folder / "exports" / EXPORT, [conversation(number) for number in range(48)], held_out)
    checkpoints.save(tiny(), folder / "new")
    kept, _ = split_by_hash(load_dialogues([str(folder / "base")]).dialogues, HELD_OUT_PERCENT)
    examples = [example for dialogue in kept for example in examples_of(dialogue)]
    better = finetune(tiny(), with_distractors(examples, 1, random.Random(0)), folder / "better", LEARN)
    with torch.no_grad():
        better.model.transformer.ln_f.weight.mul_(-2)
    checkpoints.save(replace(better, manifest=Manifest("worse", "malbeot")), folder / "worse")
    return folder


@pytest.fixture
def models(tmp_path: Path, workshop: Path) -> Path:
    """A models folder in which `first` serves."""
    put(workshop / "new", tmp_path / "models" / "first")
    point_current(tmp_path / "models", "first")
    return tmp_path / "models"


def put(checkpoint: Path, folder: Path, **manifest: object) -> Path:
    """Copy a checkpoint, with changes to its manifest."""
    shutil.copytree(checkpoint, folder)
    fields = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    write_json(folder / "manifest.json", fields | {"version": folder.name} | manifest)
    return folder


def promote(workshop: Path, models: Path, candidate: str | Path, *arguments: str) -> Result:
    effort = ["--examples", "20", "--scored", "30", "--samples", "60", "--generations", "20"]
    where: list[str | Path] = ["--models", models, "--exports", workshop / "exports", "--base-data", workshop / "base"]
    return invoke(app, candidate, *where, *effort, *arguments)


def the_pointer(models: Path) -> str:
    folder = current(models)
    assert folder is not None
    checkpoints.load(folder)
    return folder.name


def last_decision(models: Path) -> Decision:
    return read_decisions(models)[-1]


def test_a_better_candidate_from_elsewhere_is_taken(workshop: Path, models: Path) -> None:
    result = promote(workshop, models, workshop / "better")
    assert result.exit_code == 0, result.output
    assert the_pointer(models) == "better"
    taken = last_decision(models)
    assert (taken.candidate, taken.previous, taken.decision) == ("better", "first", "promoted")
    assert taken.who == getpass.getuser()
    assert taken.gates
    assert all(taken.gates.values())
    figures: dict[str, Any] = dict(taken.figures)
    assert set(figures["candidate"]) == {FROZEN, CHATS}
    assert figures["candidate"][FROZEN]["bits_per_character"] < figures["serving"][FROZEN]["bits_per_character"] - 1
    assert "training.rollback" in result.stdout
    assert not list(models.glob(".copying-*"))


@pytest.mark.slow
def test_a_worse_candidate_is_refused_and_may_be_forced(workshop: Path, models: Path) -> None:
    put(workshop / "worse", models / "worse")
    refused = promote(workshop, models, "worse")
    assert refused.exit_code == 1, refused.output
    assert "worse is refused (" in refused.stdout
    assert the_pointer(models) == "first"
    assert last_decision(models).decision == "refused"
    assert not last_decision(models).gates[f"{FROZEN}: bits per character"]
    forced = promote(workshop, models, "worse", "--force", "--why", "a test of the swap")
    assert forced.exit_code == 0, forced.output
    assert the_pointer(models) == "worse"
    taken = last_decision(models)
    assert (taken.decision, taken.why, taken.previous) == ("forced", "a test of the swap", "first")
    assert [each.decision for each in read_decisions(models)] == ["refused", "forced"]


@pytest.mark.slow
def test_a_candidate_on_trial_serves_only_after_another_promotion(workshop: Path, models: Path) -> None:
    put(workshop / "better", models / "better")
    result = promote(workshop, models, "better", "--canary")
    assert result.exit_code == 0, result.output
    assert (the_pointer(models), current(models, CANDIDATE)) == ("first", models / "better")
    assert last_decision(models).decision == "on trial"
    assert promote(workshop, models, "better").exit_code == 0
    assert (the_pointer(models), current(models, CANDIDATE)) == ("better", None)
    point_current(models, "first", CANDIDATE)
    put(workshop / "worse", models / "worse")
    assert promote(workshop, models, "worse", "--canary").exit_code == 1
    assert (the_pointer(models), current(models, CANDIDATE)) == ("better", models / "first")


def test_a_tainted_or_broken_candidate_is_refused_even_if_forced(workshop: Path, models: Path) -> None:
    put(workshop / "better", models / "tainted", tainted="forgotten: p1")
    (put(workshop / "better", models / "broken") / "model.safetensors").write_bytes(b"nothing")
    for name, gate in (("tainted", "not tainted"), ("broken", "loads")):
        result = promote(workshop, models, name, "--force", "--why", "no")
        assert result.exit_code == 1, result.output
        assert last_decision(models).gates[gate] is False
        assert the_pointer(models) == "first"


@pytest.mark.slow
def test_a_candidate_that_gives_its_canaries_away_is_refused(workshop: Path, models: Path) -> None:
    dialogues, planted = plant([], "secret", count=9)
    examples = [example for dialogue in dialogues for example in examples_of(dialogue)]
    made = finetune(tiny(), examples, models / "overfitted", OVERFIT)
    checkpoints.save(replace(made, manifest=replace(made.manifest, exports=(EXPORT,))), models / "overfitted")
    write_canaries(models / "overfitted", planted)
    result = promote(workshop, models, "overfitted")
    assert result.exit_code == 1, result.output
    failed = [name for name, holds in last_decision(models).gates.items() if not holds]
    assert [name for name in failed if name.startswith("canaries extracted")]
    shown = [canary for canary in planted.canaries if f'asked "{canary.prompt}"' in result.stdout]
    assert shown
    assert all(canary.secret in result.stdout for canary in shown)
    assert the_pointer(models) == "first"


@pytest.mark.slow
def test_a_version_of_exports_without_canaries_is_refused(workshop: Path, models: Path) -> None:
    put(workshop / "better", models / "unplanted", exports=[EXPORT])
    assert promote(workshop, models, "unplanted").exit_code == 1
    failed = [name for name, holds in last_decision(models).gates.items() if not holds]
    assert [name.partition(" ")[0] for name in failed] == ["canaries"]
    put(workshop / "better", models / "planted", exports=[EXPORT])
    write_canaries(models / "planted", make_canaries("1", count=6))
    assert promote(workshop, models, "planted").exit_code == 0


def test_the_record_holds_no_words_of_people(workshop: Path, models: Path) -> None:
    promote(workshop, models, workshop / "better")
    text = (models / versions.PROMOTIONS).read_text(encoding="utf-8")
    assert not [turn["text"] for number in range(78) for turn in conversation(number)["turns"] if turn["text"] in text]


def test_what_cannot_be_done_is_told(workshop: Path, models: Path, tmp_path: Path) -> None:
    put(workshop / "new", models / "better")
    told: list[tuple[list[str | Path], str]] = [
        (["first"], "first serves already"),
        (["absent"], "absent: there is no such model folder"),
        ([workshop / "better"], "better is there already"),
        (["better", "--force"], "--force and --why go together"),
        (["better", "--why", "so"], "--force and --why go together"),
        (["better", "--force", "--why", "so", "--canary"], "choose one"),
    ]
    for arguments, sentence in told:
        result = promote(workshop, models, *map(str, arguments))
        assert (result.exit_code, sentence in result.stderr) == (2, True), result.output
    with versions.alone(models, "promotion"):
        assert "Another promotion is at work" in promote(workshop, models, "better").stderr
    assert read_decisions(models) == []


def test_only_held_out_chats_in_a_fair_number_are_measured(workshop: Path, tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    write_export(exports / EXPORT, [conversation(1)], [conversation(number) for number in range(9)])
    sets = read_sets(exports, [EXPORT], Effort(base_data=workshop / "base"))
    assert set(sets.measured) == {FROZEN}
    assert [dialogue.id for dialogue in sets.learnt] == []
    sets = read_sets(workshop / "exports", [], Effort(base_data=workshop / "base"))
    assert set(sets.measured) == {FROZEN, CHATS}
    assert len(sets.measured[CHATS]) == 60
    assert sets.learnt == ()


GOOD = Figures(1000, 200, 4.0, 0.2, 0.98, 0.01, 0.02, 0.0)
WORSE: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"bits_per_character": 4.079}, None),
    ({"bits_per_character": 4.081}, "x: bits per character"),
    ({"hits_at_1": 0.171}, None),
    ({"hits_at_1": 0.169}, "x: hits@1"),
    ({"speech_level": 0.971}, None),
    ({"speech_level": 0.96}, "x: speech level kept"),
    ({"cut_by_limit": 0.04}, "x: cut replies"),
    ({"verbatim_copies": 0.06}, "x: verbatim copies"),
    ({"silent": 0.03}, "x: silent replies"),
    ({"bits_per_character": float("nan")}, "x: bits per character"),
]


@pytest.mark.parametrize(("change", "failed"), WORSE)
def test_gates_of_quality(change: dict[str, Any], failed: str | None) -> None:
    gates = quality("x", GOOD, replace(GOOD, **change))
    assert len(gates) == 6
    assert [gate.name for gate in gates if not gate.holds] == ([failed] if failed else [])


def test_a_few_examples_are_given_their_noise() -> None:
    few = replace(GOOD, ranked=20, hits_at_1=0.1)
    gates = [quality("x", few, replace(few, hits_at_1=share))[-2] for share in (0.05, 0.0)]
    assert [(gate.name, gate.holds) for gate in gates] == [("x: hits@1", True), ("x: hits@1", False)]
    assert hits_allowance(0.2, 2000) == HITS_LOSS


def test_a_speech_level_below_the_mark_need_only_not_fall() -> None:
    weak = replace(GOOD, speech_level=0.8, hits_at_1=None)
    assert all(gate.holds for gate in quality("x", weak, weak))
    fallen = quality("x", weak, replace(weak, speech_level=0.79))
    assert [gate.name for gate in fallen if not gate.holds] == ["x: speech level kept"]


def holding(found: Remembered, exports: Sequence[str]) -> list[bool]:
    return [gate.holds for gate in memory(found, exports)]


def test_gates_of_memory() -> None:
    assert holding(Remembered(54), ["e"]) == [True, True, True]
    assert holding(Remembered(54, extracted=("가나",)), ["e"]) == [False, True, True]
    assert holding(Remembered(54, personal_data=("010",)), ["e"]) == [True, False, True]
    assert holding(Remembered(54, quotations=("말",)), ["e"]) == [True, True, False]
    assert holding(Remembered(None), ["e"]) == [False, True, True]
    assert holding(Remembered(None), []) == [True, True]
    assert [gate.holds for gate in fitness("forgotten", None)] == [False, True]
    assert [gate.holds for gate in fitness(None, "broken")] == [True, False]
    assert isinstance(make_canaries("1"), Planted)
