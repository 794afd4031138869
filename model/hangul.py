"""Syllables taken apart and put together (Unicode Standard, section 3.12), in letters. Standard library only."""

from __future__ import annotations

INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_FINALS = ["", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"]
_FIRST = ord("가")


def is_syllable(character: str) -> bool:
    """Whether it is a whole syllable, which the functions below take."""
    return "가" <= character <= "힣"


def initial(syllable: str) -> str:
    """The consonant it begins with, ㅇ where it is silent."""
    return INITIALS[(ord(syllable) - _FIRST) // (len(VOWELS) * len(_FINALS))]


def vowel(syllable: str) -> str:
    """Its vowel."""
    return VOWELS[(ord(syllable) - _FIRST) // len(_FINALS) % len(VOWELS)]


def final(character: str) -> str:
    """The consonants it ends with; "" where it is open or no syllable."""
    return _FINALS[(ord(character) - _FIRST) % len(_FINALS)] if is_syllable(character) else ""


def compose(first: str, middle: str, last: str = "") -> str:
    """The syllable of these letters. Raises ValueError where one of them cannot stand there."""
    number = (INITIALS.index(first) * len(VOWELS) + VOWELS.index(middle)) * len(_FINALS) + _FINALS.index(last)
    return chr(_FIRST + number)


def with_final(syllable: str, last: str) -> str:
    """The syllable with another final, "" for none. Raises ValueError where `last` is none."""
    return compose(initial(syllable), vowel(syllable), last)
