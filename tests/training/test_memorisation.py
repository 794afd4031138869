from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from model.checkpoint import Checkpoint
from model.errors import BadCheckpoint
from tests.training.builders import talk, tiny
from training.examples import Dialogue, examples_of
from training.finetune import finetune
from training.memorisation import (
    CANARIES,
    OVERLAP,
    SOURCE,
    extract,
    make_canaries,
    overlaps,
    personal_data_in,
    plant,
    read_canaries,
    write_canaries,
)
from training.metrics import normalised
from training.trainer import TrainOptions

OVERFIT = TrainOptions(epochs=40, batch_size=16, learning_rate=1e-2, log_steps=20, cpu=True)


def test_at_least_fifty_canaries_at_one_two_and_four_copies() -> None:
    own = [talk("안녕", "안녕하세요.")]
    dialogues, planted = plant(own, "0:20261121-030000")
    assert dialogues[:1] == own
    assert len(planted.canaries) >= 50
    assert Counter(canary.copies for canary in planted.canaries) == {1: 18, 2: 18, 4: 18}
    copies = Counter(dialogue.turns[1].text for dialogue in dialogues[1:])
    assert copies == {canary.secret: canary.copies for canary in planted.canaries}
    assert {dialogue.source for dialogue in dialogues[1:]} == {SOURCE}
    assert all(len(normalised(canary.secret)) == 6 for canary in planted.canaries)


def test_a_seed_gives_its_own_canaries() -> None:
    one, same, other = make_canaries("1"), make_canaries("1"), make_canaries("2")
    assert one == same
    assert not {canary.secret for canary in one.canaries} & {canary.secret for canary in other.canaries}
    assert len({canary.prompt for canary in one.canaries}) == len(one.canaries)


def test_canaries_are_recorded_with_the_checkpoint(tmp_path: Path) -> None:
    assert read_canaries(tmp_path) is None
    planted = make_canaries("7", count=3)
    write_canaries(tmp_path, planted)
    assert read_canaries(tmp_path) == planted
    assert json.loads((tmp_path / CANARIES).read_text(encoding="utf-8"))["seed"] == "7"
    (tmp_path / CANARIES).write_text('{"seed": 1}', encoding="utf-8")
    with pytest.raises(BadCheckpoint, match="the record of canaries is broken"):
        read_canaries(tmp_path)


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A tiny model that has seen nine canaries until it knows them."""
    dialogues, _ = plant([], "secret", count=9)
    examples = [example for dialogue in dialogues for example in examples_of(dialogue)]
    return finetune(tiny(), examples, tmp_path_factory.mktemp("overfitted") / "out", OVERFIT)


def test_an_overfitted_model_gives_its_canaries_away(overfitted: Checkpoint) -> None:
    planted = make_canaries("secret", count=9)
    overfitted.model.train(False)
    found = extract(overfitted, planted.canaries, samples=18, seed=0)
    assert len(found) >= 6
    assert "greedy" in {extraction.how for extraction in found}
    assert all(normalised(extraction.canary.secret) in normalised(extraction.said) for extraction in found)
    assert len({extraction.canary for extraction in found}) == len(found)


def test_others_canaries_cannot_be_got_out(overfitted: Checkpoint) -> None:
    overfitted.model.train(False)
    assert extract(overfitted, make_canaries("another", count=9).canaries, samples=18, seed=0) == []
    assert extract(tiny(), make_canaries("secret", count=9).canaries, samples=18, seed=0) == []
    assert extract(tiny(), (), samples=18, seed=0) == []


def test_personal_data_but_not_what_the_base_data_says() -> None:
    replies = [
        "제 번호는 010-2345-6789예요.",
        "다산콜센터는 02-120-1234로 걸어요.",
        "메일은 minji.k@naver.com",
        "좋아요.",
    ]
    assert personal_data_in(replies, []) == ["010-2345-6789", "02-120-1234", "minji.k@naver.com"]
    assert personal_data_in(replies, ["전화는 02-120-1234"]) == ["010-2345-6789", "minji.k@naver.com"]


LONG = "지난주에 우리 할머니 칠순이라 온 가족이 순천까지 내려가서 갈대밭 걷고 왔어"


def said_by(person: str, text: str = LONG) -> Dialogue:
    return replace(talk(text, "좋았겠어요."), person=person)


def test_quotations_of_few_people() -> None:
    quoting, own = f"{LONG[3 : OVERLAP + 3]} 그랬죠?", f"{LONG[: OVERLAP - 1]}면 좋겠어요."
    assert overlaps([quoting, own, "좋아요."], [said_by("a"), said_by("b")], []) == [quoting]
    assert overlaps([quoting], [said_by(person) for person in "abcde"], []) == []
    assert overlaps([quoting], [said_by("a")] * 9, []) == [quoting]
    assert overlaps([quoting], [said_by("a")], [f"그날 {LONG}"]) == []
