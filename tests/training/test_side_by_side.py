from __future__ import annotations

import pytest

from training.side_by_side import print_side_by_side


def rows(text: str) -> list[list[str]]:
    """The cells of each printed line of the table."""
    return [[cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]] for line in text.splitlines()]


def test_measures_are_rows_and_systems_columns(capsys: pytest.CaptureFixture[str]) -> None:
    figures: dict[str, dict[str, float | None]] = {
        "mine": {"f1": 0.12345, "examples": 1234},
        "[bold]": {"f1": None, "examples": 0},
    }
    print_side_by_side("own.jsonl", figures, {"f1": "shared", "examples": "replies"})
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].strip() == "own.jsonl"
    assert [row for row in rows(printed) if row] == [
        ["measure", "mine", "[bold]", "of what"],
        ["f1", "0.123", "none", "shared"],
        ["examples", "1,234", "0", "replies"],
    ]


def test_no_name_and_no_number_is_cut_however_many_systems_there_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = ["nearest question", *(f"a-variant-with-a-long-name-{number}" for number in range(12))]
    meaning = "replies in the speech level asked for, of those that show one"
    print_side_by_side("own.jsonl", {name: {"level": 123456.789} for name in names}, {"level": meaning})
    head, first, *more = [row for row in rows(capsys.readouterr().out) if row]
    assert head == ["measure", *names, "of what"]
    assert first[:-1] == ["level", *["123,456.789"] * 13]
    assert " ".join(row[-1] for row in [first, *more]) == meaning
