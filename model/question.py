"""What a question asks for, by its form: whether to do it, whether it is all right, why, how. No dependencies.

A Korean question tells by its ending and its interrogative what kind of answer fits, whatever it is about; part of it,
the echo, can be given back in the answer ("먼저 연락해 볼까요?": "연락해 보는 쪽에 한 표요!"). The answers are
listening lines (`model.listener.ASKED`), one class a form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from model.dialogue import SpeechLevel
from model.hangul import final, with_final
from model.lines import is_question
from model.reflection import sentences
from model.text import clean_text


@dataclass(frozen=True, slots=True)
class Asked:
    """`form`: the act of the class that answers; `echo`: words of the question for its answer, "" where none are."""

    form: str
    echo: str = ""


WHO_IT_IS = "사람인지 물음"
"""The form of a question whether the bot is a human or a machine."""
_MOST_CHARACTERS = 20
# Of a sentence no more is read: patterns that look for an ending take the square of its length.
_READ = 100
_ENDS = re.compile(r"[^가-힣A-Za-z0-9]+$")
_INTERROGATIVE = re.compile(
    "(?:^| )(?:뭐|뭘|뭔|무슨|무엇|어디|언제|누가|누구|어떤|어느|왜|어떻게|어케|얼마|몇|며칠)|뭐(?:가|를|야|예요"
    "|죠|지|부터|로|하)"
)
# Without a question mark, only these endings ask; and what looks like a question may be an exclamation or a quotation.
_ASKS = re.compile(
    "(?:까|까요|냐|니|[있없하되했됐]나요?|[은는인런한]가요?|려나|죠|지|뭐해|뭐함|어때요?|할래|추천[가-힣 ]*|줘요?"
    "|주세요|골라봐|어떡해요?|돼)$"
)
_ASKS_NOTHING = re.compile(
    "지 ?뭐(?:예요|야|유|람)|다니까|모르겠|모르는|(?:[냐다자]|(?<!뭐)라)고|뭐라 ?하|[ㄴ는인은]지 ?(?:몰라|모르)|말이죠"
    "|[었았했갔왔팠]지$|야지$|거든$|게요?$"
)
_BOT = (
    "(?:너|넌|널|니|네가|니가|당신|유희|말벗|봇|AI|인공지능|로봇)(?:님|씨)?"
    "(?:[은는이가도을를의]|이?라는|이?라면|한테|에게|이?야|이랑|랑)?"
)
_ABOUT_BOT = re.compile(f"(?:^| ){_BOT}(?= |$)")
_WHO_IT_IS = re.compile("(?:사람|인간|알바|상담원|직원|로봇|기계|AI|인공지능|챗봇|가짜|프로그램)[가-힣 ]{0,10}$")
_INVITED = re.compile("(?:만나|(?:^| )가|러 ?가|[에서] 보)자$")
_BEHIND = re.compile(
    "(?:사람|인간)(?:이에요|이야|이세요|인가요)? (?:아니면 )?(?:로봇|AI|봇|기계|프로그램)"
    "|(?:로봇|AI|봇|기계)(?:이에요|예요|이야|야)? 사람|뒤에 (?:사람|누구|누가|직원)|인 ?척"
    "|(?:^| )(?:저|나)랑 |말 ?(?:거는|걸어)"
)
_OF_TASTE = re.compile(
    "좋|싫|고르|고를|고른|제일|최애|취향|편이|[형파]이?야|라면|같으면|하고 ?싶|할래|할 ?거|꼽|뭐함|뭐해"
)
_BOT_TOO = re.compile("(?:^| )(?:너|당신|유희|말벗|봇|AI|인공지능|로봇)(?:님|씨)?도 ")
_SPEAKER = re.compile("(?:^| )(?:나|저|내|제|날|절|내가|제가|우리|저희)(?:한테|를|만|랑|보다|도|는|가|의)?(?= |$)")
# What may do harm when a machine says yes to it.
_RISKY = re.compile(
    "약|먹여|먹어도|아기|강아지|고양이|거북|애벌레|술|운전|미세먼지|상처|피가|병원|열이|열나|임신|전기|가스|타는"
    "|탄내|냄새|수술|주사|다쳤|혈압|당뇨"
    "|콜레스테롤|코인|주식|대출|빚|이혼|헤어|퇴사|그만둘|그만둬|자퇴|휴학|때려|고소|신고|파혼|보증|부었|아픈데"
    "|아파|믿어도|전과|이직"
)
# What the bot neither answers by form nor takes into its mouth.
_HARMFUL = re.compile(
    "죽|자살|자해|칼|때리|패주|복수|훔|불법|폭탄|총기|마약|해킹|비밀번호|주민번호|계좌|협박|스토킹|몰카|몰래 ?찍"
    "|야한|섹스|벗|욕"
    r"|[\"“”'‘’`{}\[\]<>:;*\\/|=@#]|[0-9]{4}"
)
_WORRY = re.compile(
    "(?:이상|유난|주책|나쁜|나쁠|부담|유치|촌스|오바|에바|오버|초딩|민폐|실례|예민|이기적|유별|철없|늙어 ?보|못난"
    "|바보|과한|어색|별로|늦은|늦었|늦을"
    "|나댄|지는 걸|지는 거|너무한|쪼잔|찌질|속 ?좁|까다로|부끄러운|특이)[가-힣 ]{0,6}$"
)
_MAY = re.compile("([가-힣]*[가-힣]도) ?(?:될까|되나|돼|되는|됨|괜찮|되겠|되지|되죠|될는지)[가-힣]*$")
_MUST = re.compile("([가-힣]+)야 ?(?:할까|하나|되나|돼|될까|하는|되는|하지|되지|하죠|되죠|됨|함|해)[가-힣]*$")
_NOT_SO = re.compile("([가-힣]+)지 ?(?:않아|않나|않냐|않음|않니)[가-힣]*$")
_AFTER_ALL = re.compile("([가-힣]+)잖아요?$")
_SURELY = re.compile("([가-힣]*겠)(?:지요|지|죠)$")
_RIGHT = re.compile(
    "(?:[가-힣](?:지요|지|죠)|안 ?그래요?|맞아요?|맞나요?|맞음|나만 ?그래요?|나뿐임|나만 ?그런가요?"
    "|저만 ?그런 ?(?:가요|걸까요)|실화냐|말이 ?되냐|인정|용서 ?가능|반박 ?가능|미친거 ?아님)$"
)
_OPEN_OR_OPINION = re.compile(
    "역시|대박|그쵸|그치|어이없|겠[지죠]|실화|최고|말이 ?되|뭐|뭘|어디|언제|누구|어떻|어케|무슨|왜|얼마|몇|어쩌|어떡"
    "|만 ?그런"
)
_WHY = re.compile("왜.*$")
# Of their own state, nobody is told that the bot wonders as well; and "왜 졌냐" wants no reason.
_OWN_STATE = re.compile("잠이|졸[려리]|눈물|기분이|입맛|피곤|배고|심심|떨리|긴장|몸이|머리가|콧노래")
_LAMENT = re.compile("[았었했졌샀갔왔봤났켰췄](?:냐|지|니)$")
_HOW = re.compile("어떻게|어케|방법|요령|비결|꿀팁|[가-힣]는 법|[는한] 팁")
_AT_A_LOSS = re.compile("(?:어떡하|어떡해|어쩌[지죠]|어쩜|어떻하)[가-힣]*$")
_KNOWN = re.compile(
    "([가-힣0-9]+(?: [가-힣0-9]+)*) ?(?:아세요|알아요?|아는 ?거 ?있어요?|아시나요|알고 ?있어요?|아나요)$"
)
_PROPOSED = re.compile("([가-힣A-Za-z0-9]+) (?:어때|어떨까|어떤가)(?:요|[가-힣]{0,3})$")
_HELD_TRUE = re.compile("([가-힣]+다)고 (?:생각하|생각해|보세|봐|보니|믿)[가-힣]*$")
_OPINION = re.compile("어(?:떻게|케) ?생각|어떤 ?것? ?거? ?같|가능하다고 봐|라고 생각해")
_LIKED = re.compile("([가-힣A-Za-z0-9]+?)[을를은는도]? (?:좋아|즐겨)(?:해|하)[가-힣]*$")
_NOTHING_TO_LIKE = re.compile("뭐|거|더|날|것|나|제일|얘기|이야기|때")
_DONE = re.compile("(?:봤어|봤니|봤냐|봤나|보셨[가-힣]*|[본한] ?적 ?있[가-힣]*|본적[가-힣 ]*)$")
# An honorific without a subject speaks of whoever is asked.
_OF_LISTENER = re.compile("(?:(?<![아주])세요|시나요|신가요|셨나요|셨어요)$")
_FACT = re.compile("진짜|정말|효과|다던데|[는은인한른]가요?$|려나요?$|나요$|편인가|되나|되냐|있나|있음|많이|안좋|나아")
# Forms told by a pattern alone, before those that want agreement and after them. Of health, money and what cannot be
# taken back, the bot decides nothing.
_TOLD_FIRST = ((_AT_A_LOSS, "어떡할지 모름"), (_WORRY, "괜찮은지 걱정함"))
_TOLD_THEN = (
    (_OPINION, "생각을 물음"),
    (_DONE, "해 봤는지 물음"),
    (_OF_LISTENER, "말벗도 그런지 물음"),
    (_HOW, "방법을 물음"),
    (_RISKY, "알아봐야 아는 것을 물음"),
)
_WILL = re.compile("([가-힣]+)까요?$")
_OR_NOT = re.compile("까요?,? 말까요?$")
# Something of that kind is looked for, not foretold: 읽기 좋은 소설 있을까요.
_SOUGHT = re.compile("(?:좋은|만한|맞는|쉬운|괜찮은|나은|방법|비결|요령|팁|조언|노하우) ?.*있을$")
_PREDICATE = re.compile(
    "(?:될|끝날|달라질|들킬|어울릴|이길|붙을|떨어질|(?<![고러] )올|맞을|지날|풀릴|나아질|좋아질|성공할|가능할"
    "|생길|나올|알아볼|기억할|좋아할|싫어할|맛있을"
    "|재밌을|재미있을|어려울|쉬울|필요할|있을|없을|많을|편할|통할|바뀔|클|나을|좋을|괜찮을|해할|보일|[가-힣]울"
    "|[았었셨했랐]을|않을|삐질|오래갈|달릴|빠질)$"
)
_WHAT = {
    "무엇을 선물할지 물음": re.compile("선물|답례|혼수|사드|사 드|드릴까|드리지|드리죠|드리면|해드리면"),
    "무엇을 먹을지 물음": re.compile("(?<!까)먹[지을고으어]|메뉴|반찬|안주|간식|야식|해먹|도시락"),
    "무엇을 들을지 물음": re.compile("노래|음악|들을|들으|(?<![가-힣])곡|플리|축가"),
    "무엇을 볼지 물음": re.compile("영화|드라마|(?<![가-힣])볼|웹툰|예능|소설|애니"),
    "무엇을 입을지 물음": re.compile("입[고지을어는]|코디|신을|신어|출근룩|반티"),
    "무엇이라 말할지 물음": re.compile("뭐라|말해|말하|답해|답장|거절|대답|무슨 ?말|무슨 ?얘기|무슨 ?이야기|꺼내"),
}
_MEANT = re.compile("무슨 ?(?:뜻|의미|신호|심리|마음|꿈)|어떤 ?(?:뜻|의미)")
_BY_WORD = {
    "어디인지 물음": re.compile("어디|장소|코스|곳 ?있"),
    "언제인지 물음": re.compile("언제|몇 ?시|며칠|타이밍"),
    "얼마인지 물음": re.compile("얼마|몇|비율"),
    "누구인지 물음": re.compile("누구|누가"),
}
_RECOMMEND = re.compile("추천|꼽아|알려 ?[줘주]|만한|하기 좋은 거")
# Words that mean nothing without the one before.
_LEANS = re.compile("(?:때|거|것|건|게|걸|수|데|지|적|줄)(?:는|은|를|을|이|가|에)?")
_BEFORE_MUST = {
    "해": "하는", "가": "가는", "봐": "보는", "와": "오는", "줘": "주는", "내": "내는", "사": "사는",
    "써": "쓰는", "둬": "두는",
    "려": "리는", "켜": "켜는", "자": "자는", "타": "타는", "꺼": "끄는", "배워": "배우는", "챙겨": "챙기는",
    "맡겨": "맡기는", "맞춰": "맞추는", "바꿔": "바꾸는", "골라": "고르는", "쉬어": "쉬는", "키워": "키우는",
    "옮겨": "옮기는",
}  # fmt: skip


def asked(text: str, level: SpeechLevel) -> list[Asked]:
    """The forms of the question that `text` ends with, the surest first; none where it asks nothing that is known."""
    if _HARMFUL.search(text):
        return []
    if _INVITED.search(_ENDS.sub("", text[-_READ:])):
        return [Asked("같이 가자고 함")]
    body = _question(clean_text(text))
    if body is None:
        return []
    if _ABOUT_BOT.search(body) or _BEHIND.search(body):
        return _about_bot(body)
    is_open = _INTERROGATIVE.search(body) or _RECOMMEND.search(body)
    forms = _open(body, level) if is_open else _closed(body, level)
    return [Asked(each.form) if _SPEAKER.search(each.echo) else each for each in forms]


def _question(text: str) -> str | None:
    """The last sentence that asks, without what it ends with.

    Without a question mark, -지 asks only where it is an opinion.
    """
    for sentence in reversed([each for each in sentences(text) if each]):
        body = _ENDS.sub("", sentence)[-_READ:]
        if "?" in sentence and not body.endswith("거든"):
            return body
        is_told = _ASKS_NOTHING.search(body) or (_RIGHT.search(body) and not _OPEN_OR_OPINION.search(body))
        if _AT_A_LOSS.search(body) or (is_question(sentence) and not is_told and _ASKS.search(body)):
            return body
    return None


def _about_bot(body: str) -> list[Asked]:
    if _WHO_IT_IS.search(body):
        return [Asked(WHO_IT_IS)]
    if told := _liked(body) or _held_true(body):
        return [told]
    if _DONE.search(body):
        return [Asked("해 봤는지 물음")]
    if _OPINION.search(body):
        return [Asked("생각을 물음")]
    if _BOT_TOO.search(body):
        return [Asked("말벗도 그런지 물음")]
    is_of_taste = _OF_TASTE.search(body) and not re.search("음식|이야기|얘기|이름", body)
    return [Asked("말벗의 취향을 물음")] if is_of_taste else []


def _liked(body: str) -> Asked | None:
    found = _LIKED.search(body)
    is_thing = found is not None and not _NOTHING_TO_LIKE.fullmatch(found[1])
    return Asked("좋아하는지 물음", found[1]) if found is not None and is_thing else None


def _held_true(body: str) -> Asked | None:
    found = _HELD_TRUE.search(body)
    return Asked("그렇다고 보는지 물음", _last_words(body[: found.end(1)])) if found is not None else None


def _open(body: str, level: SpeechLevel) -> list[Asked]:
    """Questions with an interrogative, or for something to be recommended."""
    if found := _WHY.search(body):
        if _LAMENT.search(body):
            return []
        return [Asked("까닭을 물음", "" if _OWN_STATE.search(body) else _wondered(found[0], level))]
    if _OPINION.search(body):
        return [Asked("생각을 물음")]
    if _MEANT.search(body):
        return [Asked("무슨 뜻인지 물음")]
    forms = [Asked(form) for form, words in _WHAT.items() if words.search(body)][:1]
    forms += [Asked(form) for form, words in _BY_WORD.items() if words.search(body)][:1]
    forms += [Asked(form) for form, words in (("방법을 물음", _HOW), ("추천을 바람", _RECOMMEND)) if words.search(body)]
    return forms or [Asked("무엇인지 물음")]


def _closed(body: str, level: SpeechLevel) -> list[Asked]:
    """Questions that want a yes or no, or somebody who agrees."""
    for pattern, form in _TOLD_FIRST:
        if pattern.search(body):
            return [Asked(form)]
    if forms := _agreeing(body, level):
        return forms
    if found := _KNOWN.search(body):
        return [Asked("아는지 물음", _last_words(found[1]))]
    if told := _liked(body) or _held_true(body):
        return [told]
    for pattern, form in _TOLD_THEN:
        if pattern.search(body):
            return [Asked(form)]
    return _whether(_OR_NOT.sub("까", body))


def _whether(body: str) -> list[Asked]:
    """To do it or not, and whether it will be so."""
    if found := _MAY.search(body):
        return [Asked("해도 되는지 물음", _last_words(body[: found.end(1)]))]
    if found := _MUST.search(body):
        doing = _adnominal(found[1])
        return [Asked("해야 하는지 물음", _last_words(body[: found.start(1)] + doing) if doing else "")]
    if (found := _PROPOSED.search(body)) and not found[1].endswith(("데", "까", "건", "면", "중")):
        return [Asked("어떤지 물음", found[1])]
    if "어때" in body or "어떨" in body:
        return [Asked("하려는 일을 물음")]
    if found := _WILL.search(body):
        return [_foretold(body[: found.end(1)])]
    return [Asked("알아봐야 아는 것을 물음")] if _FACT.search(body) else []


def _foretold(body: str) -> Asked:
    """`body`: before -까, 연락해 볼 or 비가 올."""
    if body.endswith(("걸", "은", "인", "일")):
        return Asked("그런 것인지 물음")
    if _SOUGHT.search(body):
        return Asked("추천을 바람")
    if _PREDICATE.search(body):
        return Asked("어떻게 될지 물음", _last_words(body))
    if final(body[-1]) != "ㄹ":
        return Asked("하려는 일을 물음")
    doing = "는" if body[-1] == "을" else with_final(body[-1], "") + "는"
    return Asked("할지 말지 물음", _last_words(body[:-1] + doing))


def _agreeing(body: str, level: SpeechLevel) -> list[Asked]:
    """Whoever asks so wants to hear the same again."""
    ending = "죠" if level is SpeechLevel.HAEYO else "지"
    if found := _NOT_SO.search(body) or _AFTER_ALL.search(body) or _SURELY.search(body):
        return [Asked("맞장구를 바람", _last_words(body[: found.end(1)] + ending))]
    return [Asked("맞장구를 바라는 물음")] if _RIGHT.search(body) else []


def _wondered(question: str, level: SpeechLevel) -> str:
    """왜 이렇게 우울하냐: 왜 이렇게 우울할까요; "" where only a dictionary knows."""
    ending = "까요" if level is SpeechLevel.HAEYO else "까"
    if len(question) > 2 * _MOST_CHARACTERS:
        return ""
    if found := re.search("거(?:야|예요|에요|임|지|죠|냐|니|지요)$", question):
        return question[: found.start()] + "걸" + ending
    found = re.search("(?:까요|까|냐|니|지요|지|죠|나요|나)$", question)
    if found is None or question[found.start() - 1 : found.start()] in ("는", "은", "", " "):
        return ""
    stem = question[: found.start()]
    if found[0].startswith("까"):
        return stem + ending
    if final(stem[-1]) in ("", "ㄹ"):
        return stem[:-1] + with_final(stem[-1], "ㄹ") + ending
    return stem + "을" + ending if final(stem[-1]) in ("ㅆ", "ㅍ", "ㄱ", "ㄶ", "ㅀ", "ㅎ", "ㅄ", "ㅈ") else ""


def _adnominal(connective: str) -> str:
    """인사해 to 인사하는; "" where only a dictionary knows."""
    for end, stem in _BEFORE_MUST.items():
        if connective.endswith(end):
            return connective[: -len(end)] + stem
    before = connective[-2:-1]
    if connective[-1] in "어아" and before and final(before) not in ("", "ㄹ", "ㅆ"):
        return connective[:-1] + "는"
    return ""


def _last_words(text: str) -> str:
    """The last words, as many as are short enough; a clause that ended before is left out."""
    kept: list[str] = []
    for word in reversed([word for word in text.split() if word != "혹시"]):
        ends = re.search("(?:는데|은데|인데|한데|던데|다가|니까|면서|려고|더니|길래|까|고|서|면|요|다)$", word)
        if kept and (ends or len(" ".join([word, *kept])) > _MOST_CHARACTERS):
            break
        kept.insert(0, word)
    return " ".join(kept[1:] if len(kept) > 1 and _LEANS.fullmatch(kept[0]) else kept)
