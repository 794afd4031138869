"""The bot under kill -9, and the counting of what it cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.crash import Outcome, crash, outcome

ROOT = Path(__file__).resolve().parents[2]


def test_lost_and_repeated_answers_are_counted() -> None:
    assert outcome(["a", "b", "c"], ["a!", "c!", "c!", "c!", "무슨 말이에요?"], kills=2) == Outcome(3, 1, 2, 2)


@pytest.mark.slow
async def test_five_kills_lose_nothing_on_either_platform() -> None:
    # Slow enough that seldom more than one answer is on its way, also on a machine that does other things.
    platforms = await crash(kills=5, messages=100, pace=0.25)
    assert platforms["discord"] == Outcome(sent=100, lost=0, duplicates=0, kills=5)
    telegram = platforms["telegram"]
    assert (telegram.sent, telegram.lost, telegram.kills) == (100, 0, 5)
    assert telegram.duplicates <= telegram.kills


@pytest.mark.slow
def test_the_command_writes_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "crash.json"
    command = [sys.executable, "-m", "benchmarks.crash", "--kills", "0", "--messages", "61", "--json", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=200)
    figures = {"sent": 61, "lost": 0, "duplicates": 0, "kills": 0}
    assert json.loads(out.read_text(encoding="utf-8")) == {"platforms": {"telegram": figures, "discord": figures}}
