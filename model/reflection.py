"""What was just said, said back: "저 오늘 만점 받았어요!!" gives "오늘 만점 받았군요". Standard library only.

Reflective listening (Rogers 1951; in a program first by ELIZA, Weizenbaum 1966): a general reply becomes one about this
very line when the end of the line stands before it. Korean ends a sentence with its verb, and whatever precedes may be
left out, so the last words say the most and are a sentence by themselves. Only endings that turn into -군요 (-구나)
without a dictionary are read: the past, nouns with the copula, intentions, the present where adjectives can be told.
"""

from __future__ import annotations

import re

from model.dialogue import SpeechLevel
from model.hangul import final, with_final
from model.text import clean_text

_MOST_CHARACTERS = 18
_LEAST_CHARACTERS = 5
# What may follow a stem in a statement.
_ENDING = (
    r"(?:어요|어|아요|아|습니다|슴다|음|네요|네|거든요|거든|지요|죠|다|답니다|는데요|는데|고요|구요|더라고요|더라구요"
    r"|더라고|더라구|더라|더군요|지 뭐예요|지 뭐야|어용|어여)?$"
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
    "(피곤|심심|우울|행복|불안|답답|뿌듯|서운|섭섭|억울|속상|궁금|신기|허전|미안|막막|조용|따뜻|시원|든든|편안|편|초조|긴장"
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
    " 나": " 나", " 울어": " 우",
}  # fmt: skip
_IS_INFORMAL = re.compile(rf"(?<!다)({'|'.join(_INFORMAL)})요$")
_ADJECTIVE_STEM = re.compile(
    "((?:[좋많싫높낮깊짧길넓맑밝얕젊굵덥춥맵쉽짜]|괜찮|귀찮|하얗|빨갛|노랗|비싸|아프|바쁘|슬프|고프|예쁘|기쁘|나쁘|빠르"
    "|다르|흐리|힘들|어렵|무겁|가볍|무섭|귀엽|아깝|부럽|아쉽|그립|외롭|고맙|반갑|즐겁|더럽|가깝|시끄럽))(?:네요|네|더라고요|더라구요|더라)$"
)
_NOUN = re.compile(r"([가-힣])(?:이에요|예요|입니다|(?<![보쌓줄먹움죽꼬높녹끓속썩붙덮직설덕짝들늘숙모절])(?:임|이다))$")
_GOING_ON = re.compile(r"(중)(?:이에요|이야|임|입니다)?$")
_MEANS_TO = re.compile(r"([가-힣])(?:려고|려구)(?:요|해요|해)?$")
_WILL = re.compile(r" ?(거)(?:예요|에요|야|임|입니다)$")
_SENTENCE = re.compile(r"(?<=[.!?~…])\s+|\n")
# General listening: 그랬군요, 그렇구나, 그래요?
_NODS = re.compile(r"(?:군요|구나|그래요|그래|그랬어요|그랬어)[.!?~]*$")
_TAIL = re.compile(r"(?:[^가-힣?]|(?<![가-힣])(?:허허|하하|대박|진짜|오늘)$)+$")
_ASKED = re.compile(r"\?|왜|뭐|뭔|무슨|어디|누구|누가|언제|몇|어느|얼마|어떡|어떻|어떤")
# What is no plain talk is not taken into the bot's mouth: quotations, code, rules, numbers; nor what is said of the bot
# itself, nor a wish to be gone, which has answers of its own.
_NOT_SAID_BACK = re.compile(
    r"[\"“”'‘’`{}\[\]<>:;*\\/|=@#]|[0-9]{4}|죽|자살|자해|사라지|없어지고|끝내고|뛰어내리"
    r"|(?:^| )(?:너|넌|널|니|네가|당신|말벗|챗봇|봇)(?:[은는이가를도의]|님|한테|에게|보고)*(?= |$)"
)
# Words that end a clause or, where people leave out the full stop, a sentence: what follows stands by itself.
_CLAUSE = re.compile(
    r"(?:는데|은데|인데|한데|고|(?<![에께])서|니까|면|지만|다가|더니|느라|려고|자마자|길래|해도|어도|아도|으며|다며|요"
    r"|니다|[가-힣][음임함]|[았었했갔왔됐봤났샀졌렸줬켰셨겠있][어다음]|없[어다음])$"
)
_LIKE_CLAUSES = re.compile(
    "(?:(?:짜장|라|냉|화|장|쫄|비빔|가|전|수|표)면|(?:창|광|사|최|재|냉장|중|참)고|(?:부|순|독|유|원|각|약|자소|이력|보고)서"
    "|다음|처음|마음|모임|웃음|믿음|얼음|요즘|게임|타임|책임|속임|걸음|담임|함)$"
)
# What follows these goes with them: 하고 있다, 하고 싶다.
_AUXILIARY = re.compile(r"^(?:있|계|싶|나|말|왔|갔|살|다니)")
# Words that mean nothing without the one before: 할 때, 것, 한 지, 열 개.
_LEANS = re.compile(
    "^(?:때|때문|것|거|게|지|채|적|줄|수|데|김|동안|만에|중에|개|번|명|살|쪽|분|시|원|년|월|일|달|주|해|시간|군데|마리|잔|권|장"
    "|정도|만큼|대로)(?:[은는이가을를에도만]|부터|까지|째|이나|나|씩|에서|마다|정도|지나도록)*$"
)
_BOUND = re.compile("[안잘더덜첫맨꼭]")
# Who speaks, and what joins lines: nothing is lost without them.
_DROPPED = re.compile(
    "(?:나|저|나는|저는|난|전|내가|제가|내|제|우리|저희|근데|그런데|그래서|그리고|아니|와|아|헐|어제는|방금은|그냥|사실|일단)"
)
_ABOUT_US = re.compile(
    "(?:나|저|내|제|날|절|너|넌|널|니|당신|말벗|봇)(?:한테|를|만|랑|보다|보고|에게|도|가|는|밖에|님|의)*"
    "|우리[가-힣]+|[내제](?:돈|폰|방|차|거|꺼|건|집|옷|몸|책|자리|생일|친구|남친|여친)[가-힣]*"
)
# Words that were said of what stood before them: 하기로 한 사람, 내가 본 드라마.
_SAID_OF = re.compile("(?:하기로|하는|하던|했던|되는|보는|보던|보고|먹은|찍은|받은|만든|같은)")


def reflected(text: str, level: SpeechLevel) -> str | None:
    """The end of `text` as news to the listener, without a full stop; None where it is no statement that can be turned.

    What it says of the speaker must hold from the listener's mouth, so words about either of the two are left out, and
    where that cannot be, so is all.
    """
    sentence = _SENTENCE.split(clean_text(text))[-1]
    body = _TAIL.sub("", sentence)
    is_plain = not (_ASKED.search(body) or "?" in sentence or _NOT_SAID_BACK.search(text))
    turned = _turned(body, level) if is_plain else None
    if turned is None:
        return None
    words = _last_words(turned.split())
    said = " ".join(words)
    return said if len(said) >= _LEAST_CHARACTERS and len(words) > 1 else None


def _turned(body: str, level: SpeechLevel) -> str | None:
    """The sentence in -군요 or -구나."""
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
    return _of_past(body, plain) or _of_present(body, plain, verbal)


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


def _last_words(words: list[str]) -> list[str]:
    """The last clause, at most _MOST_CHARACTERS of it, without words about the speaker; none where these cannot go."""
    kept: list[str] = []
    for word in reversed(words):
        if kept and (_ends_clause(word, kept) or len(" ".join([word, *kept])) > _MOST_CHARACTERS):
            break
        if _DROPPED.fullmatch(word):
            continue
        if _ABOUT_US.fullmatch(word):
            break
        kept.insert(0, word)
    while kept and len(kept) < len(words) and _hangs(kept[0]):
        del kept[0]
    return kept


def _hangs(word: str) -> bool:
    """Whether a word means nothing, or something else, without the one before it; 한, 본 and 할 do."""
    is_adnominal = len(word) == 1 and final(word) in ("ㄴ", "ㄹ") and not _BOUND.fullmatch(word)
    return bool(is_adnominal or _LEANS.search(word) or _SAID_OF.fullmatch(word))


def _ends_clause(word: str, following: list[str]) -> bool:
    """Whether `word` ends what goes before `following`."""
    if not _CLAUSE.search(word) or _LIKE_CLAUSES.search(word):
        return False
    # One word alone says too little; what was done first goes with it: 늦잠 자서 지각했군요.
    goes_on = _AUXILIARY.search(following[0]) if word.endswith("고") else None
    return not (goes_on or (len(following) == 1 and word.endswith(("고", "서", "다가"))))


def with_reflection(reflection: str, reply: str) -> str | None:
    """`reply` after what was said; None where it is nothing but such a sentence itself ("그랬군요.").

    The first sentence goes where it does the same in general.
    """
    own = sentences(reply)
    if len(own) > 1 and _NODS.search(own[0]):
        own = own[1:]
    if _NODS.search(own[0]):
        return None
    return f"{reflection}{'!' if own[0].endswith('!') else '.'} {' '.join(own)}"


def sentences(text: str) -> list[str]:
    """The sentences of a line of ours, where each ends with a mark and a space."""
    return _SENTENCE.split(text)
