"""Korean as it is typed to get past filters, brought back to plain words. Standard library only."""

from __future__ import annotations

import re
import unicodedata

from model.hangul import INITIALS, compose, final, vowel, with_final
from model.text import visible_text

# What is judged of a text: as much as the longest message that is answered (bot/conversation.py).
MAX_CHARACTERS = 4000
# Letters that show nothing though Unicode calls them visible: joiner, Hangul fillers, braille blank.
_BLANKS = dict.fromkeys([0x200D, 0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800])
# NFKC would make letters that stand alone into other ones than a keyboard has.
_NOT_JAMO = re.compile(r"[^ㄱ-ㆎ]+")
_LOOSE = re.compile(f"([{INITIALS}])([ㅏ-ㅣ])")
# ㅋ and ㅎ after a syllable are laughter.
_LOOSE_FINAL = re.compile(r"([가-힣])([ㄱㄴㄷㄹㅁㅂㅅㅇㅆㅈ])(?![ㅏ-ㅣ])")
_DRAWN_OUT = re.compile(r"([가-힣])([아-잏]+)")
_FILLED = re.compile(r"(?<=[가-힣ㄱ-ㅎ])[0-9@*_^/\\|+=#&%$ㅡ♡♥★☆-]{1,3}(?=[가-힣ㄱ-ㅎ])")
_EIGHT = re.compile(r"(?<![\d가-힣])([시씨씹쉬ㅅㅆ])8(?![분시년월일\d])")
# 18 sounds like it, where it is no number.
_EIGHTEEN = re.compile(r"(?<!\d)18(?=놈|롬|새[끼키]|년[아들])|(?<=[아야]) ?18(?![\d:.,%가-힣])")
_RUN = re.compile(r"(\S)\1+")
_BREAK = re.compile(r"[\s.,!?~…·:;'\"()\[\]{}<>“”‘’]+")


def fold(text: str) -> str:
    """Lower case, compatibility forms and accents composed (NFKC), nothing invisible, no marks over the letters."""
    composed = unicodedata.normalize("NFC", visible_text(text[:MAX_CHARACTERS]).translate(_BLANKS))
    plain = _NOT_JAMO.sub(lambda run: unicodedata.normalize("NFKC", run[0]), composed).lower()
    return "".join(c for c in plain if not unicodedata.category(c).startswith("M"))


def squeeze(folded: str) -> str:
    """Words without what is put into them to hide them, a blank between words.

    Syllables spaced apart are joined (시 발), symbols and digits inside a word dropped (시1발), loose letters and drawn
    out vowels taken in (시바ㄹ, 바알), repeated characters cut to one.
    """
    spelled = _EIGHTEEN.sub("시발", _EIGHT.sub(r"\g<1>발", folded))
    words = _RUN.sub(r"\1", _FILLED.sub("", " ".join(_joined(_BREAK.split(spelled)))))
    whole = _LOOSE_FINAL.sub(_closed, _LOOSE.sub(_composed, words))
    return _RUN.sub(r"\1", _DRAWN_OUT.sub(_with_vowel, whole))


def _joined(words: list[str]) -> list[str]:
    """Words, with runs of single characters put together."""
    joined: list[str] = []
    single = False
    for word in filter(None, words):
        if single and len(word) == 1:
            joined[-1] += word
        else:
            joined.append(word)
        single = len(word) == 1
    return joined


def _composed(match: re.Match[str]) -> str:
    """One syllable of an initial and a vowel."""
    return compose(match[1], match[2])


def _closed(match: re.Match[str]) -> str:
    """A syllable takes the loose consonant behind it as its final."""
    return match[0] if final(match[1]) else with_final(match[1], match[2])


def _with_vowel(match: re.Match[str]) -> str:
    """바아알 to 발: syllables without an initial sound that repeat the vowel before them."""
    said = match[1]
    for drawn in match[2]:
        repeats = not final(said[-1]) and vowel(said[-1]) == vowel(drawn)
        said = said[:-1] + with_final(said[-1], final(drawn)) if repeats else said + drawn
    return said
