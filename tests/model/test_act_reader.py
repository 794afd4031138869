from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.act_reader import ActReader
from model.dialogue import DialogueContext
from model.errors import BadCheckpoint
from tests.model.builders import user_last
from tests.model.embedders import WAYS_TO_DAMAGE, Array, BigramEmbedder, FixedEmbedder, damaged, no_lines

ACTS = ["계획", "후회", "자랑"]
# One number an act.
PLANE = FixedEmbedder({"내일 산에 가": (0.8, 0.6, 0), "가지 말 걸": (0, 1, 0), "내가 일등이야": (0, 0.6, 0.8)})


def weights(*biases: float) -> tuple[Array, Array]:
    weight = np.zeros((384, 3), np.float32)
    weight[:3] = np.eye(3)
    return weight, np.array(biases or (0.0, 0.0, 0.0), np.float32)


def reader(*biases: float) -> ActReader:
    return ActReader(ACTS, *weights(*biases), no_lines(PLANE))


def asked(*texts: str) -> DialogueContext:
    return DialogueContext((), user_last(*texts))


@pytest.mark.parametrize(
    ("text", "acts"),
    [
        ("내일 산에 가", ["계획", "후회", "자랑"]),
        ("가지 말 걸", ["후회", "계획", "자랑"]),
        ("내가 일등이야", ["자랑", "후회", "계획"]),
    ],
)
def test_the_likeliest_acts_come_first(text: str, acts: list[str]) -> None:
    assert list(reader().acts(asked(text), 3, ACTS)) == acts
    assert list(reader().acts(asked(text), 1, ACTS)) == acts[:1]
    assert list(reader().acts(asked(text), 9, ACTS)) == acts
    assert list(reader().acts(asked(text), 0, ACTS)) == []


def test_a_common_act_is_likelier() -> None:
    assert list(reader(0.0, 0.3, 0.0).acts(asked("내일 산에 가"), 2, ACTS)) == ["후회", "계획"]


def test_the_newest_turn_alone_is_read() -> None:
    embedder = BigramEmbedder()
    ActReader(ACTS, *weights(), no_lines(embedder)).acts(asked("가지 말 걸", "그랬어?", "내일 산에 가"), 2, ACTS)
    assert embedder.embedded == ["내일 산에 가"]


@pytest.mark.parametrize("said", ["", "   ", "ㅋㅋㅋ", "...", "😀"])
def test_where_no_word_is_said_nothing_is_done(said: str) -> None:
    assert list(reader().acts(asked("내일 산에 가", "그래", said), 3, ACTS)) == []


def test_without_a_turn_nothing_is_done() -> None:
    assert reader().acts(DialogueContext(("나는 산다.",)), 3, ACTS) == {}


def saved(path: Path, *lost: str) -> Path:
    weight, bias = weights(0.0, 0.3, 0.0)
    stored = {"acts": np.array(ACTS), "weight": weight.astype(np.float16), "bias": bias.astype(np.float16)}
    np.savez(path, **{name: value for name, value in stored.items() if name not in lost})  # type: ignore[arg-type]
    return path


def test_a_file_gives_what_its_weights_find(tmp_path: Path) -> None:
    loaded = ActReader.load(saved(tmp_path / "a.npz"), no_lines(PLANE))
    found = loaded.acts(asked("내일 산에 가"), 3, ACTS)
    assert list(found) == ["후회", "계획", "자랑"]
    assert {type(act) for act in found} == {str}


@pytest.mark.parametrize("how", WAYS_TO_DAMAGE)
def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, how: str) -> None:
    path = damaged(saved(tmp_path / "a.npz"), how)
    with pytest.raises(BadCheckpoint, match=r"a\.npz cannot be read .*training\.act_reader\.$"):
        ActReader.load(path, no_lines())


@pytest.mark.parametrize("lost", ["acts", "weight", "bias"])
def test_a_file_without_one_of_the_parts_is_refused(tmp_path: Path, lost: str) -> None:
    with pytest.raises(BadCheckpoint, match=lost):
        ActReader.load(saved(tmp_path / "a.npz", lost), no_lines())
