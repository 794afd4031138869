"""A statement as news to whoever hears it: 만점 받았어요 to 만점 받았군요. Standard library only.

Read by its ending (Korean school grammar) and a list of common adjectives, without a dictionary; where the stem cannot
be told, nothing is said.
"""

from __future__ import annotations

import re

from model.conjugation import past
from model.dialogue import SpeechLevel
from model.hangul import final, with_final

# What may follow a stem in a statement.
_ENDING = (
    r"(?:어요|어|아요|아|습니다|슴다|음|네요|네|거든요|거든|지요|죠|다|답니다|는데요|는데|고요|구요|더라고요|더라구요"
    r"|더라고|더라구|더라|더군요|잖아요|잖아|지 뭐예요|지 뭐야|어용|어여|지롱|지)?$"
)
# The past: any syllable with the final ㅆ, but not 겠 (a guess). 없다 and such adjectives end likewise.
_LIKE_PAST = "없좋많싫높낮깊"
_WISH = re.compile("(고 싶)(?:어요|어|습니다|다|네요|네|거든요|거든|음|은데요|은데|더라고요|더라)$")
_GUESS = "겠"
# Adjectives by what people write, since only a verb's stem takes -는군요.
_ADJECTIVES = {
    "좋아": "좋", "많아": "많", "싫어": "싫", "힘들어": "힘들", "아파": "아프", "바빠": "바쁘",
    "슬퍼": "슬프", "고파": "고프", "예뻐": "예쁘", "기뻐": "기쁘", "나빠": "나쁘", "무서워": "무섭", "어려워": "어렵",
    "귀여워": "귀엽", "추워": "춥", "더워": "덥", "외로워": "외롭", "아쉬워": "아쉽", "부러워": "부럽",
    "그리워": "그립", "반가워": "반갑", "고마워": "고맙", "지루해": "지루하", "졸려": "졸리",
    "설레": "설레는",
}  # fmt: skip
_FEELING = re.compile(
    "(피곤|심심|우울|행복|불안|답답|뿌듯|서운|섭섭|억울|속상|궁금|신기|허전|미안|막막|조용|따뜻|시원|든든|편안|편"
    "|초조|긴장"
    "|민망|창피|쓸쓸|허무|당황|대견|기특|멍|싸늘|쌀쌀|촉촉|깨끗|복잡|죄송|찝찝|후련|홀가분|짜릿|황당|어색|무기력)"
    "(?:해요|해|하네요|하네|하다|합니다|함)$"
)
_ADJECTIVE = re.compile(rf"({'|'.join(_ADJECTIVES)})(?:요)?$")
# The present of verbs: where the ending is theirs alone, and of common ones before -네, which nouns take as well.
_VERBAL = re.compile("([가-힣]+)(?:는다|는데요|는데)$")
_PLAIN = re.compile("([가-힣]+)다$")
_BARE = re.compile(
    "([가-힣]*(?:[가오주되자먹걷웃듣남넘뛰타찍받믿앉읽찾나보]|[아어]지|[걸들돌밀틀달풀열떨]리))(?:네요|네)$"
)
_INFORMAL = {
    "와": "오", "가": "가", "다녀": "다니", "돼": "되", "자": "자", "먹어": "먹", "마셔": "마시", "살아": "사",
    "놀아": "노", "들려": "들리", "걸려": "걸리", "떨려": "떨리", "내려": "내리", "올라": "오르", "줘": "주",
    "져": "지", "웃어": "웃", "걸어": "걷", "읽어": "읽", "배워": "배우", "키워": "키우", "만들어": "만드",
    " 나": " 나", " 울어": " 우", " 알아": " 아", "맘에 들어": "맘에 드", "마음에 들어": "마음에 드",
}  # fmt: skip
_IS_INFORMAL = re.compile(rf"(?<!다)({'|'.join(_INFORMAL)})요$")
_ADJECTIVE_STEM = re.compile(
    "((?:[좋많싫높낮깊짧길넓맑밝얕젊굵덥춥맵쉽짜]|괜찮|귀찮|하얗|빨갛|노랗|비싸|아프|바쁘|슬프|고프|예쁘|기쁘|나쁘|빠르"
    "|다르|흐리|힘들|어렵|무겁|가볍|무섭|귀엽|아깝|부럽|아쉽|그립|외롭|고맙|반갑|즐겁|더럽|가깝|시끄럽))(?:네요"
    "|네|더라고요|더라구요|더라)$"
)
_NOUN = re.compile(r"([가-힣])(?:이에요|예요|입니다|(?<![보쌓줄먹움죽꼬높녹끓속썩붙덮직설덕짝들늘숙모절])(?:임|이다))$")
_GOING_ON = re.compile(r"(중)(?:이에요|이야|임|입니다)?$")
_MEANS_TO = re.compile(r"([가-힣])(?:려고|려구)(?:요|해요|해)?$")
_WILL = re.compile(r" ?(거)(?:예요|에요|야|임|입니다)$")
# Stems of adjectives, the commonest of the project's own dialogues: only a verb's takes -는군요.
_ADJECTIVE_STEMS = re.compile(
    "(?:[없있좋많싫같싶]|스럽|롭|답|"
    "무섭|괜찮|아프|예쁘|고맙|힘들|재밌|어렵|귀찮|똑같|귀엽|다르|배고프|바쁘|아깝|비싸|슬프|시끄럽|빨갛|빠르|"
    "나쁘|부럽|그립|하얗|느리|아쉽|까맣|노랗|무겁|파랗|부끄럽|반갑|차갑|뜨겁|시리|가볍|배부르|낯설|흐리|서럽|"
    "새까맣|이쁘|싱겁|따갑|더럽|기쁘|가깝|고프|쓰리|즐겁|멋지|어둡|동그랗|어지럽|숨차|시렵|두껍|간지럽|네모나|"
    "서투르|얄밉|뿌옇|거칠|비리|목마르|누렇|미끄럽|안쓰럽|두렵|서글프|새빨갛|아리|부드럽|지겹|엄청나"
    "|(?:^|안|개|넘|더)[크작길늦잦짙짧춥맵덥젊멀높쉽맑넓밝낮얇밉곱굵깊낡좁쎄]"
    "|만하|(?:^|안|개|넘|더)(?:미안|이상|심심|친|편|조용|서운|어색|시원|심|따뜻|행복|불안|피곤|신기|죄송|착|솔직|궁금|우울|허전|답답|허무|"
    "예민|중요|당연|창피|속상|친절|쓸쓸|뿌듯|다정|멍|대단|딱딱|불편|깜깜|묘|완벽|지루|민망|특이|똑똑|약|부족|"
    "건강|억울|섭섭|후련|간단|칼칼|짠|뭉클|애매|환|유명|위험|개운|축축|사소|쪼잔|평범|막막|불쌍|잔잔|비슷|유치|"
    "복잡|특별|멀쩡|흔|정확|가득|무뚝뚝|진지|수상|깨끗|씩씩|뻐근|익숙|쿨|그럴듯|뻑뻑|말똥말똥|삐뚤빼뚤|헐렁|"
    "싱숭생숭|소심|부지런|달달|느끼|소박|엉뚱|씁쓸|한심|조급|만만|썰렁|치사|무난|만족|차분|침침|눅눅|뚱뚱|든든|"
    "투명|납작|덤덤|선선|뜸|선명|강|진|공평|찜찜|생생|초라|뻔|순|뻣뻣|대견|얼떨떨|적당|뜨끈|습|황당|말랑|꿉꿉|"
    "당당|매끈|따끈|노곤|느긋|단단|안전|적적|초조|과|쨍쨍|반듯|나른|성실|고소|한가|밍밍|무례|유일|미지근|싸|연|"
    "튼튼|가능|급|필요|저렴|화려|훌륭|허탈|먹먹|찡|얼얼|화끈|오싹|으스스|까끌|묵직|서먹|어마어마)하)$"
)
# What somebody saw or heard: 웃더라고요, 나온대요.
_SEEN = re.compile("([가-힣]+)(?:더라고요?|더라구요?|더라니까요?|더라|더군요|더군|던데요?|데요)$")
# A guess, what others said, and most in -이, which are nouns.
_NOT_SEEN = re.compile("(?:겠|[다라자냐]|대로|으로|별로|(?<![붙끓보쌓쓰놓직먹높줄숙들모꼬섞울짝설속녹눌])이)$")
_HEARD = re.compile("([가-힣])대요?$")
_NOUN_HEARD = re.compile("([가-힣])(?:이래|이라고 ?해|이라네|이라는데|이랍니다)요?$")
# Endings that may stand after any predicate, and what is said in their place.
_GUESSED = re.compile("([가-힣]*겠)(?:어요?|다|네요?|음|습니다|더라고?요?|지요?|죠)$")
_NO_GUESS = re.compile("(?:모르|알|미치|죽)겠")
_SEEMS = re.compile("([가-힣]) ?봐요?$")
_AS_IF = re.compile("([가-힣][는한]) ?듯(?:해요?|하네요?|함)?$")
_ABOUT_TO = re.compile("(ㄹ?까) ?(?:해요?|합니다|하는데요?|생각 ?중(?:이에요|이야|임)?)$")
_INTENDS = re.compile("([가-힣](?:려고|려구)) ?(?:해요?|합니다|하는데요?|했는데)$")
_NEARLY = re.compile("뻔(?:함|했음)?$")
_NOUN_INFORMAL = re.compile("((?![다라자냐])[가-힣])(?:이야|이거든요?|인데요?|이더라고?요?|이더군요)$")
_THING = re.compile("(거|건데|거거든|건데요|거거든요)$")
_DONE = re.compile(
    "(성공|시작|완료|도착|합격|실패|탈락|당첨|퇴근|출근|등록|신청|예약|주문|완성|졸업|입학|지각|실수|포기|개봉"
    "|퇴원|이사|득템|정주행|매진|폭망)$"
)
# Nouns that end like a verb's nominal form.
_NO_NOMINAL = re.compile(
    "(?:처음|마음|다음|얼음|웃음|믿음|걸음|묶음|모음|졸음|죽음|소음|발음|녹음|비음|그음|(?:^| )음|명함|사물함"
    "|고함|보관함|우체함|점심|진심|중심|조심|관심"
    "|욕심|결심|의심|양심|핵심|자존심|호기심|뚝심|밥심|안심|열심|사람|구름|여름|이름|그림|아침|기침|장남|강남"
    "|미남|성남|이삿짐|게임|모임|느낌|어둠|시험"
    "|(?:벌써|이제|완전|드디어|곧|올|내년|이번|새|진짜|그|또|이른|늦은) 봄|몸살|자취방|요즘|포함|불쾌함|편안함"
    "|따뜻함|소중함|행복함)$"
)
_NOMINAL = re.compile(
    "([가-힣]*(?:[가-힣]음|[함됨옴봄줌짐심킴냄씀탐깸켬]|[어아려라쳐져켜겨러]남|[리드]림|[끊잠당옮생남숨벗웃맡안뺏쫓담]김|[빨갈질털쏠밀]림|[다나]님"
    "|(?<=[가-힣])[걸들놀달틀떨말날팔물]림|"
    "(?:다나|다|나|들어|돌아|걸어|날아|올라|내려|가져|다녀|뛰어|훔쳐|털어|끌려|불려|찾아|지나|넘어|잡혀|데려|굴러"
    "|고)감|(?:까지|번|이나|타고|보러) 감|만남|버림|바꿈|그만둠))$"
)
_ADJECTIVE_NOMINAL = re.compile("([같높많좋싫없있낮깊맑넓짧젊얇밝작적]|괜찮|귀찮)음$")
# A verb in the plain form (_PLAIN) has -ㄴ다 or -는다, so what has neither is an adjective, but for these.
_NO_ADJECTIVE = re.compile("(?:바|사이|소|빌라|판|니|라|이|아니|디)다$")
_FORMAL = re.compile("([가-힣]*)([가-힣])니다$")
_EXCLAIMED = re.compile("([가-힣]+)(네요?|네여)$")
# Who is spoken of with respect is somebody else: 자주 웃으세요.
_OTHERS = re.compile("([가-힣]+(?<!주))세요$")
_DOES = re.compile("([을를] |야 |[가-힣]지 )(?:해요?|합니다)$")
_NO_INFORMAL = re.compile(
    "(?:러와|이리와|나와봐|따라해|해제해|무시해|대답해|답해|출력해|말해|보여|알려|열어|지워|잊어|꺼|켜|(?<=[가-힣])(?<![못안잘])자"
    "|몰라|그래|이래|어때|어째|어떡해|뭐라|달라|우리|여러|너|새|[줘봐]|[가-힣]대|[가-힣]래|재|주세|이여|잖아"
    "|[아어워와해려러라여겨져쳐켜]서|는가|은가|한가|인가|던가|건가|[되맞있없하]나)$"
)
_ENDS_IN_NA_OR_GA = re.compile(
    "(?:냄새나|끝나|일어나|나타나|만나|떠나|혼나|겁나|신나|화나|생각나|기억나|늘어나|티나|짜증나|빛나|나가|들어가"
    "|올라가|내려가|돌아가|걸어가|지나가|넘어가|가져가"
    "|다가가|뛰어가|놀러가|(?:^|[못안잘]|[로에] )가|(?:안|잘)나)$"
)
# -워 is of a stem in ㅂ, but of these in 우.
_IN_U = re.compile("(?:배|싸|키|외|태|채|지|비|세|피|치|깨|재|끼|데|메|나|거두|돋|바꾸|띄|틔|에)워$")
_CONTRACTED_STEMS = {
    "해": "하", "봐": "보", "와": "오", "줘": "주", "둬": "두", "돼": "되", "내": "내", "대": "대", "세": "세",
    "매": "매", "깨": "깨",
    "보내": "보내", "지내": "지내", "나": "나", "가": "가", "자": "자", "타": "타", "사": "사", "서": "서",
    "써": "쓰", "커": "크", "떠": "뜨",
    "꺼": "끄", "바빠": "바쁘", "아파": "아프", "예뻐": "예쁘", "나빠": "나쁘", "슬퍼": "슬프", "고파": "고프",
    "기뻐": "기쁘", "뛰어": "뛰", "쉬어": "쉬",
}  # fmt: skip
_LONGEST_FIRST = sorted(_CONTRACTED_STEMS.items(), key=lambda each: -len(each[0]))
_OPENED = {
    "려": "리",
    "여": "이",
    "져": "지",
    "쳐": "치",
    "켜": "키",
    "겨": "기",
    "셔": "시",
    "며": "미",
    "펴": "피",
    "혀": "히",
    "뎌": "디",
    "녀": "니",
}


def turned(body: str, level: SpeechLevel) -> str | None:
    """The sentence in -군요 or -구나; `body`: without what it ends with."""
    polite = level is SpeechLevel.HAEYO
    plain, verbal = ("군요", "는군요") if polite else ("구나", "는구나")
    if found := _MEANS_TO.search(body):
        return body[: found.end(1)] + "려" + verbal
    if found := _GOING_ON.search(body) or _WILL.search(body):
        return body[: found.end(1)] + ("이" if found[1] == "중" else "") + plain
    if found := _WISH.search(body):
        return body[: found.end(1)] + ("으시" if polite else "") + plain
    if found := _FEELING.search(body):
        return body[: found.end(1)] + "하" + plain
    if found := _ADJECTIVE.search(body):
        return body[: found.start()] + _ADJECTIVES[found[1]] + plain
    if found := _NOUN.search(body):
        return body[: found.end(1)] + ("이" if final(found[1]) else "") + plain
    return _of_past(body, plain) or _of_present(body, plain, verbal) or _of_any(body, plain)


def _of_present(body: str, plain: str, verbal: str) -> str | None:
    """Where the ending shows the stem, and that it is a verb's or an adjective's."""
    if found := _ADJECTIVE_STEM.search(body):
        return body[: found.end(1)] + plain
    if found := _VERBAL.search(body) or _BARE.search(body):
        return body[: found.end(1)] + verbal
    if found := _IS_INFORMAL.search(body):
        return body[: found.start()] + _INFORMAL[found[1]] + verbal
    if (found := _PLAIN.search(body)) and final(found[1][-1]) == "ㄴ" and found[1][-1] not in "인안":
        return body[: found.end(1) - 1] + with_final(found[1][-1], "") + verbal
    return None


def _of_past(body: str, plain: str) -> str | None:
    for found in re.finditer(r"[가-힣]", body):
        syllable, rest = found[0], body[found.end() :]
        is_past = final(syllable) == "ㅆ" and syllable not in _GUESS
        if rest and (is_past or syllable in _LIKE_PAST) and re.fullmatch(_ENDING, rest):
            return body[: found.end()] + plain
    return None


def _of_any(body: str, plain: str) -> str | None:
    """Other endings: of what was seen or heard, guesses, nominal forms, and last the bare present."""
    return (
        _of_hearsay(body, plain)
        or _of_guess(body, plain)
        or _of_noun(body, plain)
        or _of_nominal(body, plain)
        or _of_bare_present(body, plain)
    )


def _in_past(stem: str, plain: str) -> str | None:
    told = past(stem)
    return told + plain if told is not None else None


def _of_hearsay(body: str, plain: str) -> str | None:
    if found := _HEARD.search(body):
        is_told = final(found[1]) in ("ㅆ", "ㅄ", "ㄴ") or found[1] in "좋많싫같높"
        return body[: found.end(1)] + "다는" + plain if is_told else None
    if (found := _NOUN_HEARD.search(body)) and final(found[1]):
        return body[: found.end(1)] + "이" + plain
    found = _SEEN.search(body)
    return _in_past(body[: found.end(1)], plain) if found and not _NOT_SEEN.search(found[1]) else None


def _of_guess(body: str, plain: str) -> str | None:
    if found := _GUESSED.search(body):
        return None if _NO_GUESS.search(body) else body[: found.end(1)] + plain
    if found := _ABOUT_TO.search(body) or _INTENDS.search(body):
        return body[: found.end(1)] + " 하는" + plain
    if found := _AS_IF.search(body):
        return body[: found.end(1)] + " 것 같" + plain
    if (found := _SEEMS.search(body)) and found[1] in "나가까":
        return body[: found.end(1)] + " 보" + plain
    if found := _DOES.search(body):
        return body[: found.end(1)] + "하는" + plain
    if found := _NEARLY.search(body):
        return body[: found.start()] + "뻔했" + plain
    return None


def _of_noun(body: str, plain: str) -> str | None:
    if found := _DONE.search(body):
        return body + "했" + plain
    if found := _THING.search(body):
        return body[: found.start()] + "거" + plain
    if found := _NOUN_INFORMAL.search(body):
        is_closed = bool(final(found[1]))
        # 이야 after an open syllable is the noun's own: 고양이야.
        return body[: found.end(1)] + ("이" if is_closed else "") + plain if is_closed or "인데" in found[0] else None
    return None


def _of_nominal(body: str, plain: str) -> str | None:
    """밥만 먹음: 밥만 먹었구나."""
    if found := _ADJECTIVE_NOMINAL.search(body):
        return body[: found.end(1)] + plain
    if _NO_NOMINAL.search(body) or body.endswith(("긴함", "진함")) or not _NOMINAL.search(body):
        return None
    if body.endswith("음"):
        return _in_past(body[:-1], plain) if final(body[-2]) and final(body[-2]) not in "ㅆㅄ" else None
    return _in_past(body[:-1] + with_final(body[-1], ""), plain)


def _of_bare_present(body: str, plain: str) -> str | None:
    """매일 같은 자리에 앉아요: 매일 같은 자리에 앉는군요."""
    if (found := _PLAIN.search(body)) and not body.endswith("니다"):
        stem = found[1]
        is_adjective = len(stem) > 1 and final(stem[-1]) not in ("ㄴ", "ㅆ") and not _NO_ADJECTIVE.search(body)
        return body[:-1] + plain if is_adjective else None
    if found := _EXCLAIMED.search(body):
        return _exclaimed(body[: found.end(1)], plain)
    if body.endswith("습니다"):
        return _now(body[:-3], plain)
    if (found := _FORMAL.search(body)) and final(found[2]) == "ㅂ":
        return _now(body[: found.start(2)] + with_final(found[2], ""), plain)
    if found := _OTHERS.search(body):
        return body[: found.end(1)] + "시는" + plain
    stem = _stem_of(body.removesuffix("요"))
    return _now(stem, plain) if stem is not None else None


def _now(told: str, plain: str) -> str:
    """`told`: the sentence up to the stem."""
    if _ADJECTIVE_STEMS.search(told.split(" ")[-1]):
        return told + plain
    # 놀 takes -는 as 노.
    stem = with_final(told[-1], "") if final(told[-1]) == "ㄹ" else told[-1]
    return told[:-1] + stem + "는" + plain


def _exclaimed(told: str, plain: str) -> str | None:
    """`told`: what stands before -네, which nouns take as well; None where it is neither a noun nor surely a stem."""
    word = told.split(" ")[-1]
    if _ADJECTIVE_STEMS.search(word) or (word.endswith("이") and final(word[-2:-1])):
        return told + plain
    return told + "는" + plain if word.endswith(("하", "시")) and len(word) > 1 else None


def _stem_of(informal: str) -> str | None:
    """앉아 to 앉, 놀려 to 놀리; None where it is no informal form, or only a dictionary tells the stem."""
    word = informal.split(" ")[-1] if informal else ""
    if not word or _NO_INFORMAL.search(word) or (word[-1] in "나가" and not _ENDS_IN_NA_OR_GA.search(word)):
        return None
    for end, stem in _LONGEST_FIRST:
        if informal.endswith(end):
            return informal[: -len(end)] + stem
    last, before = word[-1], word[-2:-1]
    if last in "아어" and before and final(before) not in ("", "ㅆ", "ㄹ"):
        return informal[:-1]
    if last == "워" and not _IN_U.search(word) and before:
        return informal[:-2] + with_final(before, "ㅂ") if not final(before) else None
    if last == "워":
        return informal[:-1] + "우"
    if last in "라러" and final(before) == "ㄹ":
        return informal[:-2] + with_final(before, "") + "르"
    return informal[:-1] + _OPENED[last] if last in _OPENED else None
