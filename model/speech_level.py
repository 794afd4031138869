"""Tell 해요체 from 반말 by sentence endings. Standard library only.

Rules over the last word of each sentence, as Korean marks the addressee's level there. 합쇼체 (-습니다) counts as
polite, that is as 해요체: the bot has two levels, and a person asked to be polite is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from model.dialogue import SpeechLevel
from model.hangul import final

_SENTENCE = re.compile(r"[.!?~…\n]+")
_TAIL = re.compile(r"[^가-힣]+$")
_POLITE = re.compile(r"(?:요|죠|십시오|[세해네어아]용|[세해네어아거에]여)$")
_POLITE_NOT = re.compile(r"(?:필요|중요)$")
# Single last syllables that end casual sentences: plain endings (-다, -니, -자), contracted verbs (봐, 줘, 켜), and
# connectives and nominalisers left hanging (-고, -서, -면, -음).
_CASUAL = re.compile(
    r"[다어아야해지네니냐자래게걸군나라까든데거대봐줘돼와워려져여겨쳐켜펴마음임함듯용고서면구렴써가러줄껄께테셈"
    r"커떠꺼내매세배깨빼재때녀셔둬껴춰꿔혀텨뤄궈눠퍼캐라뜨]$"
)


def sentence_level(sentence: str) -> SpeechLevel | None:
    """The level one sentence's ending shows, or None when it shows none (a noun, an interjection, ㅋㅋ)."""
    tail = _TAIL.sub("", sentence.strip())
    if not tail:
        return None
    if (_POLITE.search(tail) and not _POLITE_NOT.search(tail)) or _is_formal(tail):
        return SpeechLevel.HAEYO
    if _CASUAL.search(tail):
        return SpeechLevel.BANMAL
    return None


def _is_formal(tail: str) -> bool:
    """합니다, 합니까: the syllable before ends in ㅂ, unlike in 아니다 and 그러니까."""
    if not tail.endswith(("니다", "니까")) or len(tail) < 3:
        return False
    return final(tail[-3]) == "ㅂ"


def speech_level_of(text: str) -> SpeechLevel | None:
    """The level of a reply: polite if any sentence is, else casual if any shows it, else None.

    People mix short casual asides into polite speech ("아 진짜? 그랬군요."), hardly ever the other way round.
    """
    shown = None
    for sentence in _SENTENCE.split(text):
        level = sentence_level(sentence)
        if level is SpeechLevel.HAEYO:
            return level
        shown = level or shown
    return shown


def majority_level(texts: Iterable[str]) -> SpeechLevel | None:
    """The level most of `texts` show; None when none does or the two tie."""
    found = [speech_level_of(text) for text in texts]
    polite, casual = found.count(SpeechLevel.HAEYO), found.count(SpeechLevel.BANMAL)
    if polite == casual:
        return None
    return SpeechLevel.HAEYO if polite > casual else SpeechLevel.BANMAL
