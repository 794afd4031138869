"""Who is asked what, and what happens then: /start /privacy /consent /withdraw /mydata /forget.

Memory and training are two questions (PIPA Art. 22), both answered with no until a person says yes; whoever says no
can talk all the same.
"""

from __future__ import annotations

import json
from collections import OrderedDict

from bot.memory import Memory, keep_newest
from bot.messages import Answer, Attachment, Choice, IncomingMessage
from bot.store.consents import Purpose
from bot.store.store import Store

# Raised whenever PRIVACY or a question says something new; the ledger keeps which one a person agreed to.
POLICY_VERSION = 2
# The terminal belongs to whoever runs it: talking there is agreeing that one's own disk remembers.
OWN_PLATFORMS = frozenset({"console"})
# Discord's developer policy forbids training on its messages, whatever their authors say.
UNTRAINABLE_PLATFORMS = frozenset({"discord"})

WELCOME = """\
안녕하세요, 저는 말벗이에요. 사람이 아니라 AI라서 틀린 말을 할 때도 있어요.

나눈 이야기는 제가 켜져 있는 동안만 기억해요. 허락해 주시면 암호로 잠가서 보관하고, 나중에도 기억할게요.
자세한 건 /privacy 에서 볼 수 있어요."""
INTRODUCTION = "(저는 사람이 아니라 AI 말벗이에요. 무엇을 보관하는지는 /privacy, 할 수 있는 것은 /help 로 알려 드려요.)"
PRIVACY = """\
말벗이 보관하는 것을 알려 드려요.

· 받은 말은 답할 때까지만 암호로 잠가 두었다가 지워요.
· 나눈 이야기는 제가 켜져 있는 동안만 기억해요. ‘기억’에 동의하시면 암호로 잠가 보관하고, 지우라고 하실 때까지 기억해요.
· ‘학습’에 따로 동의하시면 개인정보를 가린 뒤 제가 더 나은 말벗이 되는 데 써요. 디스코드에서 나눈 이야기는 쓰지 않아요.
· 직접 정한 저의 소개와 말투, 👍/👎 같은 평가, 나이대와 동의 기록을 보관해요.
· 만 14세가 안 된 분의 이야기는 보관하지도, 배우는 데 쓰지도 않아요.
· 백업은 길어야 30일, 180일 동안 말씀이 없으면 나눈 이야기도 지워요.
· 이름은 보관하지 않아요. 대화방의 번호와, 되돌릴 수 없는 표시로만 구분해요.
· 이야기는 이 봇을 운영하는 컴퓨터 안에만 있고 다른 회사로 보내지 않아요.

/consent 로 고르고, /withdraw 로 거둬들이고, /mydata 로 받아 보고, /forget 으로 모두 지울 수 있어요."""
ASK_AGE = (
    "먼저 나이를 여쭤볼게요. 만 14세 이상이에요? 만 14세가 안 된 분의 이야기는 보관하지도, 배우는 데 쓰지도 않아요."
)
TOO_YOUNG = (
    "알려 줘서 고마워요. 만 14세가 될 때까지는 나눈 이야기를 보관하지 않고, 배우는 데도 쓰지 않을게요. "
    "이야기는 지금처럼 얼마든지 나눌 수 있어요!"
)
AGE_KNOWN = "알려 주셔서 고마워요."
ASK_MEMORY = "나눈 이야기를 보관하고 기억해도 될까요? 아니라고 하셔도 이야기는 똑같이 나눌 수 있어요."
ASK_TRAINING = "개인정보를 가린 뒤, 나눈 이야기를 제가 배우는 데 써도 될까요? 기억과는 별개이고, 언제든 거둘 수 있어요."
MEMORY_YES = "고마워요! 이제부터 나눈 이야기를 잘 간직할게요."
MEMORY_NO = "알겠어요. 이야기는 켜져 있는 동안만 기억하고, 보관하던 것이 있었다면 지웠어요."
TRAINING_YES = "고마워요! 개인정보를 가리고, 배우는 데에만 소중히 쓸게요."
TRAINING_NO = "알겠어요. 나눈 이야기를 배우는 데 쓰지 않을게요."
NO_TRAINING_HERE = "이곳에서 나눈 이야기는 배우는 데 쓰지 않아요. 그래서 여쭤볼 것도 없어요."
HOW_TO_CONSENT = "이렇게 보내 주세요: /consent 기억 예, /consent 기억 아니요, /consent 학습 예, /consent 학습 아니요"
HOW_TO_TELL_AGE = "이렇게 보내 주세요: /consent 나이 18, /consent 나이 14, /consent 나이 아니요"
HOW_TO_WITHDRAW = "무엇을 거둘까요? /withdraw 기억, /withdraw 학습, 또는 둘 다면 /withdraw 라고만 보내 주세요."
MYDATA = "보관된 이야기를 파일에 담았어요."
MYDATA_IN_GROUP = "여기는 여럿이 보는 곳이라 담아 드릴 수 없어요. 저와 둘이 있는 대화에서 /mydata 를 보내 주세요."
ASK_FORGET = "보관된 이야기와 평가, 소개와 말투까지 모두 지울까요? 지우면 되살릴 수 없어요."
FORGOTTEN = "모두 지웠어요. 동의도 거둬들인 것으로 적어 두었어요."
NOT_FORGOTTEN = "네, 그대로 둘게요."

_HELD_PEOPLE = 10_000
_PURPOSES = {"기억": Purpose.MEMORY, "학습": Purpose.TRAINING}
_DECISIONS = {"예": True, "네": True, "동의": True, "아니요": False, "아니오": False, "싫어요": False}
_AGE = "나이"
# What a person says of their age: whether they are 14 or older, and 18 or older. A plain yes leaves the second open,
# and what is open is taken for the younger.
_AGES = {
    "18": (True, True),
    "14": (True, False),
    **{word: (agrees, False) for word, agrees in _DECISIONS.items()},
}
_AGE_CHOICES = (
    Choice("만 18세 이상이에요", f"/consent {_AGE} 18"),
    Choice("만 14~17세예요", f"/consent {_AGE} 14"),
    Choice("만 14세가 안 됐어요", f"/consent {_AGE} 아니요"),
)
_ANSWERS = {
    (Purpose.MEMORY, True): MEMORY_YES,
    (Purpose.MEMORY, False): MEMORY_NO,
    (Purpose.TRAINING, True): TRAINING_YES,
    (Purpose.TRAINING, False): TRAINING_NO,
}


class Privacy:
    """The answers to the privacy commands, over store and memory."""

    def __init__(self, store: Store, memory: Memory, text: str = PRIVACY) -> None:
        self.text = text
        self._store = store
        self._memory = memory
        self._held: OrderedDict[str, dict[Purpose, bool]] = OrderedDict()

    async def keeps(self, message: IncomingMessage) -> bool:
        """Whether what this person says may be written to disk."""
        if message.key.platform in OWN_PLATFORMS:
            return True
        return (await self._decisions(message)).get(Purpose.MEMORY, False)

    async def is_young(self, message: IncomingMessage) -> bool:
        """Whether a person said their age, and that they are under 18."""
        decisions = await self._decisions(message)
        return Purpose.AGE_14 in decisions and not decisions.get(Purpose.AGE_18, False)

    async def introduce(self, message: IncomingMessage) -> str | None:
        """What to tell a person who writes in private for the first time, once."""
        if message.is_group or message.key.platform in OWN_PLATFORMS or await self._decisions(message):
            return None
        await self._decide(message, Purpose.INTRODUCTION, True)
        return INTRODUCTION

    async def start(self, message: IncomingMessage) -> Answer:
        """Say who this is, and ask the first question that is open."""
        if message.key.platform in OWN_PLATFORMS:
            return Answer(WELCOME)
        decisions = await self._decisions(message)
        await self._decide(message, Purpose.INTRODUCTION, True)
        match decisions.get(Purpose.AGE_14):
            case None:
                return Answer(f"{WELCOME}\n\n{ASK_AGE}", choices=_AGE_CHOICES)
            case False:
                return Answer(WELCOME)
        return Answer(f"{WELCOME}\n\n{ASK_MEMORY}", choices=_choices("기억"))

    async def consent(self, message: IncomingMessage, argument: str) -> Answer:
        """Show what holds and ask, or note a decision."""
        if not argument:
            return await self._ask(message)
        what, _, said = argument.partition(" ")
        if what == _AGE:
            return await self._note_age(message, said.strip())
        purpose, granted = _PURPOSES.get(what), _DECISIONS.get(said.strip())
        if purpose is None or granted is None:
            return Answer(HOW_TO_CONSENT, private=True)
        return await self._answer_to(message, purpose, granted)

    async def withdraw(self, message: IncomingMessage, argument: str) -> Answer:
        """Take back one consent, or both."""
        purpose = _PURPOSES.get(argument)
        if argument and purpose is None:
            return Answer(HOW_TO_WITHDRAW, private=True)
        await self._take_back(message, [purpose] if purpose else list(_PURPOSES.values()))
        return Answer(_ANSWERS[purpose, False] if purpose else f"{MEMORY_NO}\n{TRAINING_NO}", private=True)

    async def my_data(self, message: IncomingMessage) -> Answer:
        """Everything that is kept of a person, as a JSON file."""
        if message.is_group and not message.address:
            return Answer(MYDATA_IN_GROUP, private=True)
        kept = await self._store.everything(self._person(message))
        if not message.is_group:
            conversation = await self._memory.settings(message.key)
            kept |= {"persona": conversation.persona, "speech_level": conversation.speech_level}
        content = json.dumps(kept, ensure_ascii=False, indent=2) + "\n"
        return Answer(MYDATA, private=True, attachment=Attachment("malbeot-mydata.json", content))

    async def forget(self, message: IncomingMessage, argument: str) -> Answer:
        """Delete everything that is kept of a person, once they have said that they mean it."""
        match argument:
            case "예":
                return await self._forget(message)
            case "아니요":
                return Answer(NOT_FORGOTTEN, private=True)
        return Answer(
            ASK_FORGET,
            choices=(Choice("모두 지워 주세요", "/forget 예"), Choice("그냥 두세요", "/forget 아니요")),
            private=True,
        )

    async def _forget(self, message: IncomingMessage) -> Answer:
        person = self._person(message)
        key = None if message.is_group else message.key
        self._held.pop(person, None)
        await self._store.forget(person, POLICY_VERSION, key, message.event_id)
        self._held.pop(person, None)
        if key is not None:
            self._memory.drop(key)
        self._memory.forget_person(person)
        return Answer(FORGOTTEN, private=True)

    async def _ask(self, message: IncomingMessage) -> Answer:
        if message.key.platform in OWN_PLATFORMS:
            return Answer(self.text)
        decisions = await self._decisions(message)
        match decisions.get(Purpose.AGE_14):
            case None:
                return Answer(ASK_AGE, choices=_AGE_CHOICES, private=True)
            case False:
                return Answer(TOO_YOUNG, private=True)
        now = " · ".join(
            f"{name}: {'동의' if decisions.get(what) else '동의 안 함'}" for name, what in _PURPOSES.items()
        )
        asked = ["기억"] if message.key.platform in UNTRAINABLE_PLATFORMS else list(_PURPOSES)
        choices = tuple(choice for what in asked for choice in _choices(what))
        return Answer(f"지금은 이래요. {now}\n\n{ASK_MEMORY}\n{ASK_TRAINING}", choices=choices, private=True)

    async def _answer_to(self, message: IncomingMessage, purpose: Purpose, granted: bool) -> Answer:
        if purpose is Purpose.TRAINING and message.key.platform in UNTRAINABLE_PLATFORMS:
            return Answer(NO_TRAINING_HERE, private=True)
        if not granted:
            await self._take_back(message, [purpose])
            return await self._with_next_question(message, purpose, _ANSWERS[purpose, granted])
        match (await self._decisions(message)).get(Purpose.AGE_14):
            case None:
                return Answer(ASK_AGE, choices=_AGE_CHOICES, private=True)
            case False:
                return Answer(TOO_YOUNG, private=True)
        await self._decide(message, purpose, True)
        return await self._with_next_question(message, purpose, _ANSWERS[purpose, granted])

    async def _with_next_question(self, message: IncomingMessage, decided: Purpose, text: str) -> Answer:
        """The answer to a decision; after the first on memory, training is asked for."""
        asked_before = Purpose.TRAINING in await self._decisions(message)
        if decided is Purpose.MEMORY and not asked_before and message.key.platform not in UNTRAINABLE_PLATFORMS:
            return Answer(f"{text}\n\n하나만 더 여쭤볼게요. {ASK_TRAINING}", choices=_choices("학습"), private=True)
        return Answer(text, private=True)

    async def _note_age(self, message: IncomingMessage, said: str) -> Answer:
        """Note what a person says of their age, and ask what follows from it."""
        if said not in _AGES:
            return Answer(HOW_TO_TELL_AGE, choices=_AGE_CHOICES, private=True)
        is_14, is_18 = _AGES[said]
        if not is_14:
            # First: whatever comes between, nothing is kept of a child.
            await self._take_back(message, list(_PURPOSES.values()))
        await self._decide(message, Purpose.AGE_14, is_14)
        await self._decide(message, Purpose.AGE_18, is_18)
        if not is_14:
            return Answer(TOO_YOUNG, private=True)
        return Answer(f"{AGE_KNOWN}\n\n{ASK_MEMORY}", choices=_choices("기억"), private=True)

    async def _take_back(self, message: IncomingMessage, purposes: list[Purpose]) -> None:
        person = self._person(message)
        self._held.pop(person, None)
        await self._store.withdraw(person, purposes, POLICY_VERSION)
        self._held.pop(person, None)
        if Purpose.MEMORY in purposes:
            # It was kept because the person agreed.
            self._memory.forget_person(person)

    def _person(self, message: IncomingMessage) -> str:
        return self._store.person(message.key.platform, message.user_id)

    async def _decisions(self, message: IncomingMessage) -> dict[Purpose, bool]:
        person = self._person(message)
        if person not in self._held:
            keep_newest(self._held, person, await self._store.decisions(person), _HELD_PEOPLE)
        return self._held[person]

    async def _decide(self, message: IncomingMessage, purpose: Purpose, granted: bool) -> None:
        self._held.pop(self._person(message), None)
        await self._store.decide(self._person(message), purpose, granted, POLICY_VERSION)


def _choices(what: str) -> tuple[Choice, Choice]:
    yes, no = {"기억": ("기억해도 돼요", "기억하지 마세요"), "학습": ("배우는 데 써도 돼요", "쓰지 마세요")}[what]
    return Choice(yes, f"/consent {what} 예"), Choice(no, f"/consent {what} 아니요")
