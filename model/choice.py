"""Asked to choose between two things, the bot chooses: "회색이랑 자주색 중에 뭐가 나을까요?". Standard library only."""

from __future__ import annotations

import re

from model.dialogue import SpeechLevel
from model.hangul import final, with_final
from model.text import clean_text

_WORD = "[가-힣A-Za-z0-9]"
_WHICH = "(?:뭐|뭘|어느|어디|누가|누구|어떤|골라)"
_BETTER = r"(?:더 )?(?:좋|나을|나아|낫)\S*"
_TWO = (
    re.compile(rf"(?P<one>{_WORD}+?)(?:이랑|랑|하고|와|과) (?P<other>{_WORD}+?) ?중에?서? ?{_WHICH}"),
    re.compile(rf"(?P<one>{_WORD}+?)(?:이|가) {_BETTER} (?P<other>{_WORD}+?)(?:이|가) {_BETTER}$"),
    re.compile(rf"(?P<one>{_WORD}+?)(?:이?야|이?예요|이에요),? (?P<other>{_WORD}+?)(?:이?야|이?예요|이에요)$"),
    re.compile(rf"(?P<one>{_WORD}+)(?<![이가]),? (?:아니면|vs) (?P<other>{_WORD}+)\??(?:$| .*{_WHICH})"),
)
# Two things to do: 편지 쓸까 디엠 할까.
_WHETHER = re.compile(r"(?P<one>\S+ \S*[가-힣])까요?,? (?P<other>(?:\S+ )?\S*[가-힣])까요?$")
# What is no deed, and what nobody should be told to do.
_NO_DEED = re.compile(
    "(?:^| )(?:말|걸|나을|어떨|좋을)$|(?<![끓줄붙먹보높속녹])일$|(?:있을|없을)$"
    "|(?:헤어질|그만둘|이혼할|파혼할|퇴사할|자퇴할|휴학할|죽을|끊을|접을|때릴|신고할)$"
)
# Why it is asked: 깨졌는데 고칠까.
_CLAUSE = re.compile(r"^\S+(?:는데|은데|인데|한데|니까|어서|아서|려고|지만) ")
_ENDS = re.compile(r"(?:[^가-힣A-Za-z0-9]|(?<= )(?:하나만 )?(?:정해|골라|의견)[가-힣 ]*$)+$")
_SAID = {
    SpeechLevel.HAEYO: ("저는 {}에 한 표요!", "음, 저라면 {}으로 할래요!", "저는 {}에 마음이 가요."),
    SpeechLevel.BANMAL: ("난 {}에 한 표!", "음, 나라면 {}으로 할래!", "난 {}에 마음이 가."),
}


def choice(text: str, level: SpeechLevel) -> str | None:
    """One of the two things that `text` asks to choose between, as a reply, each time the same; None where it does not.

    Chosen by nothing but the letters: the bot has a taste of its own, and no knowledge to choose by.
    """
    asked = _ENDS.sub("", clean_text(text))
    found = next((match for pattern in _TWO if (match := pattern.search(asked))), None)
    if found is not None:
        options = [f"{found[name]} 쪽" for name in ("one", "other")]
    elif match := _WHETHER.search(asked):
        options = [f"{deed} 쪽" for name in ("one", "other") if (deed := _deed(match[name])) is not None]
    else:
        options = []
    if len(options) < 2:
        return None
    number = sum(map(ord, asked))
    lines = _SAID[level]
    return lines[number % len(lines)].format(options[number // len(lines) % 2])


def _deed(question: str) -> str | None:
    """편지 쓸 (까) to 편지 쓰는; None where it asks for something else."""
    question = _CLAUSE.sub("", question)
    last = question[-1]
    if final(last) != "ㄹ" or _NO_DEED.search(question):
        return None
    # 먹을 but 갈: after a consonant the ending is a syllable of its own.
    return question[:-1] + ("는" if last == "을" else with_final(last, "") + "는")
