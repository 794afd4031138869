from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from bot.safety import abuse
from model.dialogue import Role, Turn
from tests.training.builders import invoke
from training import abuse as training
from training.abuse import CHAT, Figures, Line, learn, measure, read_labelled, sample_chat, split
from training.corpora import write_dialogues
from training.errors import BadData
from training.examples import Dialogue

PLACES = ["서울", "부산", "광주", "대전", "제주", "인천", "울산", "수원", "춘천", "전주"]


def record(text: str, label: str) -> dict[str, str]:
    return {"text": text, "label": label, "source": "comments", "licence": "CC0-1.0"}


def labelled() -> list[dict[str, str]]:
    mean = [record(f"{place} 것들은 다 역겹고 한심하다", "hate") for place in PLACES]
    kind = [record(f"{place} 바다는 참 예쁘고 좋더라", "none") for place in PLACES]
    return [*mean, *kind, record("서울에는 사람이 많다", "safe"), record("서울에는 그런 사람이 많다", "unsafe")]


def as_lines(records: list[dict[str, str]]) -> list[Line]:
    return [Line(item["text"], item["label"], item["source"], item["licence"]) for item in records]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in labelled()), encoding="utf-8")
    return path


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    talks = [
        Dialogue((Turn(Role.USER, f"{place} 잘 다녀왔어?"), Turn(Role.BOT, f"{place}에서 국밥 먹었어")), source="talk")
        for place in PLACES
    ]
    write_dialogues(talks, tmp_path / "talks.jsonl")
    return tmp_path / "talks.jsonl"


def test_what_is_learnt_tells_mean_from_kind() -> None:
    classifier = learn(as_lines(labelled()))
    assert (
        classifier.probability("강릉 것들은 다 역겹고 한심하다") > 0.5 > classifier.probability("강릉 바다는 참 좋더라")
    )


def test_chat_with_curses_and_unsafe_lines_are_not_learnt_from() -> None:
    lines = as_lines(labelled())
    without = [line for line in lines if line.label != "unsafe"]
    cursed = [Line("시발 진짜", CHAT, "chat")]
    assert np.array_equal(learn([*lines, *cursed]).steps, learn(without).steps)


@pytest.mark.parametrize("label", ["none", "hate"])
def test_one_kind_alone_cannot_be_learnt(label: str) -> None:
    with pytest.raises(BadData, match="nothing to tell apart"):
        learn([Line("안녕하세요", label, "comments")])


def test_the_slope_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    found = [abuse.buckets_of(text) for text in ("안녕", "잘 가", "반가워")]
    loss = training._loss(found, np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.2, 0.3]))
    point = rng.normal(size=abuse.BUCKETS + 1)
    _, slope = loss(point)
    for index in [int(found[0][0]), int(found[2][-1]), abuse.BUCKETS]:
        step = np.zeros_like(point)
        step[index] = 1e-4
        estimate = (loss(point + step)[0] - loss(point - step)[0]) / 2e-4
        assert slope[index] == pytest.approx(estimate, rel=1e-4, abs=1e-9)


def test_a_fifth_of_each_kind_is_held_out_and_no_spelling_is_in_both() -> None:
    lines = as_lines(labelled())
    twins = [Line(line.text + "!!", line.label, line.source) for line in lines]
    learnt, held_out = split([*lines, *twins], random.Random(1))
    assert [sum(line.label == label for line in held_out) for label in ("hate", "none", "safe")] == [2, 2, 0]
    assert sorted(line.text for line in learnt + held_out) == sorted(line.text for line in lines)
    assert split(lines, random.Random(1)) == (learnt, held_out)
    assert split(lines, random.Random(2))[1] != held_out


def test_figures() -> None:
    lines = [
        Line("a", "hate", "comments"),
        Line("b", "offensive", "comments"),
        Line("c", "none", "comments"),
        Line("d", "unsafe", "context"),
        Line("e", CHAT, "chat"),
    ]
    scores = {"a": 0.9, "b": 0.6, "c": 0.85, "d": 0.1, "e": 0.0}
    found = {(figures.group, figures.threshold): figures for figures in measure(lines, scores.__getitem__)}
    assert found["comments", 0.5] == Figures("comments", 0.5, 3, 2, 3, 2 / 3, 1.0)
    assert found["comments", 0.8] == Figures("comments", 0.8, 3, 2, 2, 0.5, 0.5)
    assert found["all labelled", 0.5] == Figures("all labelled", 0.5, 4, 3, 3, 2 / 3, 2 / 3)
    assert found["chat", 0.8] == Figures("chat", 0.8, 1, 0, 0, None, None)


def test_chat_is_measured_on_a_sample_of_each_source() -> None:
    lines = [Line(f"{number}", CHAT, source) for source in ("one", "two") for number in range(30)]
    labelled_lines = [Line("x", "hate", "comments")] * 5
    taken = sample_chat([*lines, *labelled_lines], 10, random.Random(0))
    assert [sum(line.source == source for line in taken) for source in ("one", "two", "comments")] == [10, 10, 5]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON"),
        (json.dumps({"text": "안녕", "label": "none", "source": "x"}), '"licence" is missing'),
        (json.dumps(record("안녕", "nice")), "label 'nice' is unknown"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(record("안녕", "none")) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(BadData, match=rf"bad\.jsonl: line 2: .*{problem}"):
        read_labelled(path)


def test_the_command_writes_the_same_file_each_time(data: Path, chat: Path, tmp_path: Path) -> None:
    arguments: list[str | Path] = ["--data", data, "--chat", chat, "--seed", "3"]
    first = invoke(training.app, *arguments, "--out", tmp_path / "one.json")
    invoke(training.app, *arguments, "--out", tmp_path / "two.json")
    assert "comments at 0.5: precision" in first.output
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    about = json.loads((tmp_path / "one.json").read_text(encoding="utf-8"))["about"]
    assert about["sources"] == {"comments": "CC0-1.0", "chat: talks.jsonl": ""}
    assert about["seed"] == 3
    assert abuse.load(tmp_path / "one.json").probability("부산 것들은 다 역겹다") > 0.5


def test_missing_data_is_told(tmp_path: Path) -> None:
    result = invoke(training.app, "--data", tmp_path / "none.jsonl")
    assert result.exit_code == 2
    assert "no such file" in result.output
