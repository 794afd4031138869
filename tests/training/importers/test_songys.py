from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.importers.samples import FIXTURES, lines, write
from training.errors import BadData
from training.importers.records import Problem
from training.importers.songys import import_songys


def test_the_sample() -> None:
    imported = import_songys(FIXTURES / "songys.csv")
    assert imported.problems == ()
    assert [lines(dialogue) for dialogue in imported.dialogues] == [
        ["U 12시 땡!", "B 하루가 또 가네요."],
        ["U 떡볶이, 순대, 튀김", 'B 전부 "맛있는" 것들이네요.'],
        ["U 헤어졌어", "B 많이 힘들겠어요."],
    ]
    assert {dialogue.source for dialogue in imported.dialogues} == {"songys"}


def test_bad_lines_are_reported_and_skipped(tmp_path: Path) -> None:
    text = (
        'Q,A,label\n안녕,반가워요,0\n둘,뿐\n쉼표, 많은, 줄,0\n"열린 따옴표,네,0\n빈 답,,0\n밀린,0,줄\n잘 가,또 봐요,2\n'
    )
    imported = import_songys(write(tmp_path, "f.csv", text))
    assert [lines(dialogue) for dialogue in imported.dialogues] == [["U 안녕", "B 반가워요"], ["U 잘 가", "B 또 봐요"]]
    fields = "the line does not hold the three fields Q,A,label"
    assert imported.problems == (
        Problem("line 3", fields),
        Problem("line 4", fields),
        Problem("line 5", fields),
        Problem("line 6", "no user turn is followed by a bot turn"),
        Problem("line 7", "the label is not 0, 1 or 2"),
    )


@pytest.mark.parametrize("header", ["A,Q,label", "12시 땡!,하루가 또 가네요.,0", '"Q,A,label'])
def test_another_header_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(BadData, match=r"f\.csv: the header is not Q,A,label; expected a CSV file"):
        import_songys(write(tmp_path, "f.csv", f"{header}\n안녕,반가워요,0\n"))
