"""The rules of an export, each by itself, and what they make together."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.messages import Judgement
from bot.safety.health import is_health
from bot.store.sharing import SharedExchange
from model.dialogue import DEFAULT_PERSONA, Source
from tests.training.sharing import LINES, shared
from training.export_content import Content, ExportOptions, prepare
from training.export_dialogues import is_held_out
from training.export_rarity import NearDuplicates, most_of_one_person, repeated_secrets
from training.export_texts import is_learnable, masked, why_unfit


def talk(person: str = "p1", start: int = 0, mark: str = "", **more: Any) -> list[SharedExchange]:
    """The lines of `LINES`, in the hundred of exchanges that begins with `start`."""
    conversation = int(person[1:])
    return [
        shared(start + number, f"{said}{mark}", f"{replied}{mark}", person, conversation_id=conversation, **more)
        for number, (said, replied) in enumerate(LINES)
    ]


def dialogues(content: Content) -> list[dict[str, Any]]:
    """Learnt and held out, as which is which is up to a hash."""
    return [*content.dialogues, *content.held_out]


def texts(record: dict[str, Any]) -> list[str]:
    return [turn["text"] for turn in record["turns"]]


LOOSE = ExportOptions(near_duplicates=100)


def test_a_pause_cuts_a_conversation() -> None:
    before = talk()
    after = [replace(each, at=each.at + timedelta(hours=6, minutes=5)) for each in talk(start=100)]
    same = [replace(each, at=each.at + timedelta(hours=6) - timedelta(minutes=100)) for each in talk(start=100)]
    assert len(dialogues(prepare([*before, *after], LOOSE))) == 2
    assert len(dialogues(prepare([*before, *same], LOOSE))) == 1


def test_other_peoples_lines_do_not_join() -> None:
    content = prepare([*talk("p1", mark=" 하나"), *talk("p2", start=50, mark=" 둘")], LOOSE)
    assert len(dialogues(content)) == 2
    assert all(len({text.split()[-1] for text in texts(record)}) == 1 for record in dialogues(content))


def test_what_is_liked_is_learnt_and_what_is_not_is_not() -> None:
    lines = talk()
    lines[1] = replace(lines[1], judgement=Judgement.DOWN)
    lines[2] = replace(lines[2], source=Source.FIXED)
    lines[4] = replace(lines[4], judgement=Judgement.UP)
    content = prepare(lines, LOOSE)
    (record,) = dialogues(content)
    assert record["targets"] == [1, 7, 9]
    assert record["persona"] == list(DEFAULT_PERSONA)
    labels = {each["reply"]: each["label"] for each in content.preferences}
    assert labels == ({} if content.held_out else {lines[1].replied: False, lines[4].replied: True})
    assert all(texts(each)[-1] in {lines[1].said, lines[4].said} for each in content.preferences)


def trained_talk() -> list[SharedExchange]:
    """A conversation that is not held out."""
    return next(lines for number in range(1, 50) if (lines := talk(f"p{number}")) and prepare(lines, LOOSE).dialogues)


def test_a_correction_is_the_end_of_a_dialogue_of_its_own() -> None:
    lines = trained_talk()
    lines[1] = replace(lines[1], correction="김밥에는 역시 라면이죠!")
    content = prepare(lines, LOOSE)
    whole, gold = sorted(content.dialogues, key=lambda record: -len(record["turns"]))
    assert whole["targets"] == [1, 5, 7]
    assert texts(gold)[-2:] == [lines[1].said, "김밥에는 역시 라면이죠!"]
    assert gold["targets"] == [3]
    assert {each["reply"]: each["label"] for each in content.preferences} == {
        lines[1].replied: False,
        "김밥에는 역시 라면이죠!": True,
    }


def test_a_correction_that_nobody_should_learn_only_says_no() -> None:
    lines = trained_talk()
    lines[1] = replace(lines[1], correction="닥쳐 이 멍청한 새끼야")
    content = prepare(lines, LOOSE)
    assert [record["targets"] for record in content.dialogues] == [[1, 5, 7]]
    assert [(each["reply"], each["label"]) for each in content.preferences] == [(lines[1].replied, False)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("죽고 싶어요 이제 그만 살고 싶어", "crisis"),
        ("씨발 진짜 개새끼네", "abuse"),
        ("우리 키스할래?", "sexual"),
        ("어제 우울증 진단을 받았어요", "health"),
        ("글자가 \ufffd 깨졌어요", "unreadable"),
        ("\u200b", "empty"),
    ],
)
def test_an_exchange_that_is_left_out_cuts_the_dialogue(line: str, reason: str) -> None:
    lines = talk()
    lines[2] = replace(lines[2], said=line)
    content = prepare(lines, LOOSE)
    assert content.dropped[reason] == 1
    found = sorted((texts(record) for record in dialogues(content)), key=str)
    assert found == sorted([[t for e in part for t in (e.said, e.replied)] for part in (lines[:2], lines[3:])], key=str)
    assert lines[2].said_id not in content.turn_ids


@pytest.mark.parametrize(
    "line",
    [
        "암튼 그랬어요",
        "약속이 있어요",
        "약간 추워요",
        "망치질을 했어요",
        "생리가 뭐예요",
        "머리가 아파요",
        "장애물 달리기를 했어요",
    ],
)
def test_everyday_words_are_not_health(line: str) -> None:
    assert not is_health(line)


def test_benign_talk_passes() -> None:
    assert [why_unfit(text) for pair in LINES for text in pair] == [None] * 2 * len(LINES)
    assert all(is_learnable(replied) for _, replied in LINES)


def test_personal_data_and_names_are_masked() -> None:
    lines = [shared(0, "내 번호는 010-1234-5678이야", "지민이랑 연락해요?"), shared(1, "지민이랑 싸웠어", "저런.")]
    found = masked(lines, 5)
    assert [each.said for each in found] == ["내 번호는 [전화번호]야", "[누구]랑 싸웠어"]
    assert found[0].replied == "[누구]랑 연락해요?"


def test_a_name_that_many_write_stays_and_an_echo_does_not_count() -> None:
    def written(people: int, echo: bool) -> list[SharedExchange]:
        reply = "해운대 좋죠." if echo else "좋죠."
        return masked([shared(n, "해운대 갔어요", reply, f"p{n}") for n in range(people)], 5)

    assert "해운대" in written(5, echo=True)[0].said
    assert "해운대" in written(5, echo=True)[0].replied
    assert "해운대" not in written(4, echo=True)[0].said
    assert "해운대" not in written(4, echo=True)[0].replied


def test_a_persona_is_masked_and_one_of_a_group_is_left_out() -> None:
    own = talk(persona=("나는 지민이랑 산다.",))
    (record,) = dialogues(prepare(own, LOOSE))
    assert record["persona"] == ["나는 [누구]랑 산다."]
    content = prepare(talk(persona=("나는 시인이다.",), is_private=False), LOOSE)
    assert content.is_empty
    assert content.dropped == {"persona by somebody in a group": 5}


def test_a_reply_with_something_masked_is_no_target() -> None:
    lines = talk()
    lines[0] = replace(lines[0], replied="010-1234-5678로 전화해요.")
    (record,) = dialogues(prepare(lines, LOOSE))
    assert record["targets"] == [3, 5, 7]
    assert texts(record)[1] == "[전화번호]로 전화해요."


def test_near_duplicates() -> None:
    near = NearDuplicates(2)
    lines = [
        "오늘은 정말 산책하기 좋은 날씨네요.",
        "오늘은 정말 산책하기 좋은 날씨네요!!",
        "오늘은 정말 산책하기 좋은 날씨네요~",
    ]
    assert [near.admit(line) for line in lines] == [True, True, False]
    assert not near.admit("오늘은 정말 산책하기 좋은 날씨네요 ㅎ")
    assert near.admit("내일은 비가 와서 집에 있을래요.")
    assert [NearDuplicates(1).admit(line) for line in ("ㅋ", "!?")] == [True, True]


def test_at_most_two_targets_say_the_same() -> None:
    lines = [each for number in range(4) for each in talk(f"p{number + 1}", start=10 * number)]
    content = prepare(lines, ExportOptions())
    targets = [texts(record)[index] for record in dialogues(content) for index in record["targets"]]
    assert {text: targets.count(text) for text in targets} == dict.fromkeys((r for _, r in LINES[:-1]), 2)
    assert content.dropped == {"dialogues with nothing to learn": 2, "near duplicates": 8}


SECRET = "이 문장은 아주 길어서 여덟 낱말이 넘는 우리만의 비밀 이야기예요"


def test_long_runs_that_few_know_and_that_are_repeated_go() -> None:
    once = [shared(0, SECRET, person="p1"), shared(1, "다른 말", person="p1")]
    assert repeated_secrets(once, 5) == set()
    twice = [*once, shared(2, f"있잖아 {SECRET}", person="p2")]
    assert repeated_secrets(twice, 5) == {1, 5}
    echoed = [*once, shared(2, "응", f"그러니까 {SECRET}", person="p3")]
    assert repeated_secrets(echoed, 5) == {1, 5}
    many = [shared(number, SECRET, person=f"p{number}") for number in range(5)]
    assert repeated_secrets(many, 5) == set()
    bots = [shared(number, "응", SECRET, person="p1") for number in range(3)]
    assert repeated_secrets(bots, 5) == set()


@pytest.mark.parametrize(
    ("counts", "floor", "limit"),
    [
        ({}, 0, 0),
        ({"a": 1000}, 0, 0),
        ({"a": 1000}, 200, 200),
        ({"a": 100}, 200, 100),
        ({str(n): 10 for n in range(20)}, 0, 10),
        ({str(n): 10 for n in range(40)} | {"a": 1000}, 0, 21),
    ],
)
def test_one_person_is_a_part_of_an_export(counts: dict[str, int], floor: int, limit: int) -> None:
    found = most_of_one_person(counts, 0.05, floor)
    assert found == limit
    total = sum(min(count, found) for count in counts.values())
    assert found <= max(0.05 * total, floor)


def test_the_newest_targets_of_a_person_stay() -> None:
    lines = [*talk(mark=" 옛"), *(replace(e, at=e.at + timedelta(days=1)) for e in talk(start=9, mark=" 새"))]
    content = prepare(lines, replace(LOOSE, user_floor=3))
    (record,) = dialogues(content)
    assert texts(record)[0].endswith(" 새")
    assert record["targets"] == [3, 5, 7]
    assert content.dropped == {"beyond one person's share": 5, "dialogues with nothing to learn": 1}
    assert content.turn_ids == {turn_id for each in lines[5:] for turn_id in (each.said_id, each.replied_id)}


def test_a_tenth_is_held_out_with_all_its_parts() -> None:
    lines = [each for number in range(100) for each in talk(f"p{number + 1}", start=10 * number, mark=f" {number}")]
    for each in range(0, len(lines), 5):
        lines[each + 2] = replace(lines[each + 2], said="병원에 갔어", judgement=Judgement.UP)
        lines[each + 4] = replace(lines[each + 4], judgement=Judgement.UP)
    content = prepare(lines, LOOSE)
    held_out, learnt = ({record["person"] for record in records} for records in (content.held_out, content.dialogues))
    assert held_out.isdisjoint(learnt)
    assert held_out.isdisjoint({record["person"] for record in content.preferences})
    assert 3 <= len(held_out) <= 20
    assert len(content.held_out) == 2 * len(held_out)
    assert is_held_out("00000000ffffffff")
    assert len({record["id"] for record in dialogues(content)}) == 200
