"""Commands, the same on every platform: what was asked for, and the Korean texts that answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from model.dialogue import SpeechLevel


class Name(StrEnum):
    """The commands there are."""

    HELP = "help"
    PERSONA = "persona"
    SPEECH = "speech"
    RESET = "reset"
    RETRY = "retry"


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

HELP = """\
저는 사람이 아니라 AI 말벗이에요. 그냥 편하게 말을 걸어 주세요.

/persona  제가 누구인지 보여 드려요.
/persona 내 이름은 토리다. 나는 전주에 산다.  이렇게 쓰면 그 사람이 되어 볼게요(다섯 문장까지).
/persona 기본  원래의 저로 돌아와요.
/speech 해요체  또는  /speech 반말  말투를 바꿔요.
/retry  방금 한 대답을 다시 해 볼게요.
/reset  지금까지 나눈 이야기를 지우고 새로 시작해요.
/help  이 도움말이에요."""
UNKNOWN = "그 명령은 제가 몰라요. /help 를 보내면 할 수 있는 것들을 알려 드려요."
BAD_LEVEL = "말투는 해요체와 반말, 두 가지예요. 예: /speech 반말"
LEVEL_SET = {
    SpeechLevel.HAEYO: "네, 이제 해요체로 말할게요.",
    SpeechLevel.BANMAL: "응, 이제 반말로 할게. 편하게 말해 줘!",
}
RESET = "지금까지 나눈 이야기를 모두 지웠어요. 새로 시작해요!"
NOTHING_TO_RETRY = "아직 다시 할 대답이 없어요. 먼저 한마디 걸어 주세요."
PERSONA_SET = "알겠어요. 이제부터 이런 사람이에요:"
PERSONA_SHOWN = "지금 저는 이런 사람이에요:"

EMPTY_MESSAGE = "아무 말도 안 보여요. 한마디만 적어 주실래요?"
TOO_LONG = "글이 너무 길어서 다 읽지 못했어요. {limit:,}자 안으로 나눠서 보내 주세요."
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


def persona_text(title: str, facts: Sequence[str]) -> str:
    """A persona as a short list."""
    return "\n".join([title, *(f"· {fact}" for fact in facts)])


def level_text(level: SpeechLevel) -> str:
    """The level in use, and how to change it."""
    other = SpeechLevel.BANMAL if level is SpeechLevel.HAEYO else SpeechLevel.HAEYO
    return f"지금 말투는 {level.value}예요. 바꾸려면 /speech {other.value} 라고 보내 주세요."
