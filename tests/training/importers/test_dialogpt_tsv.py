from __future__ import annotations

from pathlib import Path

from tests.training.importers.samples import FIXTURES, lines, write
from training.importers.dialogpt_tsv import import_dialogpt_tsv
from training.importers.records import Problem


def test_with_weights() -> None:
    imported = import_dialogpt_tsv(FIXTURES / "dialogpt.tsv")
    assert [lines(dialogue) for dialogue in imported.dialogues] == [
        ["U 안녕", "B 응 안녕", "U 뭐 해?", "B 그냥 쉬고 있어"],
        ["U 배고파", "B 밥 먹자"],
    ]
    assert imported.problems == (Problem("line 3", "the weight of the target is 0"),)
    assert imported.dialogues[0].source == "dialogpt-tsv"


def test_without_weights_numbers_are_words() -> None:
    imported = import_dialogpt_tsv(FIXTURES / "dialogpt_plain.tsv")
    assert [lines(dialogue) for dialogue in imported.dialogues] == [
        ["U 안녕", "B 반가워"],
        ["U 3 마리 키워?", "B 2 마리야"],
        ["U 안녕", "B 응 안녕", "U 뭐 해?", "B 그냥 쉬고 있어"],
    ]
    assert imported.problems == ()


def test_an_even_number_of_turns_drops_the_first_which_is_the_bots(tmp_path: Path) -> None:
    imported = import_dialogpt_tsv(write(tmp_path, "f.tsv", "왔어? EOS 응\t\n왔어? EOS 응\t잘 왔어\n"))
    assert [lines(dialogue) for dialogue in imported.dialogues] == [["U 응", "B 잘 왔어"]]
    assert [problem.place for problem in imported.problems] == ["line 1"]


def test_bad_lines_are_reported_and_skipped(tmp_path: Path) -> None:
    text = (
        "0.0 안녕\t1.0 응\n0.0 안녕\n0.0 가\t1.0 나\t1.0 다\n"
        "0.0 안녕 EOS 응 EOS 0.0 뭐 해?\t1.0 쉬어\n0.0 밥?\t1.0 네\n0.0\t1.0 네\n"
    )
    imported = import_dialogpt_tsv(write(tmp_path, "f.tsv", text))
    assert [lines(dialogue) for dialogue in imported.dialogues] == [["U 안녕", "B 응"], ["U 밥?", "B 네"]]
    assert imported.problems == (
        Problem("line 2", "the line is not source<TAB>target"),
        Problem("line 3", "the line is not source<TAB>target"),
        Problem("line 4", "a turn does not begin with its weight"),
        Problem("line 6", "no user turn is followed by a bot turn"),
    )
