from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from model.errors import BadCheckpoint
from model.text import clean_text
from model.tokenizer import SPECIAL_TOKENS, load_tokenizer, train_tokenizer
from tests.model.builders import END_OF_TEXT, kogpt2_tokenizer, make_dialogpt, make_kogpt2, repeatable
from tests.model.conftest import TEXTS

TYPED = st.text(st.one_of(st.sampled_from("가힣ㅋㅠ한국어 요.!?<>eos"), st.characters()), max_size=80)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS * 4, vocab_size=400)


@pytest.fixture(scope="module")
def loaded(tiny_folder: Path) -> PreTrainedTokenizerFast:
    return load_tokenizer(tiny_folder)


def decoded(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    return str(tokenizer.decode(ids)).strip()


def ids_of(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids


@repeatable
@given(TYPED)
def test_any_cleaned_text_comes_back(tokenizer: PreTrainedTokenizerFast, typed: str) -> None:
    text = clean_text(typed)
    assert decoded(tokenizer, ids_of(tokenizer, text)) == text


@repeatable
@given(TYPED)
def test_a_saved_tokenizer_gives_the_same_ids(
    tokenizer: PreTrainedTokenizerFast, loaded: PreTrainedTokenizerFast, typed: str
) -> None:
    text = clean_text(typed)
    assert ids_of(loaded, text) == ids_of(tokenizer, text)


def test_the_vocabulary_is_as_large_as_asked_with_the_special_tokens_first(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(tokenizer) == 400
    assert tokenizer.convert_ids_to_tokens(list(range(len(SPECIAL_TOKENS)))) == list(SPECIAL_TOKENS)
    assert set(tokenizer.all_special_tokens) == set(SPECIAL_TOKENS)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<bos>", "<eos>", "<pad>")


def test_what_is_frequent_takes_few_ids(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(ids_of(tokenizer, TEXTS[0])) < len(TEXTS[0])


def test_a_word_has_the_same_ids_wherever_it_stands(tokenizer: PreTrainedTokenizerFast) -> None:
    assert ids_of(tokenizer, "점심 점심") == ids_of(tokenizer, "점심") * 2


@pytest.mark.parametrize("special", SPECIAL_TOKENS)
def test_a_typed_special_token_is_plain_text(
    tokenizer: PreTrainedTokenizerFast, loaded: PreTrainedTokenizerFast, special: str
) -> None:
    for each in (tokenizer, loaded):
        ids = ids_of(each, f"{special} 안녕{special}")
        assert not set(ids) & set(each.all_special_ids)
        assert decoded(each, ids) == f"{special} 안녕{special}"


def test_training_reads_cleaned_text() -> None:
    shouted = train_tokenizer(["와\u200b아아아아아아"] * 8, vocab_size=300)
    assert all("아아아아" not in shouted.decode([token]) for token in range(len(shouted)))


def test_a_tokenizer_json_is_taken_as_it_is(tmp_path: Path) -> None:
    """KoGPT2's is no byte-level one, which is all that transformers expects of a GPT-2."""
    tokenizer = load_tokenizer(make_kogpt2(tmp_path / "kogpt2"))
    for text in TEXTS:
        assert tokenizer.tokenize(text) == kogpt2_tokenizer().encode(text).tokens
        assert decoded(tokenizer, ids_of(tokenizer, text)) == text
    assert len(tokenizer) == 51200
    assert tokenizer.eos_token == "</s>"


def test_vocab_and_merges_do_without_tokenizer_json(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(make_dialogpt(tmp_path / "dialogpt"))
    assert (len(tokenizer), tokenizer.eos_token, tokenizer.eos_token_id) == (50257, END_OF_TEXT, 50256)
    for text in TEXTS:
        assert tokenizer.decode(ids_of(tokenizer, text)) == text
    assert len(ids_of(tokenizer, TEXTS[0])) < len(TEXTS[0])


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"model": {"type": "BPE"}}', "\x00\x01"])
def test_a_broken_tokenizer_is_named(tiny_folder: Path, tmp_path: Path, content: str) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny_folder, folder)
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(BadCheckpoint, match="broken: the tokenizer cannot be read"):
        load_tokenizer(folder)


def test_a_cut_tokenizer_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(tiny_folder, folder)
    whole = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadCheckpoint, match="cut: the tokenizer cannot be read"):
        load_tokenizer(folder)


def test_a_folder_without_a_tokenizer_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    folder.mkdir()
    shutil.copy(tiny_folder / "config.json", folder)
    with pytest.raises(BadCheckpoint, match="none: a fast tokenizer"):
        load_tokenizer(folder)
