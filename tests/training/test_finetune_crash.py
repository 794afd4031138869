"""Kill -9 at thirty points of fine-tuning and promotion: a whole model serves, whatever was under way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model import checkpoint as checkpoints
from model.manifest import Manifest, current, point_current
from tests.training.builders import DIALOGUES, tiny
from tests.training.exported import conversation, write_export
from training.versions import read_decisions


def prepare(home: Path) -> None:
    """Versions a and b, of which a serves, more outside the models folder, an export and base data."""
    places = [home / "models" / name for name in "ab"]
    places += [home / "outside" / name for name in ("first", *(f"v{number}" for number in range(30)))]
    for place in places:
        checkpoints.save(replace(tiny(), manifest=Manifest(place.name, "malbeot")), place)
    point_current(home / "models", "a")
    (home / "base").mkdir()
    more = "".join(json.dumps(conversation(number), ensure_ascii=False) + "\n" for number in range(400, 460))
    (home / "base" / "base.jsonl").write_text(DIALOGUES.read_text(encoding="utf-8") + more, encoding="utf-8")
    write_export(home / "exports" / "20261120-030000", [conversation(number) for number in range(6)])


@pytest.mark.slow
def test_kill_minus_nine_leaves_a_whole_model_serving(tmp_path: Path) -> None:
    prepare(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.crashing", str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads((tmp_path / "outcome.json").read_text(encoding="utf-8"))
    errors = (tmp_path / "errors").read_text(encoding="utf-8")
    assert (found["first"], found["last"]) == ([0, 0, 0], [0, 0]), errors[-3000:]
    assert len(found["kills"]) == 30
    assert {kill["task"] for kill in found["kills"]} == {"finetune", "promote"}
    # A run may be done before its time has come, but not before one of its writes.
    assert all(kill["killed"] for kill in found["kills"] if kill["write"])
    assert sum(kill["killed"] for kill in found["kills"]) >= 24
    assert len({kill["serves"] for kill in found["kills"]}) >= 2
    models = tmp_path / "models"
    folder = current(models)
    assert folder is not None
    assert read_decisions(models)[-1].candidate == folder.name
    # The last two runs went through and cleared away what the killed ones had left.
    left = [path.name for path in models.iterdir() if path.name.startswith((".making", ".copying"))]
    assert left == []
    assert not [path for path in models.glob("2*.run") if not path.with_suffix("").exists()]
    for version in models.iterdir():
        if version.is_dir() and not version.name.endswith(".run"):
            checkpoints.load(version)
