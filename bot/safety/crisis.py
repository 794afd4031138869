"""Messages of someone who may be about to hurt themselves, and the fixed texts that answer them.

This runs before everything else, in groups too: no model, no limit and no persona stands between such a message and the
contacts. It errs on the side of answering; what it must not do is take everyday exaggeration ("배고파 죽겠다") for
distress, or its answer is soon read over. Rules (crisis_signs.toml), not a model: each hit can be explained, and
nothing is learnt from such lines.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from model.text import visible_text

FIRST = (
    "이야기해 줘서 고마워요. 마음이 많이 힘드신 것 같아요. "
    "저는 사람이 아니라 AI라서 곁에 있어 드리지는 못하지만, 부디 안전하시면 좋겠어요.\n\n"
    "지금 안전한 곳에 계세요? 당장 위험하거나 이미 다쳤다면 119나 112에 바로 전화해 주세요.\n\n"
    "이야기를 들어 줄 사람들이 있어요.\n"
    "· 109  자살예방 상담전화, 24시간\n"
    "· 1388  청소년 상담전화\n"
    "· 1577-0199  정신건강 위기상담전화\n"
    "· 119, 112  지금 위급할 때\n\n"
    "혼자 견디지 않아도 괜찮아요. 가까이 있는 믿을 만한 사람에게 지금 같이 있어 달라고 말해 주세요. "
    "친구나 가족이 걱정될 때도 같은 번호에서 도와줘요."
)
AGAIN = (
    "계속 말해 줘서 고마워요. 저는 AI라서 대신 지켜 드릴 수가 없어요. 그래서 꼭 사람의 도움을 받으셨으면 해요.\n"
    "지금은 안전하세요? 위험하면 119나 112, 이야기하고 싶으면 109(24시간)나 1577-0199, "
    "청소년이면 1388로 지금 전화해 주세요."
)

_SIGNS_FILE = Path(__file__).with_name("crisis_signs.toml")
_NAME = re.compile(r"\{([a-z_]+)\}")
_SENTENCE_END = re.compile(r"[.!?…~]+\s+|\n+")
# What carries no word: anything but letters, and the letters that laugh, cry or fill gaps.
_NO_WORD = re.compile(r"[\W\d_ㅋㅠㅜㅡ]+")
# A letter drawn out ("싶다아아아") says no more than it does once.
_RUN = re.compile(r"(.)\1{2,}")
# Letters of a syllable with blanks between them.
_APART = re.compile(r"(?<=[ㄱ-ㅣ]) (?=[ㅏ-ㅣ])")
# Conjoining jamo, which NFKC makes of single letters, back to the ones a keyboard has.
_KEYBOARD_JAMO = {
    **{0x1100 + index: letter for index, letter in enumerate("ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ")},
    **{0x1161 + index: chr(0x314F + index) for index in range(21)},
}
# No platform delivers a message longer than this; of a longer one the beginning and the end are read.
_HALF = 5000
# How far around a sign the words that explain it away may stand, in letters.
_CONTEXT = 30


@dataclass(frozen=True, slots=True)
class _Sign:
    """A pattern that tells of a crisis unless another, near it in the sentence, shows that it does not."""

    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None
    spaced: bool


@dataclass(frozen=True, slots=True)
class _Signs:
    all: tuple[_Sign, ...]
    follow_up: re.Pattern[str]


def is_crisis(text: str) -> bool:
    """Whether a message tells of suicide or self-harm, of the writer or of someone they know.

    Of more than 10,000 characters only the first and the last 5,000 are read.
    """
    folded = _fold(text)
    spaced = "\n".join(" ".join(sentence.split()) for sentence in _SENTENCE_END.split(folded))
    tight = _tighten(folded)
    return any(_shows(sign, spaced if sign.spaced else tight) for sign in _signs().all)


def is_follow_up(text: str) -> bool:
    """Whether a message, in a conversation that has had a crisis message, still asks for care rather than small talk.

    True for low mood, for answers that say someone is not safe, and for words that are exaggeration elsewhere.
    """
    return is_crisis(text) or _signs().follow_up.search(_tighten(_fold(text))) is not None


def answer(repeated: bool) -> str:
    """The fixed text for a crisis message; the shorter one when the conversation has had the first already."""
    return AGAIN if repeated else FIRST


@lru_cache(maxsize=1)
def _signs() -> _Signs:
    rules = tomllib.loads(_SIGNS_FILE.read_text(encoding="utf-8"))
    words = rules["words"]
    return _Signs(
        tuple(
            _Sign(
                _compile(sign["pattern"], words),
                _compile(sign["unless"], words) if "unless" in sign else None,
                sign.get("spaced", False),
            )
            for sign in rules["sign"]
        ),
        _compile(rules["follow_up"], words),
    )


def _compile(pattern: str, words: Mapping[str, str]) -> re.Pattern[str]:
    return re.compile(_NAME.sub(lambda name: words[name[1]], pattern), re.VERBOSE)


def _fold(text: str) -> str:
    """Lower case, visible characters only, letters typed apart ("ㅈㅏ살") put together."""
    if len(text) > 2 * _HALF:
        text = f"{text[:_HALF]}\n{text[-_HALF:]}"
    lines = "\n".join(visible_text(line) for line in text.splitlines())
    return unicodedata.normalize("NFKC", _APART.sub("", lines)).translate(_KEYBOARD_JAMO).lower()


def _tighten(folded: str) -> str:
    """Letters alone, so that spaces, dots or digits between them hide nothing; sentences on lines of their own."""
    parts = [_RUN.sub(r"\1\1", _NO_WORD.sub("", part)) for part in _SENTENCE_END.split(folded)]
    # A syllable a line is one sentence typed in pieces.
    return "".join(part + ("\n" if len(part) > 2 else "") for part in parts)


def _shows(sign: _Sign, text: str) -> bool:
    return any(sign.unless is None or not _is_explained(sign.unless, found) for found in sign.pattern.finditer(text))


def _is_explained(unless: re.Pattern[str], found: re.Match[str]) -> bool:
    """Whether `unless` holds near what was found, in the same sentence."""
    text = found.string
    start = max(0, found.start() - _CONTEXT)
    start = max(start, text.rfind("\n", start, found.start()) + 1)
    stop = min(len(text), found.end() + _CONTEXT)
    end = text.find("\n", found.end(), stop)
    return unless.search(text, start, stop if end < 0 else end) is not None
