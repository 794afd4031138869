"""What is asked, what is kept, and what is deleted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot import privacy
from bot.conversation import ConversationManager
from bot.messages import Answer, ConversationKey, Feedback, Judgement
from bot.store.cipher import Cipher
from bot.store.store import Store
from model.dialogue import Sampling
from tests.bot.fakes import MemorySurface, ScriptedResponder, message

CHAT = ConversationKey("telegram", "1")
GROUP = ConversationKey("telegram", "-100")
CIPHER = Cipher(bytes(32))


@dataclass
class Bot:
    manager: ConversationManager
    responder: ScriptedResponder
    store: Store

    async def say(self, text: str, key: ConversationKey = CHAT, user: str = "u1") -> Answer:
        surface = MemorySurface()
        await self.manager.handle(message(text, key, user, is_group=key == GROUP), surface)
        (answer,) = surface.answers
        return answer

    async def kept(self, key: ConversationKey = CHAT) -> list[str]:
        return [turn.text for turn in (await self.store.history(key, 100)).turns]


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Bot]:
    responder = ScriptedResponder(lambda context: f"{context.turns[-1].text}!")
    async with Store.open(path / "m.db", CIPHER) as store:
        yield Bot(ConversationManager(store, responder, Sampling()), responder, store)


async def test_the_first_answer_says_it_is_an_ai_once(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        assert (await bot.say("안녕")).text == f"{privacy.INTRODUCTION}\n\n안녕!"
        assert (await bot.say("응")).text == "응!"
        assert (await bot.say("안녕", GROUP, "u2")).text == "안녕!"
    async with running(tmp_path) as bot:
        assert (await bot.say("또")).text == "또!"


async def test_without_consent_the_talk_is_remembered_but_not_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await bot.say("비밀이야")
        await bot.say("뭐라고 했게?")
        assert [turn.text for turn in bot.responder.contexts[-1].turns] == ["비밀이야", "비밀이야!", "뭐라고 했게?"]
        assert await bot.kept() == []
    async with running(tmp_path) as bot:
        await bot.say("뭐라고 했게?")
        assert [turn.text for turn in bot.responder.contexts[-1].turns] == ["뭐라고 했게?"]


async def test_start_asks_for_memory_then_for_training(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        start = await bot.say("/start")
        assert "AI" in start.text
        assert privacy.ASK_AGE in start.text
        asked = await bot.say(start.choices[0].says)
        assert privacy.ASK_MEMORY in asked.text
        yes, no = asked.choices
        second = await bot.say(yes.says)
        assert privacy.ASK_TRAINING in second.text
        assert (await bot.say(second.choices[1].says)).text == privacy.TRAINING_NO
        assert (await bot.say("안녕")).text == "안녕!"
        assert await bot.kept() == ["안녕", "안녕!"]
        assert "기억: 동의 · 학습: 동의 안 함" in (await bot.say("/consent")).text
        assert (await bot.say(no.says)).text == privacy.MEMORY_NO
        assert await bot.kept() == []
    async with running(tmp_path) as bot:
        assert "기억: 동의 안 함" in (await bot.say("/consent")).text


async def test_discord_is_never_asked_for_training(tmp_path: Path) -> None:
    chat = ConversationKey("discord", "1")
    async with running(tmp_path) as bot:
        of_age = (await bot.say("/start", chat)).choices[0]
        yes, _ = (await bot.say(of_age.says, chat)).choices
        assert (await bot.say(yes.says, chat)).choices == ()
        assert all("학습" not in choice.says for choice in (await bot.say("/consent", chat)).choices)
        assert (await bot.say("/consent 학습 예", chat)).text == privacy.NO_TRAINING_HERE
        assert "학습: 동의 안 함" in (await bot.say("/consent", chat)).text


async def test_withdrawing_memory_deletes_what_was_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await bot.say("/consent 나이 18")
        await bot.say("/consent 기억 예")
        await bot.say("/consent 학습 예")
        await bot.say("간직해 줘")
        assert await bot.kept() == ["간직해 줘", "간직해 줘!"]
        assert (await bot.say("/withdraw 마음")).text == privacy.HOW_TO_WITHDRAW
        assert (await bot.say("/withdraw 학습")).text == privacy.TRAINING_NO
        assert len(await bot.kept()) == 2
        await bot.say("/withdraw")
        assert await bot.kept() == []
        await bot.say("처음 듣지?")
        assert [turn.text for turn in bot.responder.contexts[-1].turns] == ["처음 듣지?"]


async def test_in_a_group_only_those_who_agreed_are_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await bot.say("/consent 나이 18", GROUP, "u1")
        await bot.say("/consent 기억 예", GROUP, "u1")
        await bot.say("나는 돼", GROUP, "u1")
        await bot.say("나는 안 돼", GROUP, "u2")
        assert await bot.kept(GROUP) == ["나는 돼", "나는 돼!"]
        await bot.say("다 들었지?", GROUP, "u1")
        assert "나는 안 돼" in [turn.text for turn in bot.responder.contexts[-1].turns]


async def test_my_data_is_all_of_mine_and_nothing_of_others(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        for user in ("u1", "u2"):
            await bot.say("/consent 나이 18", GROUP, user)
            await bot.say("/consent 기억 예", GROUP, user)
            await bot.say(f"나는 {user}", GROUP, user)
        reply = await bot.say("둘이 있을 때", CHAT, "u1")
        assert reply.reply_id is not None
        await bot.store.judge(Feedback(CHAT, "u1", Judgement.CORRECTION, reply.reply_id, correction="이렇게!"))
        assert (await bot.say("/mydata", GROUP)).attachment is None
        answer = await bot.say("/mydata")
        assert answer.attachment is not None
        data = json.loads(answer.attachment.content)
        assert [turn["text"] for turn in data["turns"]] == ["나는 u1", "나는 u1!", "둘이 있을 때", "둘이 있을 때!"]
        assert [row["purpose"] for row in data["consents"]] == ["age_14", "age_18", "memory"]
        assert data["feedback"][0]["correction"] == "이렇게!"
        assert "u2" not in answer.attachment.content


async def test_forget_asks_first_and_then_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        for user, key in (("u1", CHAT), ("u1", GROUP), ("u2", GROUP)):
            await bot.say("/consent 나이 18", key, user)
            await bot.say("/consent 기억 예", key, user)
            await bot.say(f"{user}의 말", key, user)
        await bot.say("/persona 내 이름은 토리다.")
        yes, no = (await bot.say("/forget")).choices
        assert (await bot.say(no.says)).text == privacy.NOT_FORGOTTEN
        assert len(await bot.kept()) == 2
        assert (await bot.say(yes.says)).text == privacy.FORGOTTEN
        assert await bot.kept() == []
        assert await bot.kept(GROUP) == ["u2의 말", "u2의 말!"]
        assert "토리" not in (await bot.say("/persona")).text
        assert "기억: 동의 안 함" in (await bot.say("/consent")).text
        await bot.say("기억나?", GROUP, "u1")
        assert "u1의 말" not in [turn.text for turn in bot.responder.contexts[-1].turns]


async def test_a_word_that_is_no_decision_gets_the_way_to_say_it(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        for text in ("/consent 몰라", "/consent 기억", "/consent 기억 글쎄", "/consent 사랑 예"):
            assert (await bot.say(text)).text == privacy.HOW_TO_CONSENT
        assert (await bot.say("/privacy")).text == privacy.PRIVACY


async def test_age_is_asked_once_before_anything_is_agreed_to(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        for question in ("/consent", "/consent 기억 예", "/consent 학습 예"):
            asked = await bot.say(question)
            assert asked.text == privacy.ASK_AGE
            assert [choice.says for choice in asked.choices] == [
                "/consent 나이 18",
                "/consent 나이 14",
                "/consent 나이 아니요",
            ]
        assert (await bot.say("/consent 나이 글쎄")).text == privacy.HOW_TO_TELL_AGE
        assert privacy.ASK_MEMORY in (await bot.say("/consent 나이 예")).text
        assert (await bot.say("/consent 기억 예")).text.startswith(privacy.MEMORY_YES)
        assert privacy.ASK_MEMORY in (await bot.say("/start")).text


async def test_saying_no_needs_no_age(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        assert (await bot.say("/consent 학습 아니요")).text == privacy.TRAINING_NO


async def test_of_children_nothing_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await bot.say("/consent 나이 14")
        await bot.say("/consent 기억 예")
        await bot.say("/consent 학습 예")
        await bot.say("간직해 줘")
        assert (await bot.say("/consent 나이 아니요")).text == privacy.TOO_YOUNG
        assert await bot.kept() == []
        assert await bot.store.grants() == {}
        for question in ("/consent", "/consent 기억 예", "/consent 학습 예"):
            answer = await bot.say(question)
            assert (answer.text, answer.choices) == (privacy.TOO_YOUNG, ())
        assert (await bot.say("/start")).choices == ()
        assert (await bot.say("안녕")).text == "안녕!"
        assert await bot.kept() == []


async def test_the_young_get_a_stricter_filter(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        line = "우리 키스"
        assert (await bot.say(line)).text.endswith("우리 키스!")
        await bot.say("/consent 나이 14")
        surface = MemorySurface()
        # One candidate is shown while it is made.
        streaming = ConversationManager(bot.store, bot.responder, Sampling(candidates=1))
        reply = await streaming.answer(message(f"{line}. 좋아", CHAT, "u1"), surface)
        assert reply is not None
        assert "키스" not in reply.text
        assert not any("키스" in draft for draft in surface.drafts)
        await bot.say("/consent 나이 18")
        assert (await bot.say("키스 또")).text == "키스 또!"


async def test_taking_back_leaves_a_tombstone(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        for text in ("/consent 나이 18", "/consent 기억 예", "/consent 학습 예", "배워도 돼"):
            await bot.say(text)
        assert len(await bot.store.grants()) == 1
        await bot.say("/withdraw 학습")
        await bot.say("/forget 예")
        assert await bot.store.grants() == {}
        assert [stone.scope.value for stone in await bot.store.tombstones()] == ["training", "forget"]
