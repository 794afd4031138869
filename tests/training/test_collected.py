from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from model.dialogue import DialogueContext, Role, SpeechLevel, Turn
from tests.training.exported import conversation, thumb, write_export
from training.collected import BASE_DATA, Preference, export_folders, new_exports, read_exports, replayed
from training.corpora import load_dialogues
from training.errors import BadData
from training.examples import HELD_OUT_PERCENT, examples_of, split_by_hash
from training.recipe import RECIPES


def test_exports_by_age(tmp_path: Path) -> None:
    names = ["20261121-030000-10", "20261121-030000-2", "20261122-030000", "20261121-030000"]
    for name in [*names, ".20261123-030000.abc", "notes"]:
        (tmp_path / name).mkdir()
    oldest_first = ["20261121-030000", "20261121-030000-2", "20261121-030000-10", "20261122-030000"]
    assert [path.name for path in export_folders(tmp_path)] == oldest_first
    assert [path.name for path in new_exports(tmp_path, oldest_first[:3])] == oldest_first[3:]
    assert [path.name for path in new_exports(tmp_path, oldest_first, newest=2)] == oldest_first[2:]
    assert export_folders(tmp_path / "none") == []


def test_a_conversation_counts_once_as_its_newest_export_has_it(tmp_path: Path) -> None:
    both = thumb(1, True)
    first = write_export(tmp_path / "20261120-030000", [conversation(1), conversation(2), conversation(3)], (), [both])
    changed = conversation(1, turns=conversation(7)["turns"])
    second = write_export(tmp_path / "20261121-030000", [changed], [conversation(3)], [both, thumb(2, False)])
    found = read_exports([first, second])
    assert found.exports == ("20261120-030000", "20261121-030000")
    assert [(d.id, d.source) for d in found.dialogues] == [("c1", second.name), ("c2", first.name)]
    assert "마을" in found.dialogues[0].turns[0].text
    assert [d.id for d in found.held_out] == ["c3"]
    assert [preference.wanted for preference in found.preferences] == [True, False]
    assert {path.name for path in found.files} == {"dialogues-000.jsonl", "held_out.jsonl", "preferences.jsonl"}


def test_targets_are_all_that_is_learnt(tmp_path: Path) -> None:
    corrected = conversation(1, targets=[3])
    nothing = conversation(2, targets=[])
    found = read_exports([write_export(tmp_path / "20261120-030000", [corrected, nothing, conversation(3)])])
    learnt = [[example.reply for example in examples_of(dialogue)] for dialogue in found.dialogues]
    assert [len(replies) for replies in learnt] == [1, 0, 2]
    assert learnt[0] == [corrected["turns"][3]["text"]]


def test_a_preference_is_a_reply_in_its_context(tmp_path: Path) -> None:
    found = read_exports([write_export(tmp_path / "20261120-030000", [], (), [thumb(4, False)])])
    context = DialogueContext((), (Turn(Role.USER, "학교 갈까 4"),), SpeechLevel.HAEYO)
    assert found.preferences == (Preference(context, "몰라요.", False),)
    assert found.dialogues == ()


DAMAGED = [
    ({"label": 1}, '"label" must be true or false'),
    ({"reply": " "}, '"reply" must not be empty'),
    ({"turns": [{"speaker": "bot", "text": "안녕"}]}, "must end with what the user said"),
    ({"turns": [{"speaker": "bots", "text": "안녕"}]}, "the speakers must be"),
]


@pytest.mark.parametrize(("change", "reason"), DAMAGED)
def test_a_broken_preference(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    folder = write_export(tmp_path / "20261120-030000", [], (), [thumb(1, True), thumb(2, True) | change])
    with pytest.raises(BadData, match=f"preferences.jsonl: line 2: .*{re.escape(reason)}.*export again"):
        read_exports([folder])


BROKEN = [
    (conversation(1, targets=[0]), '"targets" must be the indices of bot turns'),
    (conversation(1, targets=["3"]), '"targets" must be the indices of bot turns'),
    (conversation(1, id=None), 'lacks "id" or "person"'),
    (conversation(1, person=None), 'lacks "id" or "person"'),
]


@pytest.mark.parametrize(("record", "reason"), BROKEN)
def test_a_broken_dialogue(tmp_path: Path, record: dict[str, object], reason: str) -> None:
    with pytest.raises(BadData, match=re.escape(reason)):
        read_exports([write_export(tmp_path / "20261120-030000", [conversation(2), record])])


def test_an_export_that_is_not_as_its_manifest_says_is_refused(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "20261120-030000", [conversation(1)], [conversation(2)])
    shard = folder / "dialogues-000.jsonl"
    text = shard.read_text(encoding="utf-8")
    shard.write_text(text.replace("바다", "산골"), encoding="utf-8")
    (folder / "dialogues-001.jsonl").touch()
    with pytest.raises(BadData, match="is not the one that was exported"):
        read_exports([folder])
    shard.write_text(text, encoding="utf-8")
    with pytest.raises(BadData, match=r"dialogues-001\.jsonl: the file is not the one"):
        read_exports([folder])
    (folder / "dialogues-001.jsonl").unlink()
    (folder / "held_out.jsonl").unlink()
    with pytest.raises(BadData, match=r"held_out\.jsonl is missing"):
        read_exports([folder])
    (folder / "manifest.json").unlink()
    with pytest.raises(BadData, match="the manifest is missing or broken"):
        read_exports([folder])


def test_replay_leaves_out_what_models_are_measured_on() -> None:
    """The held-out share is the recipe's: what the shipped model never saw, no later one may."""
    assert RECIPES["default"].held_out_percent == HELD_OUT_PERCENT
    examples, files = replayed(BASE_DATA, 500, random.Random(0))
    assert len(examples) == 500
    assert {example.source for example in examples} == {"replay"}
    assert any(example.context.persona for example in examples)
    assert all(path.parent == BASE_DATA for path in files)
    _, held_out = split_by_hash(load_dialogues([str(BASE_DATA)]).dialogues, HELD_OUT_PERCENT)
    frozen = {dialogue.turns[0].text for dialogue in held_out}
    assert frozen
    assert not frozen & {example.context.turns[0].text for example in examples}
