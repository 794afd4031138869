"""A persona fact ("나는 부산에 산다.") as the bot says it in its speech level ("부산에 살아요."). No dependencies.

Facts are written in the plain form (-다), which tables tell apart where no rule does.
"""

from __future__ import annotations

import re

from model.conjugation import after_consonant, after_vowel
from model.dialogue import SpeechLevel
from model.hangul import final, is_syllable, with_final

# Stems in ㄹ lose it before -ㄴ다: 산다 is from 살다. A word in the accusative before it tells 사다.
_RIEUL_VERBS = frozenset(
    (
        "산", "논", "만든", "연", "판", "운", "안", "돈", "건", "단", "든", "문", "민", "분", "썬", "푼", "흔든",
        "떠든", "잠든", "힘든", "드나든", "번", "턴", "빤", "튼", "존", "몬", "만", "빈", "깐", "넌", "떤", "깨문",
        "내민", "부푼", "거든", "먹고산", "베푼", "머문", "비튼", "덴", "이끈",
    )
)  # fmt: skip
# Just before 산다, these tell what was bought; elsewhere one lives.
_BOUGHT = re.compile(
    r"(?:[을를만도씩째로]|부터|개|권|벌|켤레|송이|봉지|보고|[0-9천백만] ?원에) 산$"
    r"|[을를] (?:많이|자주|늘|꼭|여름에|겨울에|시장에서|마트에서|온라인으로) 산$"
)
# Adjectives that end in an open syllable look like a noun with the copula ("간호사다"); these are adjectives.
_OPEN_ADJECTIVES = frozenset(
    (
        "크", "비싸", "싸", "느리", "아프", "나쁘", "바쁘", "예쁘", "기쁘", "슬프", "고프", "빠르", "다르",
        "서투르", "게으르", "이르", "푸르", "시", "짜", "쓰", "세", "흐리", "어리", "가쁘", "시리", "여리", "질기",
        "비리", "쓰리", "저리", "졸리", "부르", "바르", "어설프", "헤프", "배고프", "커다라", "차",
        "부시", "눈부시",
    )
)  # fmt: skip
# Whoever is named is a noun, whatever the name ends in.
_NAMED = re.compile(r"이름은 [^ ]+$|살 [^ ]{1,3}$")
# Nouns whose own last syllable is 이: after a closed syllable, and after an open one.
_ENDS_IN_I = (
    "쌍둥이", "고양이", "멋쟁이", "막둥이", "귀염둥이", "길냥이", "깍쟁이", "어린이", "젊은이", "떡볶이", "목걸이",
    "손잡이",
)  # fmt: skip
_OWN_I = ("아이", "나이", "오이", "사이", "놀이", "누이", "종이", "차이", "레이", "제이")
# Digits whose Sino-Korean names end in a consonant: 영 일 삼 육 칠 팔.
_CLOSED_DIGITS = "013678"
_SUBJECT = re.compile(r"^나는 ")
# 열 시다, 7년 차다: counters, not the adjectives that look like them.
_COUNTED = re.compile(r"(?:[0-9]|한|두|세|네|섯|곱|덟|홉|열|년|월|일|주|개월) ?(?:시|차)$")
_PARTICLES = "는|도|를|의|만|랑|와|보다|한테|에게|만의|에게는|한테는"
_FIRST_PERSON = ((re.compile(rf"(?<![가-힣])나({_PARTICLES})(?![가-힣])"), r"저\1"),
                 (re.compile(r"(?<![가-힣])난(?![가-힣])"), "전"),
                 (re.compile(r"(?<![가-힣])내가(?![가-힣])"), "제가"),
                 (re.compile(r"(?<![가-힣])내(?= )"), "제"))  # fmt: skip


def restate(fact: str, speech_level: SpeechLevel) -> str | None:
    """`fact` as the bot would say it; None where it is no single sentence in the plain form."""
    sentence = fact.strip().rstrip(".").strip()
    if not sentence.endswith("다") or len(sentence) < 3 or re.search(r"[.?!\n]", sentence):
        return None
    body = sentence[:-1]
    if body.endswith("아니"):
        return _in_person(body + ("야" if speech_level is SpeechLevel.BANMAL else "에요"), speech_level)
    is_noun = not is_syllable(body[-1]) or _is_name(body)
    informal = None if is_noun else _informal(body)
    if informal is None:
        return _in_person(_copula(body, speech_level), speech_level)
    return _in_person(informal + ("요" if speech_level is SpeechLevel.HAEYO else ""), speech_level)


def _in_person(sentence: str, speech_level: SpeechLevel) -> str:
    """Without the topic that goes without saying, and humble where the bot is polite."""
    said = _SUBJECT.sub("", sentence)
    if speech_level is SpeechLevel.HAEYO:
        for pattern, humble in _FIRST_PERSON:
            said = pattern.sub(humble, said)
    return said + "."


def _is_name(body: str) -> bool:
    """Whoever is named is a noun, whatever the name ends in; 였다 and 이었다 are the copula's past."""
    found = _NAMED.search(body)
    if found is None or final(body[-1]) == "ㅆ":
        return False
    return "이름은" in found[0] or not body.endswith("살 어리")


def _copula(noun: str, speech_level: SpeechLevel) -> str:
    """The noun, freed from the 이 of 이다, with 이에요/예요 or 이야/야."""
    before = noun[-2:-1]
    if noun.endswith("이") and before:
        is_closed = bool(final(before)) and not noun.endswith(_ENDS_IN_I)
        is_open = not final(before) and not noun.endswith(_OWN_I) and not _is_name(noun)
        noun = noun[:-1] if is_closed or is_open else noun
    closed = noun[-1] in _CLOSED_DIGITS if noun[-1].isdigit() else bool(final(noun[-1]))
    if speech_level is SpeechLevel.BANMAL:
        return noun + ("이야" if closed else "야")
    return noun + ("이에요" if closed else "예요")


def _informal(body: str) -> str | None:
    """The -아/어 form of what stands before -다; None where that is a noun with the copula."""
    last = final(body[-1])
    if last in ("ㅆ", "ㅄ"):
        return body + "어"
    if body.endswith("는") and len(body) > 1 and final(body[-2]):
        return after_consonant(body[:-1], adjective=False)
    if last == "ㄴ" and not body.endswith(("많", "적은")):
        return _from_present(body)
    if last:
        return after_consonant(body, adjective=True)
    word = body.split(" ")[-1]
    if _COUNTED.search(body):
        return None
    if word in _OPEN_ADJECTIVES or (len(word) > 1 and word.endswith("하")):
        return after_vowel(body)
    return None


def _from_present(body: str) -> str | None:
    """From a verb's -ㄴ다: 한 -> 해, 산 -> 살아."""
    word = body.split(" ")[-1]
    stem = body[:-1] + with_final(body[-1], "")
    if word in _RIEUL_VERBS and not _BOUGHT.search(body):
        return after_consonant(body[:-1] + with_final(body[-1], "ㄹ"), adjective=False)
    return after_vowel(stem)
