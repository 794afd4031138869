from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.text import clean_text
from tests.model.builders import repeatable

JOINER = "\u200d"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
# What keyboards, other programs and people up to no good put into a message, beside any other character.
MESSY = st.text(
    st.one_of(
        st.sampled_from(
            "가각힣ㅋㅠㄱㅏᄒ ᅡᆫe\u0301\u0327\u0958\u2126\u200b\u200d\u202e\ufeff\u00ad\t\n\r\x00\x1c\u2028\u3000"
        ),
        st.characters(),
    ),
    max_size=60,
)


@pytest.mark.parametrize(
    ("typed", "cleaned"),
    [
        ("안녕하세요!", "안녕하세요!"),
        ("", ""),
        (" \t\n ", ""),
        ("  안녕 \n\n 뭐\t해?  ", "안녕 뭐 해?"),
        (unicodedata.normalize("NFD", "안녕"), "안녕"),
        ("cafe\u0301", "caf\u00e9"),
        ("안\x00녕\x07하\x7f세요", "안녕하세요"),
        ("안\u200b녕\u200c하\ufeff세\u00ad요", "안녕하세요"),
        ("\u202e요세하녕안\u202c \u2066a\u2069", "요세하녕안 a"),
        ("줄\u2028바꿈\u3000칸\x85끝", "줄 바꿈 칸 끝"),
        ("ㅋㅋㅋㅋㅋㅋㅋㅋ 진짜???????", "ㅋㅋㅋ 진짜???"),
        ("ㅋㅋㅋ ㅋㅋㅋ...", "ㅋㅋㅋ ㅋㅋㅋ..."),
        (f"우리 가족 {FAMILY}", f"우리 가족 {FAMILY}"),
        ("짝 없는 \ud83d 반쪽", "짝 없는 반쪽"),
        ("사용자 정의 \ue000 글자", "사용자 정의 글자"),
    ],
)
def test_what_is_typed_becomes_what_is_read(typed: str, cleaned: str) -> None:
    assert clean_text(typed) == cleaned


@pytest.mark.parametrize("hidden", ["\u200b", "\x00", "\u00ad", "\ufeff", "\ud800"])
def test_letters_meet_when_what_hid_between_them_is_gone(hidden: str) -> None:
    assert clean_text(f"e{hidden}\u0301") == "\u00e9"
    assert clean_text(f"ᄒ{hidden}ᅡ{hidden}ᆫ") == "한"
    assert clean_text(f"ㅋㅋ{hidden}ㅋㅋ") == "ㅋㅋㅋ"


@repeatable
@given(MESSY)
@example("e\u200b\u0301")
@example("ㅋㅋ\u200bㅋㅋ")
def test_cleaning_twice_changes_nothing(typed: str) -> None:
    once = clean_text(typed)
    assert clean_text(once) == once


@repeatable
@given(MESSY, st.integers(0, 40))
def test_the_limit_holds_and_cleaning_to_it_twice_changes_nothing(typed: str, limit: int) -> None:
    once = clean_text(typed, limit)
    assert len(once) <= limit
    assert clean_text(once, limit) == once


@repeatable
@given(MESSY)
def test_only_composed_visible_characters_on_one_line_are_left(typed: str) -> None:
    cleaned = clean_text(typed)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not {unicodedata.category(c) for c in cleaned if c != JOINER} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert cleaned == " ".join(cleaned.split())
    assert not any(cleaned[i] == cleaned[i + 1] == cleaned[i + 2] == cleaned[i + 3] for i in range(len(cleaned) - 3))


@pytest.mark.parametrize("typed", ["가나다라 " * 200_000, "\u200b" * 1_000_000, "ㅋ" * 1_000_000, " " * 1_000_000])
def test_a_megabyte_is_cut_to_the_limit(typed: str) -> None:
    assert len(clean_text(typed)) <= 4000


def test_the_start_of_a_long_text_is_what_is_kept() -> None:
    typed = " ".join(str(number) for number in range(5000))
    assert clean_text(typed) == typed[:4000].strip()
