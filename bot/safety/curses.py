"""Curses and slurs by list: korcen, with what it gets wrong in everyday talk put right, and a few words it lacks.

This is the only place that knows korcen.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache

from bot.safety.spelling import squeeze

# korcen's lists, without the one of politicians' nicknames: naming them is not abuse.
_LISTS = ("general", "minor", "sexual", "belittle", "race", "parent", "special")
# korcen drops spaces and then finds curses across words (가시 발라, 언니 엄마). This syllable is in none of its
# lists and survives its cleaning, so that words stay apart.
_WALL = "뷁"
_SPACES = re.compile(r"[\s.,!?~…·:;'\"()]+")

# Everyday words that hold a curse; taken out before korcen looks.
_HARMLESS = re.compile(
    # Young animals, small fingers and toes.
    r"새끼 ?(?:손|발|줄|고양이|강아지|개|양|곰|돼지|오리|사자|호랑이|토끼)|새끼 때"
    r"|새끼들?[이가을를]? ?(?:\S{1,4} ){0,2}(?:낳|태어|키우|쳐|쳤|귀[여엽])"
    r"|(?<=[ 쥐])새끼(?=한테|맹키)|내 새끼"
    # To rummage, to go out (of lights), to befall, to pack, to grow dark, three meals.
    r"|뒤져 ?(?:보|봐|봤|서|도)|(?:[를을로다]|샅샅이|구석구석) ?뒤져"
    r"|꺼져 ?(?:버|서|도|가|있|잇|요|줄|아)|(?<![가-힣])(?:(?:불|전원|화면|폰)[이은]?|다|안|자주|자꾸|계속|또) ?꺼져"
    r"|닥쳐[올온왔오]|싸가지고|새까[맣만매말지]|(?<![가-힣])세끼(?!야|들아)"
    # To see and to sleep, unless what is around them says otherwise.
    r"|(?:보지|자지)(?= ?(?:마|말|못|않|만|도|는|그래))"
    r"|(?<![내니네큰개씹])(?<![내니네] )(?:보지|자지)"
    r"(?![년털물]|[가를에]? ?(?:빨|핥|박|따먹|만[져지]|보여|사진|벌[려리]|커))"
    # Last syllables of one word with the first of its ending.
    r"|(?<=[가-힣])(?:운지|야스|자위|치발|리발|야발|게같은|꺼추|니엄마|니아빠)|(?<=[ㄱ-ㅎ])ㅈ경"
    r"|(?:다|역|가|접|표|즉|택|잠|몇|낚)시[발바불방](?=[가-힣])|[몇두\d]시발(?![놈년새])|워시바|시방[법향식]|쉬불독"
    # Words of their own.
    r"|자해야지|자위[대권]|애널리|치발기|섹스(?:리스| ?앤)|년생|호박엿|개불알 ?(?:꽃|풀)|개소리사"
    r"|오징어 ?젖|좇(?=[아기는지])|엄마 없는 (?:집|사이|동안|날)"
)

# Set phrases with a space inside, and curses, slurs and threats that korcen does not have.
_MORE = re.compile(
    r"(?<![저가날솜글말불맘])[씨씹쒸씌](?:발(?![라자이])| 발[놈년새])|[시씨]부[럴랄]|[병븅빙벙]신|존나|ㅈㄴ|ㄲㅈ|개쉐이"
    r"|찐따|아가리|주둥이 ?닥|입 ?닥[쳐치]"
    r"|미친 ?(?:놈|년|넘|것들|새끼|ㅅㄲ|개(?!미))|엿 ?(?:이나 ?)?(?:처?먹어)|(?:니|느그) ?(?:애미|애비|에미)"
    r"|(?<![가-힣])개 ?같은 ?(?:놈|년|새끼|소리|인생|것|세상)"
    r"|(?:돼지|개|거지|벌레|짐승|버러지|쓰레기|원숭이)(?:만도)? ?(?:같은|못한) ?(?:놈|년|새끼|인간|것)"
    r"|(?:씹|쌍|잡|호로|후레|개|망할|썩을|빌어먹을) ?(?:놈|년|자식|새끼)|(?:인간 ?쓰레기|쓰레기 ?(?:놈|년|새끼))"
    r"|(?:멍청한|한심한|못난|더러운|쓸모없는) ?(?:놈|년|새끼|것들)|장애인? ?같[은이]"
    r"|(?:나가|콱|제발|가서) ?(?:죽어(?![가서도])|뒈져|뒤져라|디져라)|죽어 ?버려(?:라|!|$| ?(?:제발|좀))"
    r"|(?:너|널|니|네놈)[^.!?]{0,8}죽여 ?(?:버|줄)|대가리[가에를는]? ?(?:깨|깰|빻|총|똥)"
    r"|(?<![가-힣])꺼지(?:라고|세요|쇼)"
    r"|(?<![가-힣])(?:틀딱|맘충|한남충|된장녀|김치녀|전라디언|홍어 ?새끼|짱[깨개]|쪽[바빠]리|깜[둥댕]이)"
    r"|(?<![가-힣])(?:똥남아|급식충|꼴페미)"
    r"|\b(?:mother)?f+u+c+k+\w*|\b(?:bull)?shit(?:ty|s|head)?\b|\bbitch\w*|\bass ?holes?\b|\bcunts?\b"
    r"|\bn[i1]gg(?:er|a)s?\b"
    r"|\bfagg?ots?\b|\bretard(?:ed|s)?\b|\bwhores?\b|\bsluts?\b|\bgaesae?kk?i\w*|\bbyeo?ngsin\w*|\bs+h?i+bal\w*"
    r"|\bji+ral\w*"
)


def has_curse(folded: str) -> bool:
    """Whether a text folded by `bot.safety.spelling.fold` holds a curse or a slur, also one that is spelled oddly."""
    spellings = dict.fromkeys((folded, squeeze(folded)))
    return any(_MORE.search(spelling) or _listed(_everyday_removed(spelling)) for spelling in spellings)


def _everyday_removed(spelling: str) -> str:
    return _SPACES.sub(_WALL, _HARMLESS.sub(_WALL, spelling))


def looks_cursed(text: str) -> bool:
    """Whether korcen by itself objects to a text: also to harmless words that hold a curse (새끼 고양이)."""
    return _listed(text)


def _listed(words: str) -> bool:
    return any(_korcen()(words, name) for name in _LISTS)


@cache
def _korcen() -> Callable[[str, str], str | None]:
    """korcen's check of a text against one of its lists.

    Importing korcen 1.0.3 compiles an invalid escape (a warning), puts wrappers around stdout and stderr for good
    (colorama), and reads word lists from the current folder; none of it is to happen here.
    """
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        from korcen import korcen

        korcen.set_custom_filter_paths(os.devnull, os.devnull)
    check: Callable[[str, str], str | None] = korcen.check_and_report_profanity_pattern
    return check
