from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model import finder as finders
from model.dialogue import DialogueContext, Role, Sampling, SpeechLevel, Turn
from model.errors import BadCheckpoint
from model.files import sha256
from tests.training.builders import save_tiny, talk
from training import measured
from training.corpora import write_dialogues
from training.encoder_decoder import Baseline
from training.errors import BadOption
from training.examples import HELD_OUT_PERCENT, TrainingExample, is_held_out
from training.measured import (
    RETRIEVAL,
    MeasuredCheckpoint,
    MeasuredEncoderDecoder,
    column_names,
    load_measured,
)


def named(*paths: str) -> list[str]:
    return column_names([Path(path) for path in paths])


def test_a_column_is_called_by_what_tells_its_folder_apart() -> None:
    assert named("runs/ablations/whole/replies", "runs/ablations/no-texts/dialogues", "runs/ablations/untrained") == [
        "whole",
        "no-texts",
        "untrained",
    ]


def test_the_same_names_are_told_apart_by_the_whole_path() -> None:
    assert named("a/whole/replies", "b/whole/replies", "b/untrained") == [
        "a/whole/replies",
        "b/whole/replies",
        "untrained",
    ]
    assert named("a/whole/dialogues", "a/whole/replies") == ["a/whole/dialogues", "a/whole/replies"]
    assert named(f"models/{RETRIEVAL}") == [f"models/{RETRIEVAL}"]


def test_a_folder_given_twice_is_told() -> None:
    with pytest.raises(BadOption, match="models/mine is to be measured twice"):
        named("models/mine", "models/default", "models/mine")


def test_a_name_is_found_in_the_folder_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine" / "replies").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine")
    assert named("replies", "../other") == ["mine", "other"]
    assert named(".") == ["mine"]


def example(text: str, reply: str) -> TrainingExample:
    context = DialogueContext(turns=(Turn(Role.USER, text),), speech_level=SpeechLevel.BANMAL)
    return TrainingExample(context, reply, ("아니.", "그래, 좋아!"))


def test_systems_are_loaded_in_order(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "mine" / "replies")
    Baseline.new(model, width=16, layers=1).save(tmp_path / "classic", tokens=1)
    mine, classic = load_measured([model], encoder_decoder=tmp_path / "classic", batch_size=3)
    assert isinstance(mine, MeasuredCheckpoint)
    assert isinstance(classic, MeasuredEncoderDecoder)
    assert (mine.name, mine.version, mine.format, mine.batch_size) == ("mine", "tiny", "malbeot", 3)
    assert (classic.name, classic.version, classic.format, classic.batch_size) == ("classic", "classic", "malbeot", 3)
    assert (mine.longest_reply, classic.longest_reply) == (128, 128)


def test_what_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="Nothing to measure is named"):
        load_measured([])
    model = save_tiny(tmp_path / "mine")
    with pytest.raises(BadCheckpoint, match="holds no encoder-decoder"):
        load_measured([model], encoder_decoder=model.with_name("other"))
    with pytest.raises(BadOption, match="measured twice"):
        load_measured([model], encoder_decoder=model)


def said(text: str) -> DialogueContext:
    return DialogueContext(turns=(Turn(Role.USER, text),))


def test_retrieval_finds_the_learnt_lines_and_no_held_out_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = {f"{number}번 버스 왔어?": f"{number}번 왔다!" for number in range(100, 200)}
    write_dialogues([talk(opening, reply) for opening, reply in replies.items()], tmp_path / "own.jsonl")
    monkeypatch.setattr(measured, "BASE_DATA", tmp_path)
    monkeypatch.setattr(finders, "load_embedder", lambda threads: None)
    (retrieval,) = load_measured([], retrieval=True)
    assert retrieval.name == RETRIEVAL
    assert retrieval.version == sha256([tmp_path / "own.jsonl"])
    held_out = [opening for opening in replies if is_held_out(opening, HELD_OUT_PERCENT)]
    learnt = [opening for opening in replies if opening not in held_out]
    assert 0 < len(held_out) < 100
    found = retrieval.write([said(opening) for opening in learnt], Sampling())
    assert [candidate.text for candidate in found] == [replies[opening] for opening in learnt]
    found = retrieval.write([said(opening) for opening in held_out], Sampling())
    assert {candidate.text for candidate in found} <= {replies[opening] for opening in learnt}


def test_an_encoder_decoder_loaded_answers_as_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    baseline = Baseline.new(save_tiny(tmp_path / "mine"), width=16, layers=1)
    baseline.save(tmp_path / "classic", tokens=1)
    before = MeasuredEncoderDecoder("before", baseline, "before")
    (loaded,) = load_measured([], encoder_decoder=tmp_path / "classic")
    examples = [example("점심 먹었어?", "응, 먹었어."), example("피곤해", "푹 쉬어!")]
    sampling = Sampling(candidates=1, max_new_tokens=6, seed=3)
    contexts = [each.context for each in examples]
    assert loaded.write(contexts, sampling) == before.write(contexts, sampling)
    assert loaded.likelihoods(examples) == before.likelihoods(examples)
    assert [loaded.scores(each) for each in examples] == [before.scores(each) for each in examples]


def test_an_encoder_decoders_scores_are_means_over_tokens(tmp_path: Path) -> None:
    torch.manual_seed(0)
    system = MeasuredEncoderDecoder("classic", Baseline.new(save_tiny(tmp_path / "mine"), width=16, layers=1), "v")
    asked = example("점심 먹었어?", "응, 아까 김밥 먹었어.")
    found = system.scores(asked)
    alone = [system.likelihoods([example("점심 먹었어?", text)])[0] for text in (asked.reply, *asked.distractors)]
    assert found.next_utterance is None
    assert found.log_likelihood == pytest.approx([-each.nats / each.tokens for each in alone], rel=1e-4)
    assert len({each.tokens for each in alone}) > 1
