from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.training.importers.samples import FIXTURES, SAMPLES, write
from training.importers import IMPORTERS
from training.importers.__main__ import app
from training.importers.jsonl import import_jsonl

runner = CliRunner()


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_what_is_written_reads_back_the_same(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.jsonl"
    result = runner.invoke(app, [name, str(SAMPLES[name]), "--out", str(out)])
    assert result.exit_code == 0
    assert import_jsonl(out).dialogues == IMPORTERS[name](SAMPLES[name]).dialogues


def test_counts_and_problems_of_several_files(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    bad = write(tmp_path, "bad.csv", "Q,A,label\n안녕,응,0\n둘,뿐\n")
    result = runner.invoke(app, ["songys", str(FIXTURES / "songys.csv"), str(bad), "--out", str(out)])
    assert result.exit_code == 0
    assert result.stdout == f"{out}: 4 dialogues, 8 turns; problems: 1.\n"
    assert result.stderr == f"{bad}: line 3: the line does not hold the three fields Q,A,label\n"


def test_at_most_twenty_problems_are_shown(tmp_path: Path) -> None:
    source = write(tmp_path, "bad.csv", "Q,A,label\n안녕,응,0\n" + "둘,뿐\n" * 23)
    result = runner.invoke(app, ["songys", str(source), "--out", str(tmp_path / "out.jsonl")])
    shown = result.stderr.splitlines()
    assert (result.exit_code, len(shown), shown[-1]) == (0, 21, "and 3 more")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["kakao", str(FIXTURES / "songys.csv")], "There is no importer 'kakao'; choose one of aihub-sns, "),
        (
            ["songys", "nothing.csv"],
            "nothing.csv: there is no such file; expected a CSV file with the header Q,A,label.",
        ),
        (["songys", str(FIXTURES / "songys.csv"), str(FIXTURES / "keti.txt")], "the header is not Q,A,label"),
    ],
)
def test_bad_data_is_one_sentence_and_nothing_is_written(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("before")
    result = runner.invoke(app, [*arguments, "--out", str(out)])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    assert out.read_text() == "before"


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("missing/out.jsonl", "missing/out.jsonl: the file cannot be written (No such file or directory)"),
        ("out.csv", "out.csv: dialogues are written as JSONL"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, out: str, sentence: str) -> None:
    result = runner.invoke(app, ["songys", str(FIXTURES / "songys.csv"), "--out", str(tmp_path / out)])
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
