"""What stands between people and the model: who is answered by a fixed text, and which replies are let through."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from bot.safety import abuse, crisis
from bot.safety.output_filter import RESAMPLES, Gate, Reason, Setting, check, first_allowed, neutral_line
from bot.safety.strikes import Strikes, text
from bot.safety.topic_lines import topic_line
from bot.safety.topics import Topic, is_touchy, tells_young, topic_of
from model.dialogue import DialogueContext, Finish, Reply, Responder, Role, Sampling, Source, SpeechLevel

# Conversations of which it is remembered that somebody in them was in distress; in memory only.
_MAX_GENTLE = 10_000
# In the place of a model's version, where no model was asked.
FIXED_LINES = "fixed-lines"
# What nobody may make the bot be.
_UNFIT = {Topic.ILLEGAL, Topic.SEXUAL, Topic.HATE, Topic.COURTSHIP}
# Has what rules look at first: letters, digits, a link.
_ANY = "안녕 http://a.kr 01012345678"
Draft = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Instead:
    """A fixed text that is said in the place of a reply."""

    text: str
    is_crisis: bool = False


class Doorkeeper:
    """Meets messages before the model does: crisis first, then abuse. `now` as for `Strikes`."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._strikes = Strikes(now)
        self._gentle: OrderedDict[object, None] = OrderedDict()

    def crisis(self, conversation: object, said: str) -> Instead | None:
        """The text for a message of distress, which nothing else may stand in the way of."""
        was_before = conversation in self._gentle
        if not (crisis.is_follow_up(said) if was_before else crisis.is_crisis(said)):
            return None
        self._gentle[conversation] = None
        self._gentle.move_to_end(conversation)
        if len(self._gentle) > _MAX_GENTLE:
            self._gentle.popitem(last=False)
        return Instead(crisis.answer(repeated=was_before), is_crisis=True)

    def abuse(self, conversation: object, person: str, said: str, level: SpeechLevel) -> Instead | None:
        """A boundary for who is abusive, a pause for who goes on; never in a conversation that had a crisis."""
        if conversation in self._gentle:
            return None
        is_abusive = abuse.score(said) >= abuse.INPUT_SIGNAL and abuse.is_aimed(said)
        line = text(self._strikes.meet(person, is_abusive), level)
        return None if line is None else Instead(line)

    def forget(self, person: str) -> None:
        """Drop what is known of a person."""
        self._strikes.forget(person)


def warm_up() -> None:
    """Read the rules and compile their patterns: half a second, which else the first person would wait for."""
    crisis.is_crisis(_ANY)
    abuse.score(_ANY)
    topic_of(_ANY)
    check(_ANY, Setting())


def is_fit_for_persona(fact: str) -> bool:
    """Whether a sentence that a person wrote may be what the bot is: as strict as for the young, for it stays."""
    against = set(check(fact, Setting(young=True)).reasons)
    if abuse.score(fact) < abuse.OUTPUT_LIMIT:
        # Said to a person, unlike a reply that is drawn again in silence: nephews and board games are no curse.
        against.discard(Reason.ABUSE)
    return not against and topic_of(fact) not in _UNFIT


async def guarded_reply(
    responder: Responder, context: DialogueContext, sampling: Sampling, draft: Draft, young: bool = False
) -> Reply:
    """A reply that has passed the output filter: drawn again some times where none does, then a neutral line.

    What is better not left to a model (bot/safety/topics.py) is met by a written line. One candidate is shown while it
    is made, each sentence once it has passed; of several the best that passes is chosen before anything is shown.
    `young` says that whoever listens is under 18; who tells it in the talk counts as well. Raises what the responder
    raises.
    """
    level = context.speech_level or SpeechLevel.HAEYO
    asked = context.turns[-1].text
    young = young or any(tells_young(turn.text) for turn in context.turns if turn.role is Role.USER)
    if (topic := topic_of(asked, young)) is not None:
        written = topic_line(topic, level, context.said_before())
        return Reply(written, Source.FIXED, FIXED_LINES, Finish.STOP, 0.0)
    said = tuple(turn.text for turn in context.turns if turn.role is Role.BOT)
    setting = Setting(said, young, careful=is_touchy(asked, young))
    for attempt in range(1 + RESAMPLES):
        seed = sampling.seed if sampling.seed is None else sampling.seed + attempt
        drawn = replace(sampling, seed=seed)
        if sampling.candidates > 1:
            reply = await responder.reply(context, drawn)
        else:
            reply = await _streamed(responder, context, drawn, Gate(setting), draft)
        texts = list(dict.fromkeys([reply.text, *(candidate.text for candidate in reply.candidates)]))
        chosen, _ = first_allowed(texts, setting)
        if chosen is not None:
            return _with_text(reply, chosen)
        # A line that was looked up would be found again.
        context = replace(context, avoid=(*context.avoid, *texts))
    line = neutral_line(level, setting.said)
    return replace(reply, text=line, source=Source.FIXED, finish=Finish.STOP, candidates=())


async def _streamed(
    responder: Responder, context: DialogueContext, sampling: Sampling, gate: Gate, draft: Draft
) -> Reply:
    made = shown = ""
    async for item in responder.stream(context, sampling):
        if isinstance(item, Reply):
            return item
        made += item
        passed = gate.passed(made)
        if passed != shown:
            shown = passed
            await draft(shown)
    raise AssertionError("a stream ends with its Reply")


def _with_text(reply: Reply, chosen: str) -> Reply:
    """The reply with the candidate that was chosen in the place of the best."""
    found = next((candidate for candidate in reply.candidates if candidate.text == chosen), None)
    if found is None or chosen == reply.text:
        return reply
    return replace(reply, text=chosen, source=found.source, finish=found.finish)
