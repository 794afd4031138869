from __future__ import annotations

from datetime import datetime, timedelta

from model.dialogue import SpeechLevel
from training.chats.messages import Line, Reason
from training.chats.talks import MAX_TURN, Talk, find_talks, numbered

GAP = timedelta(hours=2)
START = datetime(2016, 2, 5, 13, 0)


def lines(*said: tuple[float, str, str | Reason]) -> list[Line]:
    """Lines from (minute, sender, text or why it is dropped); "m" is the importer."""
    return [
        Line(
            sender or None,
            sender == "m",
            START + timedelta(minutes=minute),
            "" if isinstance(text, Reason) else text,
            text if isinstance(text, Reason) else None,
        )
        for minute, sender, text in said
    ]


def find(*said: tuple[float, str, str | Reason]) -> tuple[list[list[str]], list[Reason | None]]:
    talks, reasons = find_talks(lines(*said), GAP)
    assert len(reasons) == len(said)
    return [[f"{'U' if turn.role == 'user' else 'B'} {turn.text}" for turn in talk.turns] for talk in talks], reasons


def test_an_alternating_talk() -> None:
    talks, reasons = find((0, "a", "안녕"), (1, "m", "응"), (2, "a", "뭐 해"), (3, "m", "쉬어"))
    assert (talks, reasons) == ([["U 안녕", "B 응", "U 뭐 해", "B 쉬어"]], [None] * 4)


def test_messages_of_one_breath_are_a_turn() -> None:
    talks, _ = find((0, "a", "안녕"), (5, "a", "뭐 해"), (6, "m", "쉬어"), (7, "m", "너는"))
    assert talks == [["U 안녕 뭐 해", "B 쉬어 너는"]]


def test_who_goes_on_later_begins_afresh() -> None:
    talks, reasons = find(
        (0, "a", "안녕"), (5.1, "a", "뭐 해"), (6, "m", "쉬어"), (12, "m", "심심해"), (13, "a", "나도")
    )
    assert talks == [["U 뭐 해", "B 쉬어"]]
    assert reasons == [Reason.UNANSWERED, None, None, Reason.UNPROMPTED, Reason.UNANSWERED]


def test_a_long_gap_parts_talks() -> None:
    apart, together = find((0, "a", "안녕"), (121, "m", "응")), find((0, "a", "안녕"), (120, "m", "응"))
    assert apart == ([], [Reason.UNANSWERED, Reason.UNPROMPTED])
    assert together == ([["U 안녕", "B 응"]], [None, None])


def test_what_is_dropped_cuts_and_takes_its_breath_along() -> None:
    talks, reasons = find(
        (0, "a", "안녕"),
        (1, "m", "응"),
        (2, "a", "이거 봐"),
        (2, "a", Reason.MEDIA),
        (3, "m", "예쁘다"),
        (4, "a", "그치"),
        (5, "m", "응응"),
    )
    assert talks == [["U 안녕", "B 응"], ["U 그치", "B 응응"]]
    assert reasons == [None, None, Reason.BESIDE, Reason.MEDIA, Reason.UNPROMPTED, None, None]


def test_an_exchange_goes_with_the_answer_that_is_dropped() -> None:
    talks, reasons = find((0, "a", "어디야"), (1, "m", Reason.PLACE), (2, "a", "그래"))
    assert (talks, reasons) == ([], [Reason.UNANSWERED, Reason.PLACE, Reason.UNANSWERED])


def test_stickers_are_no_hole_beside_words_and_one_alone() -> None:
    beside, _ = find((0, "a", "안녕"), (0, "a", Reason.STICKER), (1, "m", Reason.STICKER), (1, "m", "응"))
    alone, _ = find((0, "a", Reason.STICKER), (1, "m", "응"))
    assert (beside, alone) == ([["U 안녕", "B 응"]], [])


def test_notes_of_the_messenger_part_nothing() -> None:
    talks, reasons = find((0, "a", "안녕"), (1, "", Reason.SYSTEM), (2, "m", "응"))
    assert (talks, reasons) == ([["U 안녕", "B 응"]], [None, Reason.SYSTEM, None])


def test_nothing_is_learnt_of_a_talk_with_a_crisis() -> None:
    talks, reasons = find(
        (0, "a", "안녕"),
        (1, "m", "응"),
        (2, "a", Reason.CRISIS),
        (3, "m", Reason.LINK),
        (200, "a", "왔어"),
        (201, "m", "응"),
    )
    assert talks == [["U 왔어", "B 응"]]
    assert reasons == [Reason.CRISIS_TALK, Reason.CRISIS_TALK, Reason.CRISIS, Reason.LINK, None, None]


def test_a_group_keeps_direct_answers_only() -> None:
    talks, reasons = find(
        (0, "a", "누구 있어"), (1, "b", "나"), (2, "m", "나도"), (3, "a", "좋다"), (4, "b", "응"), (5, "a", "자자")
    )
    assert talks == [["U 나", "B 나도"]]
    assert reasons == [Reason.UNANSWERED, None, None, *[Reason.UNANSWERED] * 3]


def test_notes_and_bots_make_no_group() -> None:
    talks, _ = find(
        (0, "bot", Reason.BOT),
        (1, "a", "안녕"),
        (2, "m", "응"),
        (3, "a", "뭐 해"),
        (4, "m", "쉬어"),
        (5, "x", Reason.SYSTEM),
    )
    assert talks == [["U 안녕", "B 응", "U 뭐 해", "B 쉬어"]]


def test_the_speech_level_is_of_the_importers_lines() -> None:
    polite = lines(
        (0, "a", "뭐 해"), (1, "m", "그냥 있었어요"), (1, "m", "너는"), (2, "a", "나도 쉬어"), (3, "m", "ㅋㅋ")
    )
    levels = [talk.speech_level for talk in find_talks(polite, GAP)[0]]
    assert levels == [SpeechLevel.HAEYO]
    assert [talk.speech_level for talk in find_talks(lines((0, "a", "했어요"), (1, "m", "ㅋㅋ")), GAP)[0]] == [None]


def test_an_endless_turn_is_dropped() -> None:
    talks, reasons = find(
        (0, "a", "안녕"), (1, "m", "가" * MAX_TURN), (2, "a", "응"), (3, "m", "가"), (3, "m", "나" * MAX_TURN)
    )
    assert talks == [["U 안녕", f"B {'가' * MAX_TURN}"]]
    assert reasons == [None, None, Reason.UNANSWERED, Reason.LONG, Reason.LONG]


def test_no_lines_no_talks() -> None:
    assert find_talks([], GAP) == ([], [])


def test_people_are_numbered_in_their_order() -> None:
    talks = [Talk(name, (), None) for name in ("두리", "세리", "두리")]
    assert [talk.person for talk in numbered(talks)] == ["person-1", "person-2", "person-1"]
