from __future__ import annotations

import sys

import pytest

from tests.training.chats.samples import at
from training.chats.messages import MAX_CHARACTERS, Chat, Message, Reason
from training.chats.screening import judge, screen
from training.errors import BadOption

# Kiwi takes seconds to load its model.
pytestmark = pytest.mark.slow


def screened(*said: tuple[str, str], names: frozenset[str] = frozenset()) -> list[tuple[str, Reason | None]]:
    """What becomes of (sender, text), "하나" being the importer."""
    chat = Chat("", tuple(Message(sender, at(1), text) for sender, text in said), names)
    return [(line.text, line.dropped) for line in screen(chat, {"하나"})]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.EMPTY),
        ("이제 그만 죽고 싶어", Reason.CRISIS),
        ("가나다 " * 60, Reason.LONG),
        ("이거 봐 https://two.example/a", Reason.LINK),
        ("www.two.example 여기", Reason.LINK),
        ("우리 섹스하자", Reason.SEXUAL),
        ("우리 그냥 사귀자", Reason.SEXUAL),
        ("야 이 개새끼야 꺼져", Reason.ABUSE),
        ("어제 병원에서 당뇨래", Reason.HEALTH),
        ("배고파 죽겠다", None),
        ("오늘 하루 어땠어?", None),
    ],
)
@pytest.mark.parametrize("mine", [True, False])
def test_what_nobody_may_have_said(text: str, reason: Reason | None, mine: bool) -> None:
    assert judge(text, mine) is reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("내 번호 010-1234-5678", Reason.PERSONAL),
        ("국민은행 123456-01-234567 로 보내", Reason.PERSONAL),
        ("3시에 끝나", Reason.TIME),
        ("강남역에서 내려", Reason.PLACE),
        ("내일 보자", Reason.APPOINTMENT),
        ("5000원 냈어", Reason.AMOUNT),
        ("나는 사람이야", Reason.UNFIT),
    ],
)
def test_facts_matter_in_what_is_learnt(text: str, reason: Reason) -> None:
    assert judge(text, mine=True) is reason
    assert judge(text, mine=False) is None


def test_the_length_limit() -> None:
    line = "가나다라마바사아자차" * (MAX_CHARACTERS // 10)
    assert (judge(line, False), judge(f"{line}요", False)) == (None, Reason.LONG)


def test_a_reason_of_the_file_stands_and_its_text_goes() -> None:
    chat = Chat("", (Message("두리", at(1), "비밀", Reason.FORWARDED),))
    assert [(line.text, line.dropped) for line in screen(chat, {"하나"})] == [("", Reason.FORWARDED)]


def test_what_others_write_is_masked() -> None:
    assert screened(("두리", "내 번호는 010-1234-5678이야"), ("두리", "밥\n\n 먹었\u200b어?")) == [
        ("내 번호는 [전화번호]야", None),
        ("밥\n먹었어?", None),
    ]


def test_display_names_go_from_texts_and_lines_of_mine_with_a_name_go() -> None:
    assert screened(
        ("두리 🌷", "하나야 밥 먹었어?"),
        ("세리", "@두리 봤어?"),
        ("하나", "두리는 잘 지내"),
        ("하나", "그럼 다행이다"),
    ) == [
        ("[누구]야 밥 먹었어?", None),
        ("[누구] 봤어?", None),
        ("[누구]는 잘 지내", Reason.NAME),
        ("그럼 다행이다", None),
    ]


def test_given_names_and_other_names_of_the_chat() -> None:
    assert screened(("나두리", "안녕"), ("세리", "두리는 @seri_x 한테 물어봐"), names=frozenset({"seri_x"})) == [
        ("안녕", None),
        ("[누구]는 [누구] 한테 물어봐", None),
    ]


def test_names_that_only_the_tagger_finds() -> None:
    assert screened(("두리", "어제 김민수 만났어"))[0][0].startswith("어제 [누구]")


def test_without_the_tagger_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.safety import names

    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    names._tagger.cache_clear()
    with pytest.raises(BadOption, match=r"pip install 'malbeot\[training\]'"):
        screened(("두리", "안녕"))
