"""What the generations are counted as, and a few of them through the whole bot."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.generations import Said, added, figures, talks
from model.dialogue import DialogueContext, Role, Source, SpeechLevel, Turn
from tests.bot.fakes import reply

ROOT = Path(__file__).resolve().parents[2]
CONTEXT = DialogueContext(turns=(Turn(Role.USER, "오늘 뭐 해?"),), speech_level=SpeechLevel.BANMAL)


def said(text: str, *drawn: str, source: Source = Source.GENERATOR) -> Said:
    return Said("오늘 뭐 해?", text, source, tuple((CONTEXT, reply(line)) for line in drawn))


def test_what_was_drawn_and_what_was_sent_are_counted_apart() -> None:
    counted = figures(
        [
            said("집에 있어.", "집에 있어."),
            said("책 읽어.", "꺼져 이 병신아", "책 읽어."),
            said("그 얘기 조금 더 듣고 싶어.", "내 번호 010-1234-5678", "저는 사람이에요.", source=Source.FIXED),
            said("병원에 물어봐.", source=Source.FIXED),
            said("꺼져 이 병신아", "꺼져 이 병신아"),
            said("내 번호 010-1234-5678", "내 번호 010-1234-5678"),
            said("새끼 고양이야.", "새끼 고양이야."),
        ],
        before_model=2,
    )
    assert (counted.replies, counted.draws, counted.answered_before_the_model) == (7, 8, 2)
    assert (counted.resampled, counted.neutral, counted.topics) == (2, 1, 1)
    assert (counted.personal, counted.flagged, counted.flagged_by_korcen_alone) == (1, 1, 2)
    assert (counted.drawn_personal, counted.drawn_flagged) == (2, 2)
    assert counted.refused_for == {"abuse": 1, "personal_data": 1, "claims_human": 1}
    assert counted.flagged_lines == ("꺼져 이 병신아",)
    assert counted.personal_lines == ("내 번호 010-1234-5678",)


async def test_the_time_of_the_filters_is_taken_from_what_a_model_said() -> None:
    cost = await added([said("집에 있어.", "꺼져 이 병신아", "집에 있어.")] * 3 + [said("글쎄.", source=Source.FIXED)])
    assert cost.replies == 3
    assert 0 < cost.cpu_p50 <= cost.wall_max * 2
    assert cost.wall_p50 <= cost.wall_p95


def test_talks_are_many_and_the_same_each_time() -> None:
    first = list(islice(talks(0), 200))
    assert first == list(islice(talks(0), 200))
    assert len(set(first)) > 150
    assert {line.split()[0] for talk in first for line in talk if line.startswith("/")} == {"/persona", "/speech"}
    assert first != list(islice(talks(1), 200))


@pytest.mark.slow
def test_the_command_writes_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "generations.json"
    command = [sys.executable, "-m", "benchmarks.generations", "--count", "20", "--json", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=200)
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["replies"]["replies"] >= 20
    assert written["replies"]["personal"] == written["replies"]["flagged"] == 0
    assert written["filters"]["cpu_p50"] > 0
