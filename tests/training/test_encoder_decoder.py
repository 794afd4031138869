from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.dialogue import DialogueContext, Finish, Role, Sampling, Source, SpeechLevel, Turn
from model.gpt2 import IGNORED
from model.tokenizer import load_tokenizer, train_tokenizer
from tests.training.builders import TEXTS, invoke, talk
from training import encoder_decoder as commands
from training.corpora import write_dialogues
from training.encoder_decoder import Baseline, Pair, as_pair

FOODS = ("김밥", "라면", "순대", "냉면", "국수", "만두", "튀김", "호떡")


class Watched(Baseline):
    """Counts the tokens of every batch it makes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, width=32, layers=1)
        self.batches: list[int] = []

    def collate(self, pairs: Sequence[Pair]) -> dict[str, Tensor]:
        self.batches.append(sum(len(pair.source) + len(pair.target) for pair in pairs))
        return super().collate(pairs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer.json."""
    path = tmp_path_factory.mktemp("tokenizer")
    lines = [f"{food} 먹을래? {food} 좋아요!" for food in FOODS]
    train_tokenizer([*TEXTS, *lines] * 4, vocab_size=400).save_pretrained(str(path))
    return path


@pytest.fixture
def baseline(folder: Path) -> Baseline:
    torch.manual_seed(0)
    return Baseline(folder, width=32, layers=1)


def asked(text: str, level: SpeechLevel | None = SpeechLevel.HAEYO) -> DialogueContext:
    return DialogueContext(turns=(Turn(Role.USER, text),), speech_level=level)


def pairs(baseline: Baseline) -> list[Pair]:
    """64 of them: a whole batch."""
    return [as_pair(baseline.chat_format, asked(f"{food} 먹을래?"), f"{food} 좋아요!") for food in FOODS] * 8


def test_a_pair_is_level_and_last_turn_and_the_reply_with_its_end(baseline: Baseline) -> None:
    chat_format = baseline.chat_format
    pair = as_pair(chat_format, asked("김밥 먹을래?"), "좋아요!")
    assert pair.target == (*chat_format.text_ids("좋아요!"), chat_format.eos_id)
    assert pair.source[-len(chat_format.text_ids("김밥 먹을래?")) :] == tuple(chat_format.text_ids("김밥 먹을래?"))
    turns = (Turn(Role.USER, "다른 말"), Turn(Role.BOT, "네?"), Turn(Role.USER, "김밥 먹을래?"))
    longer = DialogueContext(("나는 부산에 산다.",), turns, SpeechLevel.HAEYO)
    assert as_pair(chat_format, longer, "좋아요!") == pair
    sources = {as_pair(chat_format, asked("김밥 먹을래?", level), "네").source for level in (*SpeechLevel, None)}
    assert len(sources) == 3


def test_long_texts_are_cut_and_the_reply_still_ends(baseline: Baseline) -> None:
    pair = as_pair(baseline.chat_format, asked("김밥 먹을래? " * 100), "좋아요! " * 100)
    assert len(pair.target) == 64
    assert pair.target[-1] == baseline.chat_format.eos_id
    assert 64 <= len(pair.source) < 80
    assert math.isfinite(baseline.nats([pair])[0][0])


def test_a_batch_is_padded_where_there_is_nothing(baseline: Baseline) -> None:
    batch = baseline.collate([Pair((5, 6, 7), (8,)), Pair((9,), (10, 11))])
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["input_ids"].tolist() == [[5, 6, 7], [9, baseline.pad, baseline.pad]]
    assert batch["labels"].tolist() == [[8, IGNORED], [10, 11]]


def test_padding_is_the_tokenizers_own_and_not_the_end(baseline: Baseline, folder: Path) -> None:
    assert baseline.pad == load_tokenizer(folder).pad_token_id
    assert baseline.pad != baseline.chat_format.eos_id


def test_likelihoods_are_of_each_answer_alone(baseline: Baseline) -> None:
    learnt = pairs(baseline)[:8]
    together = baseline.nats(learnt)
    alone = [baseline.nats([pair])[0] for pair in learnt]
    assert [nats for nats, _ in together] == pytest.approx([nats for nats, _ in alone], rel=1e-4)
    assert [tokens for _, tokens in together] == [len(pair.target) for pair in learnt]
    chance = math.log(baseline.model.config.vocab_size)
    assert together[0][0] / together[0][1] == pytest.approx(chance, rel=0.2)


def test_training_makes_the_answers_likelier(baseline: Baseline, tmp_path: Path) -> None:
    learnt = pairs(baseline)
    before = sum(nats for nats, _ in baseline.nats(learnt[:8]))
    seen = baseline.train(learnt, 90 * sum(len(pair.source) + len(pair.target) for pair in learnt), tmp_path, 0)
    after = sum(nats for nats, _ in baseline.nats(learnt[:8]))
    assert after < before / 2
    assert seen > 0


@pytest.mark.parametrize("passes", [1, 3])
def test_about_the_tokens_asked_for_are_seen(folder: Path, tmp_path: Path, passes: int) -> None:
    baseline = Watched(folder)
    learnt = pairs(baseline)
    one_pass = sum(len(pair.source) + len(pair.target) for pair in learnt)
    told = baseline.train(learnt, round(one_pass * passes * 1.1), tmp_path, 0)
    assert told == one_pass * passes
    assert baseline.batches[:passes] == [one_pass] * passes
    assert len(baseline.batches) == passes


def test_no_tokens_are_one_step(folder: Path, tmp_path: Path) -> None:
    baseline = Watched(folder)
    assert baseline.train(pairs(baseline), 1, tmp_path, 0) == baseline.batches[0]


def test_a_reply_is_written_to_each_context_the_same_for_the_same_seed(baseline: Baseline) -> None:
    contexts = [asked("김밥 먹을래?"), asked("라면 먹을래? 순대도 있어요"), asked("만두?", None)]
    sampling = Sampling(candidates=1, max_new_tokens=6, seed=3)
    written = baseline.write(contexts, sampling)
    assert len(written) == 3
    assert {reply.source for reply in written} == {Source.GENERATOR}
    assert written == baseline.write(contexts, sampling)
    assert Finish.LENGTH in {reply.finish for reply in written}, "an untrained model seldom ends"


def test_the_command_measures_what_it_trained(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "morpheme_splitter", lambda: lambda texts: [text.split() for text in texts])
    dialogues = [
        talk(f"{food} {number}개 먹을래?", f"{food} {number}개 좋아요!") for food in FOODS for number in range(3)
    ]
    write_dialogues(dialogues, tmp_path / "own.jsonl")
    out = tmp_path / "figures.json"
    result = invoke(
        commands.app,
        *("--train", tmp_path / "own.jsonl", "--data", tmp_path / "own.jsonl", "--tokenizer", folder, "--json", out),
        *("--tokens", "500", "--width", "16", "--layers", "1", "--examples", "4"),
    )
    assert result.exit_code == 0
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["tokens"] > 0
    assert figures["parameters"] > 1000
    assert 0 < figures["bits_per_character"] < 100
    assert 0 <= figures["hits_at_1_lm"] <= 1
