from __future__ import annotations

import hashlib
import json
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model.files import replace_folder, sha256, write_json, write_text


def names(folder: Path) -> list[str]:
    """Everything in a folder, temporary files included."""
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def full_disk(free_bytes: int) -> Iterator[None]:
    """Writing more than `free_bytes` to one file fails, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_text_and_json_are_read_back(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "안녕\n둘째 줄 😀")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "안녕\n둘째 줄 😀"
    write_json(tmp_path / "a.json", {"둘": [1, None], "가": "나"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"가": "나", "둘": [1, None]}
    assert "가" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert names(tmp_path) == ["a.json", "a.txt"]


def test_other_users_may_read_what_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "x")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


def test_a_reader_who_has_the_old_file_open_reads_it_to_its_end(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with (tmp_path / "a.txt").open(encoding="utf-8") as reader:
        write_text(tmp_path / "a.txt", "new")
        assert reader.read() == "old"
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with full_disk(1000), pytest.raises(OSError, match="File too large"):
        write_text(tmp_path / "a.txt", "new" * 100_000)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["a.txt"]


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "짝 없는 \ud83d")
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.txt", {"object": object()})
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_place_that_cannot_be_written_is_an_error_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "missing" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_text(tmp_path / "folder", "x")
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == []


def make_folder(path: Path, **contents: str) -> Path:
    path.mkdir()
    for name, content in contents.items():
        (path / name).write_text(content, encoding="utf-8")
    return path


def test_a_folder_takes_the_place_of_another_whole(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "folder", both="old", gone="old")
    replace_folder(make_folder(tmp_path / "new", both="new", come="new"), folder)
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == {"both": "new", "come": "new"}
    assert names(tmp_path) == ["folder"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_a_folder_may_be_the_first_at_its_place(tmp_path: Path) -> None:
    replace_folder(make_folder(tmp_path / "new", a="x"), tmp_path / "folder")
    assert names(tmp_path / "folder") == ["a"]
    assert names(tmp_path) == ["folder"]


def test_a_new_folder_that_is_not_there_leaves_the_old_one(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "folder", a="old")
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "missing", folder)
    assert (folder / "a").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["folder"]


def test_the_hash_is_of_all_contents_in_order(tmp_path: Path) -> None:
    blocks = [os.urandom((1 << 20) + 1), b"", b"end"]
    paths = [tmp_path / str(number) for number in range(3)]
    for path, block in zip(paths, blocks, strict=True):
        path.write_bytes(block)
    assert sha256(paths) == hashlib.sha256(b"".join(blocks)).hexdigest()
    assert sha256(paths[::-1]) == hashlib.sha256(b"".join(blocks[::-1])).hexdigest()
    assert sha256([]) == hashlib.sha256().hexdigest()
