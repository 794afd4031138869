"""How people type in chats: the user's side of the training dialogues with typos, missing spaces, ㅋㅋ and 초성.

The bot's lines are never touched: it should read such text, not write it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from model.dialogue import Role, Turn
from training.examples import Dialogue

# Spellings that are mixed up every day, right to wrong.
_MISSPELT = {
    "돼": "되",
    "되게": "대게",
    "왠지": "웬지",
    "어떡해": "어떻해",
    "며칠": "몇일",
    "오랜만": "오랫만",
    "할게": "할께",
    "갈게": "갈께",
    "거야": "꺼야",
    "금세": "금새",
    "낫": "낳",
    "맞혀": "맞춰",
    "않": "안",
    "데": "대",
    "네가": "니가",
}
# Whole lines or last words that are typed by their initials.
_INITIALS = {"응": "ㅇㅇ", "아니": "ㄴㄴ", "고마워": "ㄱㅅ", "오케이": "ㅇㅋ", "인정": "ㅇㅈ", "감사": "ㄱㅅ"}
_LAUGHTER = ("ㅋㅋ", "ㅋㅋㅋ", "ㅎㅎ", "ㅠㅠ", "ㅜㅜ", "..", "!!", "~")
_END = re.compile(r"[.?!~…]+$")
# Composed syllables stand in blocks of 28, by their final consonant, none first (Unicode Standard, section 3.12).
_SYLLABLES = ("가", "힣")
_FINALS = 28


def _without_spaces(text: str, rng: random.Random) -> str:
    """Some or all spaces left out."""
    keep = rng.choice((0.0, 0.5))
    return "".join(c for c in text if c != " " or rng.random() < keep)


def _without_end(text: str, rng: random.Random) -> str:
    return _END.sub("", text) or text


def _with_laughter(text: str, rng: random.Random) -> str:
    return _END.sub("", text) + rng.choice(_LAUGHTER)


def _misspelt(text: str, rng: random.Random) -> str:
    found = [(right, wrong) for right, wrong in _MISSPELT.items() if right in text]
    return text.replace(*rng.choice(found), 1) if found else text


def _initials(text: str, rng: random.Random) -> str:
    bare = _END.sub("", text)
    return _INITIALS.get(bare, text)


def _slipped(text: str, rng: random.Random) -> str:
    """A final consonant lost in one syllable, as a finger slips over the last key."""
    closed = [
        index
        for index, c in enumerate(text)
        if _SYLLABLES[0] <= c <= _SYLLABLES[1] and (ord(c) - ord(_SYLLABLES[0])) % _FINALS
    ]
    if len(text) < 6 or not closed:
        return text
    place = rng.choice(closed)
    open_syllable = chr(ord(text[place]) - (ord(text[place]) - ord(_SYLLABLES[0])) % _FINALS)
    return text[:place] + open_syllable + text[place + 1 :]


_CHANGES: tuple[Callable[[str, random.Random], str], ...] = (
    _without_spaces,
    _without_end,
    _with_laughter,
    _misspelt,
    _initials,
    _slipped,
)


def noisy(text: str, rng: random.Random) -> str:
    """`text` as somebody in a hurry types it: one or two changes, the same for the same state of `rng`."""
    for change in rng.sample(_CHANGES, rng.choice((1, 2))):
        text = change(text, rng)
    return text


def with_noise(dialogues: Sequence[Dialogue], share: float, rng: random.Random) -> list[Dialogue]:
    """Dialogues in which a `share` of the user's turns is typed carelessly."""
    return [
        replace(
            dialogue,
            turns=tuple(
                Turn(turn.role, noisy(turn.text, rng)) if turn.role is Role.USER and rng.random() < share else turn
                for turn in dialogue.turns
            ),
        )
        for dialogue in dialogues
    ]
