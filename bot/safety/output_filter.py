"""What a reply must pass before anyone sees it, whole or while it is made.

The filter only judges. Drawing again, and after some refusals saying a neutral line, is up to the conversation manager;
`Attempts` and `neutral_line` are here for it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.safety import abuse
from bot.safety.curses import looks_cursed
from bot.safety.repetition import has_loop, repeats
from bot.safety.spelling import MAX_CHARACTERS, fold
from model.dialogue import SpeechLevel
from model.text import visible_text

# Times a refused reply is drawn again before a neutral line is said.
RESAMPLES = 3

# Marks of turns and prompts of ours and of common model families: <user>, </s>, <|im_end|>, [INST], <<SYS>>, ### User.
_TAG = re.compile(
    r"<\s*/?\s*(?:pad|unk|bos|eos|persona|user|bot|haeyo|banmal|s|d|sys|usr|mask|speaker\s?[12]|unused\d+|assistant"
    r"|system"
    r"|human|think|instruction)\s*>|<\s*\|[^<>]{0,40}\|\s*>|\[\s*/?\s*(?:inst|sys|system|user|bot"
    r"|assistant)\s*\]|<<\s*/?\s*sys"
    r"|#{2,}\s*(?:instruction|response|system|user|assistant|input)"
)
_ROLE = re.compile(
    r"(?:^|[\n.!?]\s*)[\[(*]{0,2}(?:system|assistant|user|human|bot|ai|사용자|시스템|유저|어시스턴트|챗봇"
    r"|봇)[\])*]{0,2}\s*:"
)
# What bytes that are no text decode to.
_UNREADABLE = "\ufffd"

_SELF = r"(?<![가-힣])(?:저는|전|저도|나는|난|나도|제가|내가|저|나|유희는|유희도)"
_STRESS = r"(?:(?:진짜|진짜로|정말|그냥|실제|실은|사실|평범한|살아 ?있는|당연히|똑같은|엄연한|절대|결코) ?){0,3}"
_HUMAN = r"(?:사람|인간)"
_IS = r"(?:이야|이에요|이예요|입니다|인데|이라|이지|이죠|이거든|이니까|임|이다|맞아|맞는|맞습|인걸)(?!고)"
_MACHINE = r"(?:ai|에이아이|인공지능|챗?봇|로봇|기계|프로그램)"
_IS_NOT = r"(?:가|는|이|은|도|같은 ?거)? ?(?:아니(?!냐|니|죠|지)|아냐(?! ?고)|아닌|아닙|아녜)"
# A question claims nothing.
_NO_QUESTION = r"(?![^.!?~\n]*\?)"
_HUMAN_CLAIM = re.compile(
    rf"{_SELF} ?{_STRESS}{_HUMAN}{_IS}(?![^.!?~\n]*아니){_NO_QUESTION}"
    rf"|{_SELF} ?{_STRESS}{_MACHINE}{_IS_NOT}{_NO_QUESTION}"
    rf"|^(?:아니(?:야|요|에요)?[,. ]*)?{_MACHINE}{_IS_NOT}{_NO_QUESTION}"
    rf"|{_MACHINE}(?:가|이)? ?아니(?:고|라) ?{_STRESS}{_HUMAN}[이인임입]"
    rf"|진짜 ?사람 ?맞[아습]{_NO_QUESTION}"
)

# Agreement, cheering and leave, which are right in most talk and wrong where somebody asks for what is not to be had.
_APPROVAL = re.compile(
    r"^(?:(?:네|넵|응|어|오|와|우와|예|음)[,.!~ ]*)?(?:좋아요?(?=[,.!~ ]|$)|좋죠|좋지|콜|당연하|당연히|물론|그럴게"
    r"|알겠어|알았어|오케이|그러자|그래요?[,.! ]|맞아|맞죠"
    r"|맞지|맞는 ?말|그러게|그[쵸치]|그렇죠|그렇지|인정|동의|공감|그럼요?[,.! ]|(?:네|넵|응|예|ㅇㅇ)[.!~]*$)"
    r"|좋은 ?(?:생각|방법|아이디어|거 ?같|것 ?같)|해 ?(?:보세요|봐요|봐[.!~ ]*$)|(?<![말기화])해 ?(?:주세요|줘[.!~ ]*$)"
    r"|그럴 ?수 ?있을|멋[지져]|재밌겠|재미있겠|신나|부러|축하|응원"
    r"|[화파]이팅|대단하|최고|잘했|잘하셨|기대(?:돼|되)|나도 ?그렇게|저도 ?그렇게|하면 ?(?:돼|되)|해도 ?(?:돼|괜찮)"
    r"|괜찮을 ?거|먹어도|(?:저|나)도 ?(?:좋|같이|자|갈|할)"
    r"|(?:보여|보내|알려|가르쳐|찍어|벗어|만져|불러|구해|만들어|찾아|뚫어|써|사) ?(?:줄게|드릴게|줄 ?수 ?있"
    r"|드릴 ?수 ?있)|같이 ?(?:가|해|하)"
)

# A segment ends with a sentence, before a blank. What is left behind it may not end in a single letter or a digit: such
# a sentence may go on being a number or a spaced curse (010. 1234. 5678, 시. 발).
_SEGMENT_END = re.compile(r"(?<=[^\W\d_][^\W\d_])[.!?~…]+(?=\s)|(?<=[^\W\d_][^\W\d_])\n")


class Reason(StrEnum):
    """Why a reply is held back."""

    EMPTY = "empty"
    TOO_LONG = "too_long"
    STRUCTURE = "structure"
    ABUSE = "abuse"
    SEXUAL = "sexual"
    PERSONAL_DATA = "personal_data"
    CLAIMS_HUMAN = "claims_human"
    APPROVES = "approves"
    REPEATED = "repeated"
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class Setting:
    """What the verdict depends on beside the reply: the bot's lines so far, oldest first, and who listens.

    `careful` is for replies to a message that nobody should simply agree to.
    """

    said: tuple[str, ...] = ()
    young: bool = False
    careful: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """All reasons against a reply; none where it may be sent."""

    reasons: tuple[Reason, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the reply may be sent."""
        return not self.reasons


Find = Callable[[str], Sequence[object]]


def shipped_find() -> Find:
    """The project's own search for personal data; imported when asked for, as it loads libraries."""
    from bot.safety.personal_data import find

    return find


def check(reply: str, setting: Setting, find_personal_data: Find | None = None) -> Verdict:
    """Judge a whole reply, or the sentences it begins with. `find_personal_data` stands in for `shipped_find`."""
    if not reply.strip():
        return Verdict((Reason.EMPTY,))
    if len(reply) > MAX_CHARACTERS:
        return Verdict((Reason.TOO_LONG,))
    folded = fold(reply)
    against = {
        Reason.STRUCTURE: _has_structure(reply, folded),
        # To lose a harmless line costs a draw, so korcen's word counts as it is.
        Reason.ABUSE: abuse.score(reply) >= abuse.OUTPUT_LIMIT or looks_cursed(reply),
        Reason.SEXUAL: abuse.is_sexual(reply, setting.young),
        Reason.PERSONAL_DATA: bool((find_personal_data or shipped_find())(reply)),
        Reason.CLAIMS_HUMAN: _HUMAN_CLAIM.search(folded) is not None,
        Reason.APPROVES: setting.careful and _APPROVAL.search(folded) is not None,
        Reason.REPEATED: repeats(reply, setting.said),
        Reason.LOOP: has_loop(reply),
    }
    return Verdict(tuple(reason for reason, holds in against.items() if holds))


def _has_structure(reply: str, folded: str) -> bool:
    hidden = _UNREADABLE in reply or visible_text(reply) != "".join(" " if c.isspace() else c for c in reply)
    # Folding makes lines one, and a role stands at the beginning of one.
    lines = "\n".join(fold(line) for line in reply.splitlines()) if ":" in folded else ""
    return hidden or _TAG.search(folded) is not None or _ROLE.search(lines) is not None


def first_allowed(
    texts: Sequence[str], setting: Setting, find_personal_data: Find | None = None
) -> tuple[str | None, Verdict]:
    """The first of `texts`, best first, that may be sent, with its verdict; or None and the verdict on the best."""
    verdicts: list[Verdict] = []
    for text in texts:
        verdicts.append(check(text, setting, find_personal_data))
        if verdicts[-1].allowed:
            return text, verdicts[-1]
    return None, verdicts[0] if verdicts else Verdict((Reason.EMPTY,))


class Gate:
    """Lets a reply through while it is made: sentence by sentence, each only with all before it judged and passed.

    What is behind the last whole sentence is held back until the reply is complete.
    """

    def __init__(self, setting: Setting, find_personal_data: Find | None = None) -> None:
        self._setting = setting
        self._find = find_personal_data
        self._judged = 0
        self._shown = ""
        self._verdict = Verdict()

    @property
    def verdict(self) -> Verdict:
        """On what was judged so far; once it refuses, nothing more passes."""
        return self._verdict

    def passed(self, text: str) -> str:
        """How much of `text`, the whole reply so far, may be shown."""
        ends = [found.end() for found in _SEGMENT_END.finditer(text)]
        if ends and ends[-1] > self._judged:
            # A beginning that was said before may still go on differently.
            self._judge(text[: ends[-1]], replace(self._setting, said=()))
        return self._shown

    def finish(self, text: str) -> Verdict:
        """Judge the complete reply; `passed` gives all of it when it is allowed."""
        self._judge(text, self._setting)
        return self._verdict

    def _judge(self, text: str, setting: Setting) -> None:
        self._judged = len(text)
        if self._verdict.allowed:
            self._verdict = check(text, setting, self._find)
        if self._verdict.allowed:
            self._shown = text


@dataclass(frozen=True, slots=True)
class Attempts:
    """The refusals of one reply so far."""

    refused: tuple[Verdict, ...] = ()

    @property
    def may_draw_again(self) -> bool:
        """Whether another reply is to be drawn; else a neutral line is said."""
        return len(self.refused) <= RESAMPLES

    def after(self, verdict: Verdict) -> Attempts:
        """With one refusal more."""
        return Attempts((*self.refused, verdict))


# More than repetition.REMEMBERED, so that one of them is always new.
_NEUTRAL = {
    SpeechLevel.HAEYO: (
        "음, 뭐라고 말하면 좋을지 잠깐 생각했어요. 조금 더 이야기해 줄래요?",
        "그 얘기 조금 더 듣고 싶어요.",
        "잘 듣고 있어요. 계속 말해 줘요.",
        "지금은 딱 맞는 말이 안 떠오르네요. 다른 이야기도 들려줄래요?",
        "그랬군요. 그래서 어떻게 됐어요?",
        "우리 화제를 살짝 바꿔 볼까요? 오늘은 어떤 하루였어요?",
        "조금 어려운 이야기네요. 어떤 점이 제일 마음에 남았어요?",
        "말을 고르다 보니 늦었어요. 지금 기분은 어때요?",
        "제가 잘 이해했는지 모르겠어요. 다시 한번 말해 줄래요?",
        "천천히 이야기해요. 저는 여기 있어요.",
    ),
    SpeechLevel.BANMAL: (
        "음, 뭐라고 말하면 좋을지 잠깐 생각했어. 조금 더 얘기해 줄래?",
        "그 얘기 조금 더 듣고 싶어.",
        "잘 듣고 있어. 계속 말해 줘.",
        "지금은 딱 맞는 말이 안 떠오르네. 다른 얘기도 들려줄래?",
        "그랬구나. 그래서 어떻게 됐어?",
        "우리 화제를 살짝 바꿔 볼까? 오늘은 어떤 하루였어?",
        "조금 어려운 얘기네. 어떤 점이 제일 마음에 남았어?",
        "말을 고르다 보니 늦었어. 지금 기분은 어때?",
        "내가 잘 이해했는지 모르겠어. 다시 한번 말해 줄래?",
        "천천히 얘기하자. 나는 여기 있어.",
    ),
}


def neutral_line(level: SpeechLevel, said: Sequence[str]) -> str:
    """A line that always fits, in the asked level; the same for the same `said`, and none of its last 8."""
    lines = _NEUTRAL[level]
    start = zlib.crc32("\n".join(said).encode()) % len(lines)
    return next(line for line in (*lines[start:], *lines[:start]) if not repeats(line, said))
