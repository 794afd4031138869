"""Tests of adapters/text_limits.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.text_limits import split_text


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        (" \n ", []),
        (" 안녕하세요. ", ["안녕하세요."]),
        ("일이삼사오 육칠팔구십", ["일이삼사오", "육칠팔구십"]),
        ("일이삼사오육칠팔구십 끝", ["일이삼사오육칠팔구십", "끝"]),
        ("일이삼. 사오 육칠팔. 끝", ["일이삼. 사오", "육칠팔. 끝"]),
        ("일이삼사오. 육칠 팔구십", ["일이삼사오.", "육칠 팔구십"]),
        ("“일이삼사.” 육칠 팔구십", ["“일이삼사.”", "육칠 팔구십"]),
        ("일이삼사오. 육\n칠 팔구십", ["일이삼사오. 육", "칠 팔구십"]),
        ("일이삼사오\n\n육\n칠 팔구십", ["일이삼사오", "육\n칠 팔구십"]),
        ("일이삼사오육칠팔구십일이삼", ["일이삼사오육칠팔구십", "일이삼"]),
        ("😀😀😀😀😀😀", ["😀😀😀😀😀", "😀"]),
        ("가😀😀😀😀😀", ["가😀😀😀😀", "😀"]),
    ],
)
def test_cuts_at_ten_units(text: str, pieces: list[str]) -> None:
    assert split_text(text, 10) == pieces


@given(st.text(alphabet="가나 .\n!😀”", max_size=80), st.integers(min_value=2, max_value=30))
def test_every_piece_fits_and_nothing_but_space_is_lost(text: str, limit: int) -> None:
    pieces = split_text(text, limit)
    assert all(piece and len(piece.encode("utf-16-le")) <= 2 * limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())
