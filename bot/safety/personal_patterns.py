"""The chat rules for personal data: how people write numbers, handles and addresses to each other.

They add to maskingtape, which knows the official ways to write them. A rule is a pattern whose group `it` (or the whole
match) is the personal data, a kind, and often a word that must stand near it. Rules run on normalised text; those with
`spelled` on a copy of it in which the words and letters for digits are digits (공일공, o1o). Repetitions are bounded,
so that time stays linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a span is."""

    RRN = "RRN"
    FRN = "FRN"
    PHONE = "PHONE"
    ACCOUNT = "ACCOUNT"
    CARD = "CARD"
    PASSPORT = "PASSPORT"
    DRIVER = "DRIVER"
    EMAIL = "EMAIL"
    ADDRESS = "ADDRESS"
    PLATE = "PLATE"
    MSGID = "MSGID"
    BUSINESS = "BUSINESS"
    URL = "URL"


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern for a kind; `near` must be found within _REACH characters of it, `never` must not stand before it."""

    kind: Kind
    pattern: re.Pattern[str]
    near: re.Pattern[str] | None = None
    never: re.Pattern[str] | None = None
    spelled: bool = False


# How far from personal data a word that tells its kind may stand, in characters.
_REACH = 24
# Words and letters for digits, each one character for one.
SPELLED = str.maketrans("공영일이삼사오육륙칠팔구oOㅇlI", "00123456678900011")

# 이 that is a particle or a copula and not a two.
_NO_TWO = re.compile("이(?=야|에요|예요|고|라|지|랑|래|네|다|거| ?(?:내|제|우리|번호))")
_SEPARATOR = r"[ \-._/)(:·~,]{0,3}"
_MASKED = r"[\d*●○xX■]"
_PROVINCE = "(?:경기|강원|충청[남북]|전라[남북]|경상[남북]|제주|전북|강원특별자치|제주특별자치|전북특별자치)도"
_REGION = "서울|부산|대구|인천|광주|대전|울산|세종|경기|강원|충북|충남|전북|전남|경북|경남|제주"


def _rule(kind: Kind, pattern: str, near: str = "", never: str = "", spelled: bool = False) -> Rule:
    return Rule(
        kind,
        re.compile(pattern, re.VERBOSE | re.IGNORECASE),
        re.compile(near, re.IGNORECASE) if near else None,
        re.compile(never, re.IGNORECASE) if never else None,
        spelled,
    )


_PHONES = (
    _rule(
        Kind.PHONE,
        rf"(?<![\d+]) (?: \+?82 [ \-]? \(? 0? \)? 1 | \(?01 ) [016789] (?:{_SEPARATOR}|"
        rf"에[ ]?) \d{{3,4}} (?:{_SEPARATOR}|에[ ]?) \d{{4}} (?!\d|-\d)",
        spelled=True,
    ),
    _rule(
        Kind.PHONE,
        rf"(?<!\d) 01[016789] [-. _] (?=[^ ]{{0,9}}\d{{2}}) {_MASKED}{{3,4}} [-. _] {_MASKED}{{4}} (?![\d*])",
    ),
    _rule(
        Kind.PHONE,
        r"(?<![\d\-.]) \(? 0(?: 2 | 3[1-3] | 4[1-4] | 5[1-5] | 6[1-4] | 70 |"
        r" 50[2-8] ) [-. )_]{0,2} \d{3,4} [-. _]{0,2} \d{4} (?![\d]|-\d)",
        never="주문|송장|접수|번호표|학번|일련",
    ),
    _rule(Kind.PHONE, r"(?<!\d) 0 [ ] 1 [ ] [016789] (?:[ ]{1,2}\d){7,8} (?![ ]?\d)", spelled=True),
    # A number told in two parts.
    _rule(Kind.PHONE, r"(?<!\d) 01[016789] [ \-.] \d{4} (?! \d | [ \-.] \d)", near="뒷|뒤|앞은|앞자리"),
    _rule(
        Kind.PHONE,
        r"(?: 뒷자리|뒷번호|뒤|끝자리 )(?:는|은|가|이)? [ ]? (?P<it>\d{4}) (?!\d)",
        near="01[016789]|전화번호|폰번호|내 번호|핸드폰",
        never="카드|주민|계좌|차",
    ),
    _rule(Kind.PHONE, r"(?<!\d) \d{4} (?:[ \-]|에[ ]?) \d{4} (?!\d)", near="(?<!\\d)01[016789](?!\\d)", spelled=True),
)

_DATE = r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_IDENTITY = (
    _rule(Kind.FRN, rf"(?<!\d) {_DATE} [ \-._~]{{0,3}} [5-8] (?:\d{{6}}|{_MASKED}{{6}}) (?!\d)", spelled=True),
    _rule(Kind.RRN, rf"(?<!\d) {_DATE} [ \-._~]{{0,3}} [1-4] (?:\d{{6}}|{_MASKED}{{6}}) (?!\d)", spelled=True),
    _rule(Kind.RRN, rf"(?<!\d) {_DATE} [ ]? [-~] [ ]? [1-4] (?:[*●○xX■]{{2,6}}) "),
    _rule(Kind.RRN, rf"(?<!\d) {_DATE} [ \-] [1-4] [ ] \d{{6}} (?!\d)", near="주민|민번|주번|민증"),
    _rule(Kind.RRN, rf"앞자리 (?:는|가)? [ ]? (?P<it>{_DATE}) (?!\d)", near="주민|민번|주번|민증"),
    _rule(Kind.RRN, r"뒷자리 (?:는|가)? [ ]? (?P<it>[1-8]\d{6}) (?!\d)", near="주민|민번|주번|민증|앞자리"),
    _rule(Kind.PASSPORT, r"(?<![a-z0-9]) [MSROD][ \-]? (?:\d{8}|\d{3}[A-Z]\d{4}) (?![a-z0-9])", near="여권|passport"),
    _rule(
        Kind.PASSPORT,
        r"(?<![a-z0-9]) M (?:\d{8}|\d{3}[A-Z]\d{4}) (?![a-z0-9])",
        never="시리얼|모델|제품|송장|주문|serial",
    ),
    _rule(Kind.PASSPORT, r"(?<![a-z0-9]) [A-Z]{2}\d{7} (?![a-z0-9])", near="여권|passport"),
    _rule(
        Kind.DRIVER, rf"(?<![\d\-]) (?:(?:{_REGION})[ ]?)? (?:1[1-9]|2[0-8]) - \d{{2}} - \d{{6}} - \d{{2}} (?![\d\-])"
    ),
    _rule(Kind.DRIVER, rf"(?:{_REGION}) [ \-]? \d{{2}} - \d{{6}} - \d{{2}} (?![\d\-])"),
    _rule(Kind.DRIVER, r"(?<!\d) (?:1[1-9]|2[0-8]) [ ]? \d{2} [ ]? \d{6} [ ]? \d{2} (?!\d)", near="면허"),
    _rule(
        Kind.PLATE,
        rf"(?<![\d가-힣]) (?:(?:{_REGION})[ ]?)? (?<!\d) \d{{2,3}} [ ]? "
        rf"[가나다라마거너더러머버서어저고노도로모보소오조구누두루무부수우주바사아자배하허호] "
        rf"[ ]? \d{{4}} (?! \d | [ ]?(?:원|년|명|개|보|점|만|천|억|조|%|회|번|mg|ml|g|kcal|kg|km|시간) )",
    ),
    _rule(Kind.BUSINESS, r"(?<![\d\-]) \d{3} - \d{2} - \d{5} (?![\d\-])"),
    _rule(Kind.BUSINESS, r"(?<!\d) \d{3} [ ]? \d{2} [ ]? \d{5} (?!\d)", near="사업자"),
)

_BANKS = (
    "은행|뱅크|카뱅|토뱅|케뱅|토스|국민|신한|우리은|하나은|농협|기업은|새마을|신협|수협|우체국|부산은|대구은|경남은|"
    "씨티|제일|산업은|계좌|통장|입금|송금|이체|월세|회비"
)
_MONEY = (
    _rule(Kind.CARD, r"(?<![\d\-]) \d{4} ([ \-._]) \d{4} \1 \d{4} \1 \d{4} (?![\d\-])"),
    _rule(Kind.CARD, r"(?<![\d\-]) 3[47]\d{2} [ \-._]? \d{6} [ \-._]? \d{5} (?![\d\-])"),
    _rule(Kind.CARD, r"(?<![\d\-]) [3-69]\d{15} (?!\d)", near="카드|card|결제|한도|유효기간|cvc"),
    _rule(
        Kind.ACCOUNT,
        r"(?<![\d\-]) (?=(?:\d[\-. ]{0,3}){10,14}(?!\d)) \d{2,6} (?: [ ]?[-.][ ]? | [ ] ) \d{2,6} (?: (?: "
        r"[ ]?[-.][ ]? | [ ] ) \d{1,7} ){1,2} (?![\d\-])",
        near=_BANKS,
        never="주문|송장|접수|우편",
    ),
    _rule(
        Kind.ACCOUNT, r"(?<![\d\-]) \d{10,14} (?![\d\-]|[ ]?[원개명])", near=_BANKS, never="주문|송장|접수|운송|조회수"
    ),
)

_AT = r"(?: [ ]?@[ ]? | [ ]?\(?골뱅이\)?[ ]? | [ ]?\(at\)[ ]? | [ ]?\[[ ]?at[ ]?\][ ]? | [ ]at[ ] | [ ]앳[ ] )"
_DOT = r"(?: [ ]?\.[ ]? | 점 | 닷 | [ ]?\[[ ]?dot[ ]?\][ ]? | [ ]?\([ ]?dot[ ]?\)[ ]? | [ ]dot[ ] )"
_HANDLE = r"[a-z0-9][a-z0-9._\-]{3,29}(?<![._\-])_*"
_MESSENGER = (
    "카톡|카카오톡|카카오|톡|톡디|라인|인스타그램|인스타|텔레그램|텔레|트위터|디코|디스코드|틱톡|페북|페이스북|"
    "스냅챗|위챗"
)
_GAMES = "스팀|롤|배그|옵치|오버워치|발로란트|배틀태그|배틀넷"
_EMAILS = (
    _rule(
        Kind.EMAIL,
        rf"(?<![a-z0-9._%+\-]) [a-z0-9][a-z0-9._%+\-]{{0,63}} {_AT} [a-z0-9\-]{{1,40}} (?: {_DOT} "
        rf"(?:[a-z]{{2,24}}|컴|넷) (?![a-z]) ){{1,3}}",
    ),
    _rule(
        Kind.EMAIL,
        rf"(?<![a-z0-9._%+\-]) [a-z0-9][a-z0-9._%+\-]{{0,63}} {_AT} (?:네이버|다음|지메일|구글|한메일|핫메일|"
        rf"카카오|네이트|naver|"
        rf"gmail|daum|hanmail|kakao|nate)"
        rf"(?: {_DOT} (?:컴|넷|com|net) )?",
    ),
)
_HANDLES = (
    _rule(
        Kind.MSGID,
        r"(?<![a-z0-9]) (?:https?://)? (?:www\.)? (?: open\.kakao\.com/ | pf\.kakao\.com/ | instagram\.com/ |"
        r" t\.me/ | discord\.gg/ | line\.me/ | twitter\.com/ | x\.com/ | facebook\.com/ | tiktok\.com/ )"
        r"[a-z0-9._@/\-]{2,60}",
    ),
    _rule(
        Kind.MSGID,
        rf"(?:{_MESSENGER}) [ ]? (?:아이디|id|계정|디)? [ ]? (?:은|는|이|"
        rf"가)? [ ]? :? [ ]? (?P<it> @? (?=[a-z0-9._\-]*[0-9._\-])(?=[a-z0-9._\-]*[a-z]) {_HANDLE} )",
        never="https?",
    ),
    _rule(
        Kind.MSGID,
        rf"(?:아이디|(?<![a-z])id|톡디|계정|닉네임) [ ]? (?:은|는|이|가)? [ ]? :? [ ]? (?P<it> @? "
        rf"(?=[a-z0-9._\-]*[a-z]) {_HANDLE} )",
        near=f"{_MESSENGER}|{_GAMES}|친추|추가|디엠|맞팔",
    ),
    _rule(
        Kind.MSGID,
        rf"(?<![a-z0-9._%+\-]) @ (?!everyone|here) {_HANDLE}",
        near=f"{_MESSENGER}|팔로우|디엠|맞팔|친추|계정",
    ),
    _rule(
        Kind.MSGID,
        r"(?<![a-z0-9가-힣_.#]) [a-z0-9가-힣_.]{2,32} \#\d{4,6} (?![\da-z])",
        near=f"디코|디스코드|친추|{_GAMES}",
    ),
)
_LINKS = (
    _rule(
        Kind.URL,
        r"https?://[^\s?#]{3,200} [?#] (?: \S{0,200}? [&_] )? (?: id|user|uid|email|mail|token|key|auth|session|sid|"
        r"phone|tel|code|invite|name|order(?:no|_no|id)? ) = \S{2,300}",
    ),
)

_COUNTER = (
    r"(?! \d | [ ]?(?:번(?!지|길)|개|명|잔|시|분|원|년|월|일|차|살|권|곳|가지|배|등|위|점|대|번째|km|m|%|호선|년대|"
    r"인|세|회|만|천|층이|도|cm|kg|킬로|미터|팀|판|승|패|화|장|병|박|주|통|마리|초|억|조|가(?!까)|센트|빠|단계|인분|"
    r"퍼|출구) )"
)
_AREA = (
    "(?!다시|역시|혹시|일시|잠시|당시|즉시|동시|필시|누구|친구|가구|야구|축구|농구|입구|출구)[가-힣]{1,6}(?:시|"
    "군|구)[ ]"
    f" | {_PROVINCE}[ ] | (?:{_REGION})[ ]"
)
_NUMBER = r"\d{1,4}(?:-\d{1,4})?(?:번지)?"
_UNIT = (
    r"(?: ,?[ ]? (?:[가-힣a-z0-9]{2,15}(?:아파트|빌라|타워|빌딩|오피스텔|맨션|하우스|스퀘어|자이|캐슬|원룸|"
    r"팰리스)[ ]?)? (?:\d{1,4}동[ ]?)? (?:지하[ ]?)?(?:\d{1,2}층|\d{2,4}호) )?"
)
_LIVES = (
    "주소|집|살아|살고|산다|사는|살어|택배|배달|배송|이사|놀러|본가|자취|여기서|근처|여기로|오면|로 와|로와|앞으로|"
    "보내|골목|동네|카페"
)
_ADDRESSES = (
    _rule(
        Kind.ADDRESS,
        rf"(?<![가-힣]) (?: {_AREA} ){{0,3}} [가-힣]{{2,10}}(?:대로|"
        rf"로) [ ]? \d{{1,4}}(?:번)?길 [ ] {_NUMBER} {_COUNTER} {_UNIT}",
    ),
    _rule(Kind.ADDRESS, r"(?<![가-힣]) [가-힣]{2,10}(?:대로|로) [ ]? \d{1,4}번길 (?:[ ]\d{1,4}(?:-\d{1,4})?)?"),
    _rule(
        Kind.ADDRESS,
        rf"(?<![가-힣]) (?: {_AREA} ){{1,3}} [가-힣]{{2,10}}(?<!으)(?:대로|로|"
        rf"길) [ ]? (?:\d{{1,4}}번?길[ ])? {_NUMBER} {_COUNTER} {_UNIT}",
    ),
    _rule(
        Kind.ADDRESS,
        rf"(?<![가-힣]) (?: {_AREA} ){{1,3}} [가-힣]{{1,6}}\d?(?:동|읍|면|리|가) [ ] {_NUMBER} {_COUNTER} {_UNIT}",
    ),
    _rule(
        Kind.ADDRESS,
        rf"(?<![가-힣]) (?!스스로|앞으로|진로|반대로|제대로|그대로|이대로|마음대로|멋대로|맘대로|별로|새로|따로|"
        rf"서로|바로|대로|실제로|진짜로|때로|카드로|걸로|폰으로)"
        rf"[가-힣]{{2,10}}(?<!으)(?:대로|로|길) [ ]? {_NUMBER} {_COUNTER} {_UNIT}",
        near=_LIVES,
    ),
    _rule(
        Kind.ADDRESS,
        rf"(?<![가-힣]) [가-힣]{{2,6}}(?:동|읍|리)\d? [ ] \d{{1,4}}-\d{{1,4}} (?:번지)? {_COUNTER} {_UNIT}",
        near=_LIVES,
    ),
    _rule(
        Kind.ADDRESS,
        r"(?<![가-힣\d]) (?:[가-힣a-z0-9]{2,14}[ ]?)? (?:\d단지[ ]?)? \d{2,4}동[ ]?\d{2,4}호",
    ),
)

# Rules, by what must be in a text for any of them to hold.
_RULES = (
    (re.compile(r"\d ?\d|[공영일이삼사오육륙칠팔구oOㅇ]{2}"), (*_IDENTITY, *_PHONES, *_MONEY)),
    (re.compile(r"[가-힣] ?\d"), _ADDRESSES),
    (re.compile(r"@|골뱅이|[(\[ ]at[)\] ]|앳", re.IGNORECASE), _EMAILS),
    (re.compile(rf"[@#]|{_MESSENGER}|\.(?:com|me|gg)/|아이디|계정|닉네임", re.IGNORECASE), _HANDLES),
    (re.compile("://"), _LINKS),
)


def matches(plain: str) -> Iterator[tuple[Kind, int, int]]:
    """What the rules find in normalised text: kind, start, end."""
    spelled = _NO_TWO.sub("_", plain).translate(SPELLED)
    for hint, rules in _RULES:
        if not hint.search(plain):
            continue
        for rule in rules:
            view = spelled if rule.spelled else plain
            for found in rule.pattern.finditer(view):
                start, end = found.span("it") if "it" in rule.pattern.groupindex else found.span()
                if _is_near(rule.near, view, start, end) and not _is_before(rule.never, plain, start):
                    yield rule.kind, start, end


def _is_near(near: re.Pattern[str] | None, text: str, start: int, end: int) -> bool:
    return near is None or near.search(text, max(0, start - _REACH), end + _REACH) is not None


def _is_before(never: re.Pattern[str] | None, text: str, start: int) -> bool:
    return never is not None and never.search(text, max(0, start - _REACH), start) is not None
