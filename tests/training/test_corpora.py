from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.dialogue import Role, SpeechLevel, Turn
from model.files import sha256
from tests.training.importers.samples import FIXTURES, lines, write
from training.corpora import Corpus, load_dialogues, load_texts, write_dialogues
from training.errors import BadData
from training.examples import Dialogue
from training.importers import Problem

TALK = '{"source": "%s", "turns": [{"speaker": "user", "text": "안녕"}, {"speaker": "bot", "text": "응"}]}\n'


def sources(corpus: Corpus) -> list[str]:
    return [dialogue.source for dialogue in corpus.dialogues]


def test_specs_are_read_in_their_order() -> None:
    specs = [f"songys:{FIXTURES / 'songys.csv'}", str(FIXTURES / "own.jsonl")]
    corpus = load_dialogues(specs)
    assert sources(corpus) == ["songys"] * 3 + ["jsonl", "novel", "jsonl"]
    assert corpus.files == (FIXTURES / "songys.csv", FIXTURES / "own.jsonl")
    assert len(sha256(corpus.files)) == 64


@pytest.mark.parametrize("prefix", ["", "jsonl:"])
def test_a_folder_stands_for_its_jsonl_files_by_name(tmp_path: Path, prefix: str) -> None:
    write(tmp_path, "b.jsonl", TALK % "b")
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress((TALK % "a").encode()))
    write(tmp_path, "README.md", "not a corpus")
    (tmp_path / "c").mkdir()
    corpus = load_dialogues([f"{prefix}{tmp_path}"])
    assert sources(corpus) == ["a", "b"]
    assert corpus.files == (tmp_path / "a.jsonl.xz", tmp_path / "b.jsonl")


def test_a_path_may_hold_a_colon(tmp_path: Path) -> None:
    path = write(tmp_path, "a:b.jsonl", TALK % "a")
    assert load_dialogues([str(path)]).files == (path,)
    assert load_dialogues([f"jsonl:{path}"]).files == (path,)


def test_problems_say_in_which_file(tmp_path: Path) -> None:
    path = write(tmp_path, "f.jsonl", TALK % "a" + "[]\n")
    reason = "the line is missing or not a JSON object"
    assert load_dialogues([str(path)]).problems == (Problem(f"{path}: line 2", reason),)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("missing.jsonl", "missing.jsonl: there is no such file"),
        ("songys:missing.csv", "missing.csv: there is no such file"),
        ("kakao:talk.txt", "There is no importer 'kakao'"),
        (
            "talk.csv",
            "talk.csv: the name does not tell the format; write NAME:talk.csv, where NAME is one of aihub-sns",
        ),
        ("", "without a path"),
        ("jsonl:", "without a path"),
        ("x" * 5000, "cannot be read"),
    ],
)
def test_a_spec_of_no_use_is_refused(spec: str, sentence: str) -> None:
    with pytest.raises(BadData, match=sentence):
        load_dialogues([str(FIXTURES / "own.jsonl"), spec])


def test_empty_corpora_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="No corpus is named"):
        load_dialogues([])
    with pytest.raises(BadData, match="the folder holds no"):
        load_dialogues([str(tmp_path)])
    with pytest.raises(BadData, match="the file is empty"):
        load_dialogues([str(write(tmp_path, "f.jsonl", ""))])


WORDS = st.text("가나다라 abc.?!'\"\\,\t", min_size=1).map(str.split).map(" ".join).filter(bool)


@st.composite
def dialogues(draw: st.DrawFn) -> Dialogue:
    texts = draw(st.lists(WORDS.filter(lambda text: len(text) < 4), min_size=2, max_size=6))
    roles = [Role.USER, Role.BOT] * len(texts)
    return Dialogue(
        turns=tuple(Turn(role, text) for role, text in zip(roles, texts, strict=False)),
        persona=tuple(draw(st.lists(WORDS.filter(lambda text: len(text) < 4), max_size=2))),
        speech_level=draw(st.none() | st.sampled_from(SpeechLevel)),
        source=draw(st.sampled_from(["가", "other/한글"])),
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(written=st.lists(dialogues(), min_size=1, max_size=4))
def test_what_is_written_reads_back_the_same(tmp_path_factory: pytest.TempPathFactory, written: list[Dialogue]) -> None:
    path = tmp_path_factory.getbasetemp() / "written.jsonl"
    write_dialogues(written, path)
    assert load_dialogues([str(path)]) == Corpus(tuple(written), (), (path,))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path, "out.jsonl", "before")
    unwritable = Dialogue((Turn(Role.USER, "\ud800"), Turn(Role.BOT, "응")))
    with pytest.raises(UnicodeEncodeError):
        write_dialogues([unwritable], path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="the file cannot be written"):
        write_dialogues([], tmp_path / "missing" / "out.jsonl")
    with pytest.raises(BadData, match=r"choose a name that ends in \.jsonl"):
        write_dialogues([], tmp_path / "out.jsonl.xz")
    assert list(tmp_path.iterdir()) == []


def test_texts_of_json_lines_and_plain_files(tmp_path: Path) -> None:
    long = "긴 글이다. " * 1000
    first = write(
        tmp_path, "a.jsonl", f'{{"text": "첫\\n글", "source": "x"}}\n\n{{"text": " "}}\n{{"text": "{long}"}}\n'
    )
    second = tmp_path / "b.jsonl.xz"
    second.write_bytes(lzma.compress('{"text": "둘째"}\n'.encode()))
    third = tmp_path / "c.txt"
    third.write_bytes("한 문단ㅋㅋㅋㅋㅋ\r\n\r\n또 한 문단".encode("cp949"))
    assert load_texts([first, second, third]) == ["첫 글", long.strip(), "둘째", "한 문단ㅋㅋㅋ", "또 한 문단"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("f.jsonl", "", "f.jsonl: the file is empty"),
        ("f.jsonl", '{"text": ""}\n', "f.jsonl: every text is empty"),
        ("f.jsonl", '{"text": "글"}\n{"turns": []}\n', 'f.jsonl: line 2: "text" is missing or not a string'),
        ("f.jsonl", '{"text": "글"}\n{\n', "f.jsonl: line 2: the line is not JSON"),
        ("f.txt", "글\n\ufffd\n", "f.txt: line 2: the text holds characters that cannot be read"),
        ("f.csv", "글\n", "f.csv: texts are read from files whose names end in"),
    ],
)
def test_texts_of_no_use_are_refused(tmp_path: Path, name: str, content: str, sentence: str) -> None:
    good = write(tmp_path, "good.txt", "글")
    with pytest.raises(BadData, match=sentence):
        load_texts([good, write(tmp_path, name, content)])


def test_missing_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="there is no such file"):
        load_texts([tmp_path / "none.txt"])


def test_turns_of_the_corpus_are_what_the_file_says() -> None:
    assert lines(load_dialogues([f"keti:{FIXTURES / 'keti.csv'}"]).dialogues[0]) == ["U 안녕", "B 안녕하세요"]
