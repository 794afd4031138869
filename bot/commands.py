"""Commands, the same on every platform: what was asked for, and the Korean texts that answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.messages import CommandInfo
from model.dialogue import SpeechLevel


class Name(StrEnum):
    """The commands there are."""

    START = "start"
    HELP = "help"
    PERSONA = "persona"
    SPEECH = "speech"
    RETRY = "retry"
    RESET = "reset"
    CHECK_IN = "checkin"
    PRIVACY = "privacy"
    CONSENT = "consent"
    WITHDRAW = "withdraw"
    MYDATA = "mydata"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Command:
    """A command and what was written behind it. `name` is None for one that does not exist."""

    name: Name | None
    argument: str


# Words people use for a level or for the default, in any command that takes them.
LEVELS = {
    "해요체": SpeechLevel.HAEYO,
    "존댓말": SpeechLevel.HAEYO,
    "존대": SpeechLevel.HAEYO,
    "반말": SpeechLevel.BANMAL,
}
DEFAULT_WORDS = frozenset({"기본", "처음", "default"})

# What a platform's menu of commands shows.
MENU = (
    CommandInfo(Name.START, "처음 인사를 나눠요"),
    CommandInfo(Name.HELP, "무엇을 할 수 있는지 알려 드려요"),
    CommandInfo(Name.PERSONA, "제가 누구인지 보거나 바꿔요", "소개"),
    CommandInfo(Name.SPEECH, "말투를 해요체나 반말로 바꿔요", "말투"),
    CommandInfo(Name.RETRY, "방금 한 대답을 다시 해요"),
    CommandInfo(Name.RESET, "나눈 이야기를 지우고 새로 시작해요"),
    CommandInfo(Name.CHECK_IN, "조용한 저녁에 제가 먼저 안부를 물을지 골라요", "켜기_끄기"),
    CommandInfo(Name.PRIVACY, "무엇을 얼마나 보관하는지 알려 드려요"),
    CommandInfo(Name.CONSENT, "기억과 학습에 동의할지 골라요"),
    CommandInfo(Name.WITHDRAW, "동의를 거둬들여요", "무엇을"),
    CommandInfo(Name.MYDATA, "보관된 내 이야기를 파일로 받아요"),
    CommandInfo(Name.FORGET, "보관된 내 이야기를 모두 지워요"),
)
# What these answer is for the asker alone.
PRIVATE = frozenset({Name.PRIVACY, Name.CONSENT, Name.WITHDRAW, Name.MYDATA, Name.FORGET})

HELP = """\
저는 사람이 아니라 AI 말벗이에요. 그냥 편하게 말을 걸어 주세요.

/start  처음 인사를 다시 나눠요.
/persona  제가 누구인지 보여 드려요.
/persona 내 이름은 토리다. 나는 전주에 산다.  이렇게 쓰면 그 사람이 되어 볼게요(다섯 문장까지).
/persona 기본  원래의 저로 돌아와요.
/speech 해요체  또는  /speech 반말  말투를 바꿔요.
/retry  방금 한 대답을 다시 해 볼게요.
/reset  지금까지 나눈 이야기를 지우고 새로 시작해요.
/checkin 켜기  하루쯤 조용하면 저녁에 제가 먼저 안부를 물을게요. (그만하려면 /checkin 끄기)
/privacy  무엇을 얼마나 보관하는지 알려 드려요.
/consent  이야기를 기억해도 되는지, 배우는 데 써도 되는지 골라요. (거두려면 /withdraw)
/mydata  보관된 내 이야기를 파일로 받아요.
/forget  보관된 내 이야기를 모두 지워요.
/help  이 도움말이에요."""
UNKNOWN = "그 명령은 제가 몰라요. /help 를 보내면 할 수 있는 것들을 알려 드려요."
BAD_LEVEL = "말투는 해요체와 반말, 두 가지예요. 예: /speech 반말"
LEVEL_SET = {
    SpeechLevel.HAEYO: "네, 이제 해요체로 말할게요.",
    SpeechLevel.BANMAL: "응, 이제 반말로 할게. 편하게 말해 줘!",
}
SWITCHES = {"켜기": True, "켜": True, "on": True, "끄기": False, "꺼": False, "off": False}
CHECK_IN_SET = {
    True: "네, 하루쯤 조용하면 저녁에 먼저 말을 걸게요. 그만하고 싶으면 /checkin 끄기 라고 보내 주세요.",
    False: "알겠어요, 먼저 말을 걸지 않을게요. 이야기하고 싶을 때 언제든 불러 주세요.",
}
CHECK_IN_IS = {
    True: "지금은 하루쯤 조용하면 제가 먼저 안부를 물어요. 끄려면 /checkin 끄기 라고 보내 주세요.",
    False: "지금은 제가 먼저 말을 걸지 않아요. 안부를 물어도 된다면 /checkin 켜기 라고 보내 주세요.",
}
CHECK_IN_ALONE = "안부는 둘이 이야기하는 곳에서만 물을 수 있어요."
RESET = "지금까지 나눈 이야기를 모두 지웠어요. 새로 시작해요!"
NOT_THE_LAST = "다시 하기는 마지막 대답에만 할 수 있어요."
MEDIA = "보내 주셔서 고마워요! 그런데 저는 아직 글만 읽을 수 있어서 사진이나 소리는 알아보지 못해요. 글로 들려주실래요?"
NOTHING_TO_RETRY = "아직 다시 할 대답이 없어요. 먼저 한마디 걸어 주세요."
UNFIT_PERSONA = "그 소개로는 제가 될 수 없어요. 거친 말이나 연락처, 사람이라는 소개는 빼고 다시 적어 주실래요?"
PERSONA_SET = "알겠어요. 이제부터 이런 사람이에요:"
PERSONA_SHOWN = "지금 저는 이런 사람이에요:"

EMPTY_MESSAGE = "아무 말도 안 보여요. 한마디만 적어 주실래요?"
TOO_LONG = "글이 너무 길어서 다 읽지 못했어요. {limit:,}자 안으로 나눠서 보내 주세요."
WAIT = "잠깐만요, 지금 이야기하는 분이 많아서 조금 걸려요. 차례가 오면 바로 답할게요."
GIVEN_UP = "미안해요, 이 말에는 여러 번 애써 봤는데도 답하지 못했어요. 다른 말로 다시 걸어 주실래요?"
STORAGE = "지금은 말을 받아 적을 수가 없어요. 잠시 뒤에 다시 말해 주세요."
BUSY = "지금 이야기하는 분이 많아서 조금 밀렸어요. 잠깐만 기다렸다가 다시 말해 주세요."
CLOSING = "지금은 잠시 쉬러 가는 중이에요. 조금 뒤에 다시 말을 걸어 주세요."
FAILED = "미안해요, 방금은 대답을 만들지 못했어요. 한 번만 다시 말해 주세요."


def parse(text: str) -> Command | None:
    """The command of a message, None for ordinary talk. `/help@name` counts as `/help`."""
    stripped = text.strip()
    word, _, argument = stripped.partition(" ") if "\n" not in stripped.split(" ")[0] else stripped.partition("\n")
    # "/" alone, "//" or "/ㅋㅋ" are things people type, not commands.
    if not (word.startswith("/") and word[1:2].isascii() and word[1:2].isalpha()):
        return None
    name = word[1:].partition("@")[0].casefold()
    return Command(Name(name) if name in set(Name) else None, argument.strip())


def is_right(text: str) -> bool:
    """A command that people have a right to, and that no limit may keep from them."""
    command = parse(text)
    return command is not None and command.name in PRIVATE


def persona_text(title: str, facts: Sequence[str]) -> str:
    """A persona as a short list."""
    return "\n".join([title, *(f"· {fact}" for fact in facts)])


def level_text(level: SpeechLevel) -> str:
    """The level in use, and how to change it."""
    other = SpeechLevel.BANMAL if level is SpeechLevel.HAEYO else SpeechLevel.HAEYO
    return f"지금 말투는 {level.value}예요. 바꾸려면 /speech {other.value} 라고 보내 주세요."
