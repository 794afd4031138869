"""What all importers promise, whatever their format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.training.importers.samples import SAMPLES
from training.errors import BadData
from training.importers import IMPORTERS, Imported, get_importer

NAMES = sorted(IMPORTERS)

# The fields of all JSON formats, so that made-up documents get past the first check.
FIELDS = (
    st.sampled_from(["train", "valid", "personality", "utterances", "candidates", "history", "persona", "dialogue"])
    | st.sampled_from(["data", "body", "utterance", "participantID", "turns", "speaker", "text", "speech", "source"])
    | st.sampled_from(["index", "domain", "user_utterance", "system_utterance"])
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.sampled_from(["user", "bot", "a", "b", "안녕", "", "null", "\ud800"])
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4), max_leaves=20
)


def test_every_importer_has_a_sample() -> None:
    assert sorted(SAMPLES) == NAMES


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadData, match=r"There is no importer 'kakao'; choose one of aihub-sns, .*, xpersona\."):
        get_importer("kakao")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encoding_and_line_ends_do_not_matter(tmp_path: Path, name: str, encoding: str, end: str) -> None:
    sample = SAMPLES[name]
    path = tmp_path / sample.name
    path.write_bytes(sample.read_text(encoding="utf-8").replace("\n", end).encode(encoding))
    assert IMPORTERS[name](path) == IMPORTERS[name](sample)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "content", [b"", b" \n\n", b"\x89PNG\r\n\x1a\n\0\0", b"hello", b"{}", b"[]", b"[{}]", b"a,b,c\n1,2,3\n", b'"\n']
)
def test_a_file_of_no_use_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "useless.file"
    path.write_bytes(content)
    with pytest.raises(BadData, match=r"useless\.file: .*expected "):
        IMPORTERS[name](path)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadData, match=r"nothing\.json: there is no such file; expected "):
        IMPORTERS[name](tmp_path / "nothing.json")


def imported_or_refused(name: str, path: Path) -> None:
    try:
        imported = IMPORTERS[name](path)
    except BadData:
        return
    assert isinstance(imported, Imported)
    assert imported.dialogues


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_are_imported_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / f"bytes-{name}"
    sample = SAMPLES[name].read_bytes()
    start = data.draw(st.integers(0, len(sample)))
    path.write_bytes(
        sample[:start] + data.draw(st.binary(max_size=60)) + sample[start + data.draw(st.integers(0, 60)) :]
    )
    imported_or_refused(name, path)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(value=VALUES)
def test_any_json_is_imported_or_refused(tmp_path_factory: pytest.TempPathFactory, name: str, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / f"json-{name}"
    path.write_text(json.dumps(value), encoding="utf-8")
    imported_or_refused(name, path)
    path.write_text(json.dumps([value]), encoding="utf-8")
    imported_or_refused(name, path)
    path.write_text(json.dumps({"data": [value], "train": [value]}), encoding="utf-8")
    imported_or_refused(name, path)
