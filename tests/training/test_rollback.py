from __future__ import annotations

import getpass
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import Result

from model import checkpoint as checkpoints
from model.files import write_json
from model.manifest import CURRENT, Manifest, current, point_current, read_manifest
from tests.training.builders import invoke, tiny
from training.errors import BadData
from training.rollback import app
from training.versions import (
    FORCED,
    PROMOTED,
    PROMOTIONS,
    REFUSED,
    ROLLED_BACK,
    SHIPPED,
    Decision,
    decide,
    decision,
    new_version,
    read_decisions,
    serving_history,
    sweep,
    untainted,
    version_of,
)

SHIPPED_VERSION = version_of(SHIPPED)


def version(models: Path, name: str, parent: str | None = None, tainted: str | None = None) -> Path:
    """A checkpoint in the models folder."""
    made = replace(tiny(), manifest=Manifest(name, "malbeot", parent=parent, tainted=tainted))
    checkpoints.save(made, models / name)
    return models / name


def taint(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest is not None
    write_json(folder / "manifest.json", asdict(replace(manifest, tainted="forgotten: p1")))


def promoted(models: Path, *names: str) -> Path:
    """A models folder in which these served one after another, the shipped model before them."""
    for previous, name in zip((SHIPPED_VERSION, *names), names, strict=False):
        version(models, name)
        decide(models, decision(name, previous, PROMOTED, ""))
        point_current(models, name)
    return models


def roll_back(models: Path, *arguments: str) -> Result:
    return invoke(app, "--models", models, *arguments)


def serving(models: Path) -> str | None:
    folder = current(models)
    return folder.name if folder else None


def test_one_step_back_and_another(tmp_path: Path) -> None:
    models = promoted(tmp_path, "a", "b", "c")
    assert roll_back(models, "--why", "strange replies").exit_code == 0
    assert serving(models) == "b"
    taken = read_decisions(models)[-1]
    assert (taken.candidate, taken.previous, taken.decision) == ("b", "c", ROLLED_BACK)
    assert (taken.who, taken.why) == (getpass.getuser(), "strange replies")
    assert "a serves again, and b no more." in roll_back(models).stdout
    assert serving(models) == "a"
    assert roll_back(models).exit_code == 0
    assert serving(models) is None
    assert read_decisions(models)[-1].candidate == SHIPPED_VERSION
    nothing = roll_back(models)
    assert (nothing.exit_code, "nothing to go back to" in nothing.stderr) == (2, True)
    assert not (models / CURRENT).exists()


def test_tainted_and_lost_versions_are_passed_over(tmp_path: Path) -> None:
    models = promoted(tmp_path, "a", "b", "c", "d")
    taint(models / "c")
    (models / "b" / "model.safetensors").unlink()
    roll_back(models)
    assert serving(models) == "a"


def test_without_a_record_the_shipped_model_is_what_served(tmp_path: Path) -> None:
    version(tmp_path, "a")
    point_current(tmp_path, "a")
    assert roll_back(tmp_path).exit_code == 0
    assert serving(tmp_path) is None


def taken(candidate: str, previous: str, what: str) -> Decision:
    return Decision("2026-11-21T03:00:00+00:00", candidate, previous, what, "root", "")


HISTORIES: list[tuple[list[Decision], str, list[str]]] = [
    ([], "a", ["a"]),
    ([taken("a", "s", PROMOTED), taken("b", "a", REFUSED), taken("c", "a", FORCED)], "c", ["s", "a", "c"]),
    ([taken("a", "s", PROMOTED), taken("b", "a", PROMOTED), taken("a", "b", ROLLED_BACK)], "a", ["s", "a"]),
    # Went back, then on: what was left is not what served before.
    (
        [taken("b", "a", PROMOTED), taken("a", "b", ROLLED_BACK), taken("c", "a", PROMOTED)],
        "c",
        ["a", "c"],
    ),
    # A crash between the record and the pointer: b never served.
    ([taken("a", "s", PROMOTED), taken("b", "a", PROMOTED)], "a", ["s", "a"]),
    # The pointer was set by hand, before the record and after it.
    ([taken("b", "hand", PROMOTED)], "b", ["hand", "b"]),
    ([taken("a", "s", PROMOTED)], "hand", ["s", "a", "hand"]),
    ([taken("a", "s", PROMOTED), taken("b", "hand", PROMOTED)], "b", ["s", "a", "hand", "b"]),
]


@pytest.mark.parametrize(("decisions", "now", "history"), HISTORIES)
def test_who_served_before(decisions: list[Decision], now: str, history: list[str]) -> None:
    assert serving_history(decisions, now) == history


def test_a_broken_record_is_told(tmp_path: Path) -> None:
    (tmp_path / PROMOTIONS).write_text("{}\n", encoding="utf-8")
    with pytest.raises(BadData, match="the record of promotions is broken"):
        read_decisions(tmp_path)


def test_the_nearest_untainted_ancestor(tmp_path: Path) -> None:
    good = version(tmp_path, "good")
    assert untainted(good, tmp_path) == good
    version(tmp_path, "bad", parent="good", tainted="forgotten")
    worse = version(tmp_path, "worse", parent="bad", tainted="forgotten")
    assert untainted(worse, tmp_path) == good
    taint(good)
    assert untainted(worse, tmp_path) == SHIPPED
    assert untainted(version(tmp_path, "orphan", parent="gone", tainted="x"), tmp_path) == SHIPPED
    assert untainted(version(tmp_path, "loop", parent="loop", tainted="x"), tmp_path) == SHIPPED


def test_versions_are_named_by_time(tmp_path: Path) -> None:
    now = datetime(2026, 11, 21, 3, 0, 1, tzinfo=UTC)
    assert new_version(tmp_path, now) == "20261121-030001"
    (tmp_path / "20261121-030001").mkdir()
    assert new_version(tmp_path, now) == "20261121-030001-2"


def test_only_what_killed_runs_left_is_swept(tmp_path: Path) -> None:
    stay = [
        "20261121-030001",
        "20261121-030001.run",
        "20261121-030001-preference.run",
        "mine.run",
        ".cache",
        ".copying-x",
    ]
    go = [".making-abc", "20261121-040000.run", "20261121-040000-2-preference.run"]
    for name in (*stay, *go):
        (tmp_path / name / "inside").mkdir(parents=True)
    sweep(tmp_path, ".making-")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)
