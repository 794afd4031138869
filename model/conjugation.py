"""The informal ending -아/어 and the past -았/었 on a stem (Korean school grammar). Standard library only.

Vowel harmony, contraction, the irregular stems in ㅂ ㄷ ㅅ 르 ㅡ 하, and tables where no rule tells.
"""

from __future__ import annotations

from model.hangul import compose, final, initial, is_syllable, vowel, with_final

_BRIGHT = ("ㅏ", "ㅑ", "ㅗ")
# Stem vowel and the -아/어 after it, in one.
_CONTRACTED = {
    "ㅏ": "ㅏ", "ㅓ": "ㅓ", "ㅐ": "ㅐ", "ㅔ": "ㅔ", "ㅕ": "ㅕ", "ㅖ": "ㅖ",
    "ㅗ": "ㅘ", "ㅜ": "ㅝ", "ㅣ": "ㅕ", "ㅚ": "ㅙ",
}  # fmt: skip
# -는다 after ㄷ, ㅂ and ㅅ that change before a vowel.
_IRREGULAR = {
    "듣": "들어", "걷": "걸어", "묻": "물어", "깨닫": "깨달아", "싣": "실어", "굽": "구워", "돕": "도와",
    "줍": "주워", "눕": "누워", "짓": "지어", "낫": "나아", "젓": "저어", "붓": "부어", "잇": "이어", "긋": "그어",
}  # fmt: skip
_REGULAR_RU = frozenset(("따르", "들르", "치르", "잠그", "담그", "우러르"))
_REGULAR_BIEUP = frozenset(
    (
        "좁", "넓", "얇", "짧", "떫", "밟", "씹", "입", "잡", "뽑", "접", "집", "업", "꼽", "수줍",
    )
)  # fmt: skip

_REGULAR_HIEUH = ("좋", "놓", "넣", "쌓", "낳", "닿", "찧", "땋")


def after_consonant(stem: str, adjective: bool) -> str:
    """The informal form of a stem that ends in a consonant: 먹 to 먹어."""
    last = stem[-1]
    if not adjective and last in _IRREGULAR:
        return stem[:-1] + _IRREGULAR[last]
    if adjective and final(last) == "ㅂ" and last not in _REGULAR_BIEUP:
        opened = with_final(last, "")
        return stem[:-1] + opened + ("와" if stem.endswith(("곱", "돕")) else "워")
    if adjective and last == "낫":
        return stem[:-1] + "나아"
    if final(last) == "ㅎ" and adjective and last not in _REGULAR_HIEUH:
        # 하얗다 하얘, 누렇다 누레, 그렇다 그래.
        merged = {"ㅑ": "ㅒ", "ㅕ": "ㅖ"}.get(vowel(last))
        dark = stem.endswith(("누렇", "퍼렇", "뻘겋", "꺼멓", "시퍼렇"))
        return stem[:-1] + compose(initial(last), merged or ("ㅔ" if dark else "ㅐ"))
    return stem + ("아" if vowel(last) in _BRIGHT else "어")


def after_vowel(stem: str) -> str | None:
    """The informal form of a stem that ends in a vowel: 가 to 가."""
    last = stem[-1]
    if last == "하":
        return stem[:-1] + "해"
    if stem.endswith(("그러", "이러", "저러")):
        return stem[:-1] + "래"
    if last == "르" and len(stem) > 1 and not stem.endswith(tuple(_REGULAR_RU)):
        before = stem[-2]
        if stem.endswith("푸르"):
            return stem + "러"
        return stem[:-2] + with_final(before, "ㄹ") + ("라" if vowel(before) in _BRIGHT else "러")
    if vowel(last) == "ㅡ":
        bright = len(stem) > 1 and is_syllable(stem[-2]) and vowel(stem[-2]) in _BRIGHT
        return stem[:-1] + compose(initial(last), "ㅏ" if bright else "ㅓ")
    contracted = _CONTRACTED.get(vowel(last))
    if contracted is None:
        return stem + "어"
    if stem.endswith("푸"):
        return stem[:-1] + "퍼"
    return stem[:-1] + compose(initial(last), contracted)


def past(stem: str) -> str | None:
    """The stem of the past: 받 to 받았; None where there is no such stem. `stem`: of a verb or an adjective."""
    last = stem[-1]
    if not is_syllable(last):
        return None
    if final(last) == "":
        informal = after_vowel(stem)
    else:
        is_adjective = final(last) == "ㅂ" or (final(last) == "ㅎ" and last not in _REGULAR_HIEUH)
        informal = after_consonant(stem, is_adjective)
    return informal[:-1] + with_final(informal[-1], "ㅆ") if informal is not None else None
