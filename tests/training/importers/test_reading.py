from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from training.errors import BadData
from training.importers.reading import csv_records, numbered_lines, parse_document, parse_line, read_text
from training.importers.records import BadRecord

KOREAN = "가나다 똠방각하\n둘째 줄\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(KOREAN.replace("\n", end).encode(encoding))
    assert read_text(path, "words") == KOREAN


def test_big_endian_utf16_is_told_by_its_bom(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(b"\xfe\xff" + KOREAN.encode("utf-16-be"))
    assert read_text(path, "words") == KOREAN


def test_xz_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "f.txt.xz"
    path.write_bytes(lzma.compress(KOREAN.encode("cp949")))
    assert read_text(path, "words") == KOREAN


def test_a_broken_byte_spoils_one_line_and_not_the_encoding(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes("첫째 줄\n".encode() + b"\xff\n" + "셋째 줄\n".encode())
    assert read_text(path, "words") == "첫째 줄\n\ufffd\n셋째 줄\n"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("f.txt", b"", "the file is empty"),
        ("f.txt", "\ufeff \r\n\n".encode(), "the file is empty"),
        ("f.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a text file"),
        ("f.txt", "안녕\0".encode(), "not a text file"),
        ("f.xz", b"no xz", "cannot be read"),
        ("f.xz", lzma.compress(b"words " * 50)[:-20], "cannot be read"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadData, match=rf"{name}: .*{reason}.*; expected words"):
        read_text(path, "words")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="there is no such file; expected words"):
        read_text(tmp_path / "none", "words")
    with pytest.raises(BadData, match="this is a folder, not a file; expected words"):
        read_text(tmp_path, "words")


def test_blank_lines_count_but_are_not_given() -> None:
    assert list(numbered_lines("가\n\n  \n나\u2028다\n")) == [(1, "가"), (4, "나\u2028다")]


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(BadData, match=r"f: this is not JSON .*; expected words"):
        parse_document(text, Path("f"), "words")
    with pytest.raises(BadRecord, match="the line is not JSON"):
        parse_line(text)


def test_a_line_of_json_must_be_an_object() -> None:
    assert parse_line('{"가": 1}') == {"가": 1}
    with pytest.raises(BadRecord, match="not a JSON object"):
        parse_line("[1]")


def test_csv_fields_may_hold_quotes_commas_and_lines() -> None:
    text = 'Q,A\n"가, 나","그는 ""응""\n이라고 했다"\n\n다,라'
    assert list(csv_records(text)) == [(1, ["Q", "A"]), (2, ["가, 나", '그는 "응"\n이라고 했다']), (5, ["다", "라"])]


def test_a_stray_quote_costs_one_line() -> None:
    text = 'Q,A\n"가,나\n"다, 라",마\n"바" 사,아\n' + "자,차\n" * 50
    records = list(csv_records(text))
    assert records[:5] == [(1, ["Q", "A"]), (2, None), (3, ["다, 라", "마"]), (4, None), (5, ["자", "차"])]
    assert len(records) == 54
