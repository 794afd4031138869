from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model import finder as finders
from model.dialogue import Source
from model.errors import BadCheckpoint
from model.finder import CHARACTERS, VECTORS_NEAR, Finder
from model.listener import GENERAL
from model.retriever import Fit
from tests.model.embedders import BigramEmbedder, identity_ranker, stored_lines
from tests.model.finders import (
    FACTS,
    PETS,
    Judge,
    asked,
    reader_weights,
)


def write_folder(folder: Path) -> Path:
    """A talk, and a listening class, as the project keeps them."""
    turns = [{"speaker": "user", "text": "점심 뭐 먹을까요?"}, {"speaker": "bot", "text": "김밥 어때요?"}]
    (folder / "listening").mkdir(parents=True)
    said, replies = ["우리 강아지 너무 귀여워"], {"해요체": ["귀여워라!"]}
    record = {"topic": "pets", "act": "proud", "said": said, "replies": replies}
    for path, content in (
        ("talks.jsonl", {"speech": "해요체", "turns": turns}),
        ("listening/pets.jsonl", record),
    ):
        (folder / path).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def lend_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put vectors, ranker and readers made here in the place of those that ship."""
    np.savez(folder / "ranker.npz", **identity_ranker())  # type: ignore[arg-type]  # numpy's stub has its own option
    np.savez(folder / "reader.npz", **reader_weights())  # type: ignore[arg-type]
    np.savez(folder / "acts.npz", acts=np.array(["plans"]), weight=np.zeros((384, 1)), bias=np.zeros(1))
    monkeypatch.setattr(finders, "ACT_READER", folder / "acts.npz")
    monkeypatch.setattr(finders, "VECTORS", stored_lines(folder / "vectors.npz", ["점심 뭐 먹을까요?"]))
    monkeypatch.setattr(finders, "DUAL_ENCODER", folder / "ranker.npz")
    monkeypatch.setattr(finders, "FACT_READER", folder / "reader.npz")
    monkeypatch.setattr(finders, "load_embedder", lambda threads: BigramEmbedder())


def test_a_folder_is_loaded_with_all_that_works_on_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lend_files(tmp_path, monkeypatch)
    lookup = Finder.load(write_folder(tmp_path / "data"))
    food, *_ = lookup.nearest(asked("점심 뭐 먹을까요?"), 5)
    assert food.text == "김밥 어때요?"
    assert food.confidence == pytest.approx(VECTORS_NEAR(1.0), abs=0.01)
    pets, *_ = lookup.nearest(asked("우리 강아지 너무 귀여워"), 5)
    assert (pets.text, pets.source) == ("귀여워라!", Source.LISTENER)
    name, *_ = lookup.nearest(asked("이름이 뭐예요?", persona=FACTS), 5)
    assert name.source is Source.PERSONA
    assert lookup.scores(asked("점심"), ["점심", "저녁"]) is not None


def test_given_entries_take_the_place_of_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lend_files(tmp_path, monkeypatch)
    lookup = Finder.load(write_folder(tmp_path / "data"), entries=[PETS])
    assert lookup.nearest_dialogue(asked("점심 뭐 먹을까요? 우리 강아지")) == PETS.reply


def test_a_loaded_folder_is_judged_by_the_reranker_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lend_files(tmp_path, monkeypatch)
    folder = write_folder(tmp_path / "data")
    record = {"topic": GENERAL, "act": "plans", "said": ["산에 가려고"], "replies": {"해요체": ["좋은 계획이네요."]}}
    (folder / "listening" / "general.jsonl").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    judge = Judge({"귀여워라!": Fit(0.7, 0.7), "좋은 계획이네요.": Fit(0.8, 0.8)})
    lookup = Finder.load(folder, reranker=lambda: judge)
    first, second, third = lookup.nearest(asked("점심 뭐 먹을까요?"), 5)
    assert [first.text, second.text, third.text] == ["좋은 계획이네요.", "귀여워라!", "김밥 어때요?"]
    without = Finder.load(folder, reranker=lambda: None).nearest(asked("점심 뭐 먹을까요?"), 5)
    assert [match.text for match in without] == ["김밥 어때요?", "귀여워라!"]


def test_without_sentence_vectors_no_reranker_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lend_files(tmp_path, monkeypatch)
    monkeypatch.setattr(finders, "load_embedder", lambda threads: None)
    loaded: list[Judge] = []

    def load() -> Judge:
        loaded.append(Judge({}))
        return loaded[-1]

    Finder.load(write_folder(tmp_path / "data"), reranker=load)
    assert loaded == []


@pytest.mark.parametrize("missing", ["package", "vectors"])
def test_without_sentence_vectors_near_lines_are_found_by_their_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    lend_files(tmp_path, monkeypatch)
    if missing == "package":
        monkeypatch.setattr(finders, "load_embedder", lambda threads: None)
    else:
        monkeypatch.setattr(finders, "VECTORS", tmp_path / "none.npz")
    lookup = Finder.load(write_folder(tmp_path / "data"))
    (match,) = lookup.nearest(asked("점심 뭐 먹을까요?"), 5)
    assert match.text == "김밥 어때요?"
    assert match.confidence == pytest.approx(CHARACTERS(1.0), abs=1e-4)
    heard = lookup.nearest(asked("우리 강아지 너무 귀여워"), 5)
    assert Source.LISTENER not in {match.source for match in heard}
    assert lookup.scores(asked("점심"), ["점심"]) is None


@pytest.mark.parametrize("name", ["vectors", "ranker", "reader", "acts"])
def test_a_damaged_file_is_told_and_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    lend_files(tmp_path, monkeypatch)
    (tmp_path / f"{name}.npz").write_bytes(b"")
    with pytest.raises(BadCheckpoint, match=rf"{name}\.npz"):
        Finder.load(write_folder(tmp_path / "data"))
