"""What was just said, said back: "저 오늘 만점 받았어요!!" gives "오늘 만점 받았군요". Standard library only.

Reflective listening (Rogers 1951; in a program first by ELIZA, Weizenbaum 1966): a general reply becomes one about this
very line when the end of the line stands before it. Korean ends a sentence with its verb, and whatever precedes may be
left out, so the last words say the most and are a sentence by themselves. Which endings turn
into -군요 (-구나) is told in `model.turning`.
"""

from __future__ import annotations

import re

from model.dialogue import SpeechLevel
from model.hangul import final
from model.text import clean_text
from model.turning import turned

_MOST_CHARACTERS = 22
_LEAST_CHARACTERS = 5
# Of a sentence no more is read: patterns that look for an ending take the square of its length.
_READ = 100
_SENTENCE = re.compile(r"(?<=[.!?~…])\s+|\n")
# What people type stops at laughter and tears as well.
_TYPED_SENTENCE = re.compile(r"(?<=[.!?~…ㅋㅎㅠㅜ])\s+|\n")
# General listening: 그랬군요, 그렇구나, 그래요?
_NODS = re.compile(r"(?:군요|구나|그래요|그래|그랬어요|그랬어)[.!?~]*$")
_TAIL = re.compile(
    r"(?:[^가-힣?]|(?<![가-힣])(?:허허|하하|대박|진짜|오늘|감동|하|하아|휴|에휴|흑|아이고|개꿀|개이득|꿀|굿|실화|최고|힐링|뿌듯|울컥|민망|씁쓸"
    r"|(?:미쳤|망했|망쳤)(?:다|어|음|네|어요|네요|습니다)|망함|미침)$)+$"
)
# 갔지 뭐예요 is no question; 했어욬ㅋㅋ, 보냈다아아.
_EXCLAIMED = re.compile("지 ?뭐(?:예요|에요|야|유|람)")
_TYPED_YO = re.compile("[욬욥욧염]$")
_NO_VERB = re.compile("(?:에서|에게서|한테서|부터|까지)$")
_LENGTHENED = re.compile("(?<=[다네])[아앙]+$")
_ASKED = re.compile(r"왜|뭐|뭔|무슨|어디|누구|누가|언제|몇|어느|얼마|어떡|어떻|어떤")
_PARTICLES = "(?:한테|에게|보다|보고|밖에|[는가를도의만랑])*"
# What is no plain talk is not taken into the bot's mouth: quotations, code, rules, numbers; nor what is said of the bot
# itself, nor a wish to be gone, which has answers of its own.
_NOT_SAID_BACK = re.compile(
    r"[\"“”'‘’`{}\[\]<>:;*\\/|=@#]|[0-9]{3}|[0-9] ?호|주소|필터|비밀|죽|자살|자해|사라지|없어지고|끝내고|뛰어내리"
    rf"|(?:^| )(?:너|넌|널|니|네가|당신|말벗|챗봇|봇)님?(?:[은이을]|{_PARTICLES})(?= |$)"
)
# What hurts when a listener says it of somebody, or of what is theirs.
_UNKIND = re.compile(
    "(?<!민)망[했쳤하친]|못하는(?:군|구나)|못났|못생|멍청|바보|미쳤|웃기는|한심|찌질|뚱뚱|쪘|찌는|늙|쓰레기|노답|무능|게으르|형편없"
    "|최악|엉망|호구|민폐|꼰대|눈치 ?없|철없|소심|쫄보|겁쟁이|꼴찌|백수|모쏠"
)
# Words that end a clause or, where people leave out the full stop, a sentence: what follows stands by itself.
_CLAUSE = re.compile(
    r"(?:는데|은데|인데|한데|고|(?<![에께])서|니까|면|지만|다가|더니|느라|려고|자마자|길래|해도|어도|아도|으며|다며|요"
    r"|니다|[가-힣][음임함됨]|[올걸달밀들열팔풀떨잘]림|시킴|[가-힣]힘|[혼끝일늘떠]남|[보지끝혼]냄|[어아터깨빠려커]짐"
    r"|[있없][어다음]|거든)$"
)
# Forms that end a sentence where no auxiliary verb follows: 무서워 | 사랑니 뽑는대, but 무서워 죽겠다.
_INFORMAL = re.compile(
    "(?:(?<!샤)(?<!파)(?<!타)워|(?<![올새이방피오화손재남동서북])해|아파|예뻐|기뻐|슬퍼|바빠|고파"
    "|(?<!시간)(?<!공간)(?<![군현연반인])(?:[간온된난란운인든]|[가-힣]한|는)대요?)$"
)
_FOLLOWS_VERB = re.compile(
    "^(?:있|계|싶|보|봤|봐|본|볼|봄|놓|놨|놔|두|둔|둬|뒀|줬|주|줄|준|줌|줘|드|버|가|갔|간|갈|감|오|왔|온|올|옴|와|나|났|난"
    "|내|냈|낸|대|댔|죽|미치|미칠|하|했|한|함|할|해|지|졌|치|쳐|쌓|빠|먹|뜨|말|살|다니|야|도|서|못)"
)
# What wants an answer, and what limits what stands before it.
_CHANGES = re.compile(
    "(?:말아|줘|줘라|주라|주세요|하자|할래|까|냐|나요|[은는인한]가|니|려나|을지|겠지|겠죠|떴나)(?:요)?$"
    "|(?:^| )[저나]만(?: |$)"
)
# 갔다 왔는데, 왔다 가니.
_COMES_BACK = re.compile("^(?:왔|오니|온|와서|와요|올|가니|갔|간|가서|하더|하던|하니|하면)")
# Said after the news, about it: "폰 액정 나갔어.. 산지 일주일 됐는데".
_AFTERTHOUGHT = re.compile("(?:[는은인한던]데|거든)요?$")
# What they say of the next word, it does not say alone: 다른 회사, 첫 월급.
_DETERMINER = re.compile("다른|딴|새|새로운|첫|옛|전|여러|모든|무슨|어떤|어느|이런|그런|저런|맨|안|못")
# Where to, or from when, said after the verb: 절친이 이민간대 캐나다로.
_WHERE = re.compile("[가-힣]+(?:[으]?로|에|에서|한테|부터|까지|만에|라고)(?:요)?")
# A sentence that begins so takes back or outdoes the one before: 지갑 잃어버렸어 근데 찾았어.
_TURN = re.compile("(?:근데|그런데|하지만|그래도|결국|알고 ?보니|다행히|그래서|그러다|그랬더니|이제 ?와서)")
_PAST = re.compile("[가-힣]+(?:어|다|음|네|대|대요|어요|습니다|네요|답니다|거든|거든요)")
_LIKE_CLAUSES = re.compile(
    "(?:(?:짜장|라|냉|화|장|쫄|비빔|가|전|수|표)면|(?:창|광|사|최|재|냉장|중|참|신)고|(?:부|순|독|유|원|각|약|자소"
    "|이력|보고)서"
    "|다음|처음|마음|모임|웃음|믿음|얼음|요즘|게임|타임|책임|속임|걸음|담임|함)$"
)
_JOINS = re.compile("(?:는데|은데|인데|한데|고|서|니까|면|지만|다가|더니|느라|자마자|길래|[아어해]도)$")
# What follows these goes with them: 하고 있다, 하고 싶다.
_AUXILIARY = re.compile(r"^(?:있|계|싶|보니|보면|나|말|왔|갔|살|다니)")
# Words that mean nothing without the one before: 할 때, 것, 한 지, 열 개.
_LEANS = re.compile(
    "^(?:때|때문|것|거|게|지|채|적|줄|수|데|김|동안|만에|중에|개|번|명|살|쪽|분|시|원|년|월|일|달|주|시간|군데"
    "|마리|잔|권|장"
    "|정도|만큼|대로)(?:[은는이가을를에도만]|부터|까지|째|이나|나|씩|에서|마다|정도|지나도록)*$"
)
_AFTER_DOING = re.compile("^(?:지|뒤|후|적|것|거|말|사람)")
_BOUND = re.compile("[안잘더덜첫맨꼭]")
# Who speaks, and what joins lines: nothing is lost without them.
_DROPPED = re.compile(
    "(?:나|저|나는|저는|내가|제가|내|제|우리|저희|근데|그런데|그래서|그리고|아니|와|아|헐|어제는|방금은|그냥|사실|일단|하이|헬로|안녕|굿모닝)"
)
# "I" at the beginning, elsewhere something else: 전 화났어요, but 고장 난 거, 전 직장.
_DROPPED_FIRST = re.compile(r"^(?:난|전) (?!직장|회사|남친|여친|남자|여자|애인|팀|학년|날|주인)")
_ABOUT_SPEAKER = re.compile(
    f"(?:나|저|내|제|날|절){_PARTICLES}"
    "|우리[가-힣]+|[내제](?:돈|폰|방|차|거|꺼|건|집|옷|몸|책|자리|생일|친구|남친|여친)[가-힣]*"
)
# Words that were said of what stood before them: 하기로 한 사람, 내가 본 드라마.
_SAID_OF = re.compile(
    "(?:하기로|하는|하던|했던|되는|보는|보던|보고|먹은|찍은|받은|만든|같은|[할갈살볼올]지|말까|할까|갈까|살까|[가-힣]+던"
    "|(?:있|없|사|자|먹|쓰|타|뜨|오|가|굽|나오|다니|만나|보이|들리|놀|들어오|들어가|돌아오|나가|떠나|덮|입|신)는"
    "|[가-힣]+거리는|(?:떠난|만난|내준|보낸|나온|끝난|들린|알았던|심은|앉은|남은))"
)


def reflected(text: str, level: SpeechLevel) -> str | None:
    """The end of `text` as news to the listener, without a full stop; None where it is no statement that can be turned.

    What it says of the speaker must hold from the listener's mouth, so words about the speaker are left out, and
    where that cannot be, so is all.
    """
    if _NOT_SAID_BACK.search(text):
        return None
    typed = [each for each in _TYPED_SENTENCE.split(clean_text(text)) if _TAIL.sub("", each)]
    for sentence in _to_say_back(typed):
        said = _said_back(sentence, level)
        if said is not None:
            return None if _UNKIND.search(said) else said
    return None


def _to_say_back(typed: list[str]) -> list[str]:
    """The last sentence, or first the one before it where that tells what happened and the last but adds to it."""
    if not typed:
        return []
    *before, last = typed
    if not before or _asks(last):
        return [last]
    news = _TAIL.sub("", before[-1])
    is_exclaimed = "!" in before[-1] and "!" not in last and not _TURN.match(last)
    if _is_past(news) and (is_exclaimed or _adds(news, _TAIL.sub("", last))):
        return [before[-1], last]
    # After what happened, a word tells how it was: "모르는 분이었어요 ㅠㅠ 창피해요".
    return [last, before[-1]] if len(last.split()) == 1 else [last]


def _is_past(sentence: str) -> bool:
    last = sentence.split()[-1]
    return bool(_PAST.fullmatch(last)) and any(final(syllable) == "ㅆ" for syllable in last[:-1])


def _asks(sentence: str) -> bool:
    return "?" in sentence or bool(_ASKED.search(sentence))


def _said_back(sentence: str, level: SpeechLevel) -> str | None:
    told = _EXCLAIMED.sub("지", sentence[-_READ:])
    body = _without_addition(_LENGTHENED.sub("", _DROPPED_FIRST.sub("", _TAIL.sub("", told))))
    is_news = not _asks(told) and not _NO_VERB.search(body)
    news = turned(_TYPED_YO.sub("요", body), level) if is_news else None
    if news is None:
        return None
    words = _last_words(news.split())
    said = " ".join(words)
    return said if len(said) >= _LEAST_CHARACTERS and len(words) > 1 else None


def _without_addition(body: str) -> str:
    """새치 발견했다 나 아직 스물여덟인데: what happened is the news, and ends with a verb; the rest but adds to it."""
    words = body.split()
    ends = (number for number in range(2, len(words)) if _ends_sentence(words[number - 1], words[number]))
    number = next(ends, None)
    if number is None:
        return body
    news, rest = " ".join(words[:number]), " ".join(words[number:])
    if _WHERE.fullmatch(rest):
        return news
    return news if _adds(news, rest) and not _asks(rest) and not _CHANGES.search(rest) else body


def _adds(news: str, rest: str) -> bool:
    """Whether `rest` but adds to what is told: how it was, since when; what happened then is the news itself."""
    if _AFTERTHOUGHT.search(rest):
        return True
    return _is_past(news) and not _is_past(rest) and not _TURN.match(rest)


def _ends_sentence(word: str, following: str) -> bool:
    """Whether a sentence without a full stop ends with `word`."""
    if len(word) > 1 and final(word[-2]) == "ㅆ" and word[-1] in "어다음대":
        goes_on = _FOLLOWS_VERB if word.endswith(("있어", "있다")) else _COMES_BACK
        return not goes_on.search(following)
    is_informal = _INFORMAL.search(word) and not _FOLLOWS_VERB.search(following)
    return bool(is_informal or re.search("(?<!필)(?:니다|[가-힣]{2}요)$", word))


def _last_words(words: list[str]) -> list[str]:
    """The last clause, at most _MOST_CHARACTERS of it, without words about the speaker; none where these cannot go."""
    kept: list[int] = []
    for number in reversed(range(len(words))):
        word, following = words[number], [words[each] for each in kept]
        if kept and (_ends_clause(word, following) or len(" ".join([word, *following])) > _MOST_CHARACTERS):
            break
        if _DROPPED.fullmatch(word):
            continue
        if _ABOUT_SPEAKER.fullmatch(word):
            break
        kept.insert(0, number)
    while kept and kept[0] > 0 and _hangs(words[kept[0] - 1], [words[each] for each in kept]):
        del kept[0]
    return [words[each] for each in kept]


def _hangs(before: str, words: list[str]) -> bool:
    """Whether the first word means nothing, or something else, without the one before it; 본 and 할 do."""
    word = words[0]
    if _DETERMINER.fullmatch(before):
        return True
    if word == "한":
        # One, but for 한 지 and 한 뒤.
        return len(words) > 1 and bool(_AFTER_DOING.search(words[1]))
    is_adnominal = len(word) == 1 and final(word) in ("ㄴ", "ㄹ") and not _BOUND.fullmatch(word)
    return bool(is_adnominal or _LEANS.search(word) or _SAID_OF.fullmatch(word))


def _ends_clause(word: str, following: list[str]) -> bool:
    """Whether `word` ends what goes before `following`."""
    if _ends_sentence(word, following[0]):
        return True
    if not _CLAUSE.search(word) or _LIKE_CLAUSES.search(word):
        return False
    # One word alone says too little; what was done first goes with it: 늦잠 자서 지각했군요.
    goes_on = _AUXILIARY.search(following[0]) if word.endswith("고") else None
    return not (goes_on or (len(following) == 1 and _JOINS.search(word)))


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
