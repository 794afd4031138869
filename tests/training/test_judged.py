from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from model.dialogue import DialogueContext, Role, Source, SpeechLevel, Turn
from model.retriever import Match
from training.errors import BadData
from training.judged import JUDGED, Judged, load_judged

CANDIDATE = {
    "text": "귀엽겠다!",
    "said": "강아지 샀어",
    "nearness": 0.5,
    "source": "listener",
    "sensible": True,
    "specific": False,
}
RECORD = {
    "speech": "반말",
    "persona": ["나는 산다."],
    "turns": [{"speaker": "bot", "text": "뭐 해?"}, {"speaker": "user", "text": "강아지 보는 중"}],
    "candidates": [CANDIDATE],
}


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records), encoding="utf-8")
    return path


def without(record: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


def test_a_conversation_is_read_with_its_candidates(tmp_path: Path) -> None:
    general = {"text": "그래.", "nearness": 1, "general": True, "sensible": True, "specific": True}
    deep = {"text": "왜?", "said": None, "source": "retriever", "deep": True, "sensible": False}
    write(tmp_path / "a.jsonl", RECORD | {"candidates": [CANDIDATE, CANDIDATE | general, CANDIDATE | deep]})
    assert load_judged(tmp_path) == [
        Judged(
            DialogueContext(
                ("나는 산다.",), (Turn(Role.BOT, "뭐 해?"), Turn(Role.USER, "강아지 보는 중")), SpeechLevel.BANMAL
            ),
            (
                Match("귀엽겠다!", 0.5, Source.LISTENER, "강아지 샀어"),
                Match("그래.", 1.0, Source.LISTENER, "강아지 샀어", general=True),
                Match("왜?", 0.5, Source.RETRIEVER, None, deep=True),
            ),
            sensible=(True, True, False),
            specific=(False, True, False),
            development=False,
        )
    ]


def test_files_are_read_in_order_and_nothing_else_is(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", RECORD | {"persona": ["셋"]})
    write(tmp_path / "a.jsonl", RECORD | {"persona": ["하나"]}, RECORD | {"persona": ["둘"], "development": True})
    (tmp_path / "README.md").write_text("no json", encoding="utf-8")
    found = load_judged(tmp_path)
    assert [each.context.persona for each in found] == [("하나",), ("둘",), ("셋",)]
    assert [each.development for each in found] == [False, True, False]


def test_packed_files_are_read_too(tmp_path: Path) -> None:
    plain = write(tmp_path / "b.jsonl", RECORD | {"persona": ["둘"]})
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(plain.read_bytes().replace("둘".encode(), "하나".encode())))
    assert [each.context.persona for each in load_judged(tmp_path)] == [("하나",), ("둘",)]
    (tmp_path / "c.jsonl.xz").write_bytes(b"no xz")
    with pytest.raises(BadData, match=r"c\.jsonl\.xz"):
        load_judged(tmp_path)


@pytest.mark.parametrize("separator", ["\u2028", "\x85"])
def test_only_a_line_feed_ends_a_record(tmp_path: Path, separator: str) -> None:
    """JSON leaves other separators as they are."""
    line = json.dumps(RECORD | {"persona": ["가나"]}, ensure_ascii=False).replace("가나", f"가{separator}나")
    (tmp_path / "a.jsonl").write_text(line + "\n", encoding="utf-8", newline="")
    assert len(load_judged(tmp_path)) == 1


@pytest.mark.parametrize(
    "broken",
    [
        "{not json",
        "[]",
        "3",
        *(without(RECORD, name) for name in ("candidates", "turns", "persona", "speech")),
        *(
            RECORD | {"candidates": [without(CANDIDATE, name)]}
            for name in ("text", "said", "nearness", "source", "sensible", "specific")
        ),
        RECORD | {"speech": "높임"},
        RECORD | {"turns": [{"speaker": "cat", "text": "야옹"}]},
        RECORD | {"turns": ["야옹"]},
        RECORD | {"candidates": [CANDIDATE | {"source": "elsewhere"}]},
        RECORD | {"candidates": [CANDIDATE | {"nearness": "near"}]},
        RECORD | {"candidates": [CANDIDATE | {"nearness": None}]},
        RECORD | {"candidates": 3},
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(tmp_path: Path, broken: str | dict[str, Any]) -> None:
    path = write(tmp_path / "talks.jsonl", RECORD)
    line = broken if isinstance(broken, str) else json.dumps(broken, ensure_ascii=False)
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(BadData, match=r"talks\.jsonl, line 2: "):
        load_judged(tmp_path)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "talks.jsonl").write_bytes(json.dumps(RECORD, ensure_ascii=False).encode("cp949"))
    with pytest.raises(BadData, match=r"talks\.jsonl"):
        load_judged(tmp_path)


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_candidates_is_told(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "data").mkdir()
        write(tmp_path / "data" / "a.jsonl")
    with pytest.raises(BadData, match="data: the folder holds no judged candidates"):
        load_judged(tmp_path / "data")


def test_the_projects_own_are_whole() -> None:
    found = load_judged(JUDGED)
    assert all(each.context.turns and each.context.turns[-1].text.strip() for each in found)
    matches = [match for each in found for match in each.matches]
    assert all(match.text.strip() and -1 <= match.confidence < 1.1 for match in matches)
    assert {match.source for match in matches} == {Source.RETRIEVER, Source.LISTENER, Source.PERSONA}
    # What is about this very line is sensible.
    told = [pair for each in found for pair in zip(each.sensible, each.specific, strict=True)]
    assert sum(specific and not sensible for sensible, specific in told) == 0
    assert 0.1 < sum(sensible for sensible, _ in told) / len(told) < 0.9


def test_no_conversation_for_choosing_a_model_is_learnt_from() -> None:
    found = load_judged(JUDGED)
    learnt, held = ({each.context.turns for each in found if each.development is side} for side in (False, True))
    assert learnt
    assert held
    assert len(held & learnt) == 0
