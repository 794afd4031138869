from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BartForConditionalGeneration, PreTrainedTokenizerFast
from typer.testing import Result

from model.dialogue import DialogueContext, Finish, Role, Sampling, Source, SpeechLevel, Turn
from model.errors import BadCheckpoint
from model.gpt2 import IGNORED
from model.tokenizer import load_tokenizer, train_tokenizer
from tests.training.builders import TEXTS, invoke, talk
from training import encoder_decoder as commands
from training.corpora import write_dialogues
from training.encoder_decoder import LEARNT, Baseline, Pair, as_pair

FOODS = ("김밥", "라면", "순대", "냉면", "국수", "만두", "튀김", "호떡")


class Watched(Baseline):
    """Counts the tokens of every batch it makes."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, model: BartForConditionalGeneration) -> None:
        super().__init__(tokenizer, model)
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
    return Baseline.new(folder, width=32, layers=1)


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
    (likelihood,) = baseline.likelihoods([pair])
    assert math.isfinite(likelihood.nats)
    assert (likelihood.tokens, likelihood.complete) == (64, False)


def test_an_answer_that_just_fits_is_whole(baseline: Baseline) -> None:
    fits = "가 " * 21
    assert len(baseline.chat_format.text_ids(fits)) == 63
    whole, cut = (as_pair(baseline.chat_format, asked("김밥?"), text) for text in (fits, fits + "가"))
    assert (len(whole.target), whole.complete) == (64, True)
    assert (len(cut.target), cut.complete) == (64, False)


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
    together = baseline.likelihoods(learnt)
    alone = [baseline.likelihoods([pair])[0] for pair in learnt]
    in_batches = baseline.likelihoods(learnt, batch_size=3)
    nats = [likelihood.nats for likelihood in together]
    assert nats == pytest.approx([likelihood.nats for likelihood in alone], rel=1e-4)
    assert nats == pytest.approx([likelihood.nats for likelihood in in_batches], rel=1e-4)
    assert [likelihood.tokens for likelihood in together] == [len(pair.target) for pair in learnt]
    assert all(likelihood.complete for likelihood in together)
    chance = math.log(baseline.model.config.vocab_size)
    assert together[0].nats / together[0].tokens == pytest.approx(chance, rel=0.2)


def test_scores_that_are_not_numbers_are_told(baseline: Baseline) -> None:
    with torch.no_grad():
        baseline.model.model.shared.weight.fill_(math.nan)
    with pytest.raises(BadCheckpoint, match="not numbers"):
        baseline.likelihoods(pairs(baseline)[:1])


def nats_of(baseline: Baseline, learnt: Sequence[Pair]) -> float:
    return sum(likelihood.nats for likelihood in baseline.likelihoods(learnt))


def test_training_makes_the_answers_likelier(baseline: Baseline, tmp_path: Path) -> None:
    learnt = pairs(baseline)
    before = nats_of(baseline, learnt[:8])
    seen = baseline.train(learnt, 90 * sum(len(pair.source) + len(pair.target) for pair in learnt), tmp_path, 0)
    assert nats_of(baseline, learnt[:8]) < before / 2
    assert seen > 0


@pytest.mark.parametrize("passes", [1, 3])
def test_about_the_tokens_asked_for_are_seen(folder: Path, tmp_path: Path, passes: int) -> None:
    baseline = Watched.new(folder, width=32, layers=1)
    learnt = pairs(baseline)
    one_pass = sum(len(pair.source) + len(pair.target) for pair in learnt)
    told = baseline.train(learnt, round(one_pass * passes * 1.1), tmp_path, 0)
    assert told == one_pass * passes
    assert baseline.batches[:passes] == [one_pass] * passes
    assert len(baseline.batches) == passes


def test_no_tokens_are_one_step(folder: Path, tmp_path: Path) -> None:
    baseline = Watched.new(folder, width=32, layers=1)
    assert baseline.train(pairs(baseline), 1, tmp_path, 0) == baseline.batches[0]


def test_a_reply_is_written_to_each_context_the_same_for_the_same_seed(baseline: Baseline) -> None:
    contexts = [asked("김밥 먹을래?"), asked("라면 먹을래? 순대도 있어요"), asked("만두?", None)]
    sampling = Sampling(candidates=1, max_new_tokens=6, seed=3)
    written = baseline.write(contexts, sampling)
    assert len(written) == 3
    assert {reply.source for reply in written} == {Source.GENERATOR}
    assert written == baseline.write(contexts, sampling)
    assert Finish.LENGTH in {reply.finish for reply in written}, "an untrained model seldom ends"


def test_what_is_loaded_writes_and_scores_as_what_was_saved(baseline: Baseline, tmp_path: Path) -> None:
    saved = tmp_path / "new" / "baseline"
    baseline.save(saved, tokens=77)
    assert [path.name for path in saved.parent.iterdir()] == ["baseline"], "nothing half written is left"
    parameters = sum(weight.numel() for weight in baseline.model.parameters())
    assert json.loads((saved / LEARNT).read_text(encoding="utf-8")) == {"parameters": parameters, "tokens": 77}
    loaded = Baseline.load(saved)
    contexts = [asked(f"{food} 먹을래?") for food in FOODS]
    sampling = Sampling(candidates=1, max_new_tokens=6, seed=3)
    assert loaded.write(contexts, sampling) == baseline.write(contexts, sampling)
    assert loaded.likelihoods(pairs(loaded)[:8]) == baseline.likelihoods(pairs(baseline)[:8])
    assert loaded.pad == baseline.pad


def test_another_is_replaced_whole_or_not_at_all(
    baseline: Baseline, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "baseline"
    baseline.save(saved, tokens=1)
    other = Baseline.new(folder, width=16, layers=1)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(commands, "write_json", interrupted)
        with pytest.raises(KeyboardInterrupt):
            other.save(saved, tokens=2)
    assert list(tmp_path.iterdir()) == [saved]
    assert Baseline.load(saved).model.config.d_model == 32
    other.save(saved, tokens=2)
    assert Baseline.load(saved).model.config.d_model == 16


def test_a_folder_that_is_no_baseline_is_told(baseline: Baseline, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="holds no encoder-decoder; give what"):
        Baseline.load(folder)
    baseline.save(tmp_path / "baseline", tokens=1)
    (tmp_path / "baseline" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(BadCheckpoint, match="the weights cannot be read"):
        Baseline.load(tmp_path / "baseline")


def test_weights_that_lack_a_part_are_told(baseline: Baseline, tmp_path: Path) -> None:
    baseline.save(tmp_path, tokens=1)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.decoder.layers.0.fc1.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadCheckpoint, match="lack 1 parts"):
        Baseline.load(tmp_path)


def command(folder: Path, data: Path, out: Path) -> Result:
    return invoke(
        commands.app,
        *("--train", data, "--tokenizer", folder, "--out", out),
        *("--tokens", "500", "--width", "16", "--layers", "1"),
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    dialogues = [
        talk(f"{food} {number}개 먹을래?", f"{food} {number}개 좋아요!") for food in FOODS for number in range(3)
    ]
    write_dialogues(dialogues, tmp_path / "own.jsonl")
    return tmp_path / "own.jsonl"


def test_the_command_saves_what_it_trained(folder: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "baseline"
    assert command(folder, data, out).exit_code == 0
    assert set(tmp_path.iterdir()) == {data, out}
    learnt = json.loads((out / LEARNT).read_text(encoding="utf-8"))
    assert learnt["tokens"] > 0
    loaded = Baseline.load(out)
    assert learnt["parameters"] == sum(weight.numel() for weight in loaded.model.parameters())
    assert (loaded.model.config.d_model, loaded.model.config.encoder_layers) == (16, 1)
    assert command(folder, data, out).exit_code == 0, "an earlier baseline is replaced"


def test_another_folder_is_not_written_over(folder: Path, data: Path, tmp_path: Path) -> None:
    result = command(folder, data, tmp_path)
    assert result.exit_code == 2
    assert "give a folder that is not there yet" in result.stderr
    assert data.exists()
