"""The conversation manager: from one message to its answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from bot import check_ins, commands
from bot.commands import Command, Name
from bot.context import build_context
from bot.errors import BotError, StorageFailed
from bot.memory import Memory, Recollection
from bot.messages import Answer, Choice, ConversationKey, Feedback, IncomingMessage, Judgement, Kind, Surface
from bot.persona import parse_facts
from bot.privacy import OWN_PLATFORMS, PRIVACY, Privacy
from bot.safety.guard import Doorkeeper, guarded_reply, is_fit_for_persona
from bot.safety.output_filter import Setting, check
from bot.store.entries import State
from bot.store.store import Exchange, Pending, Store, utc_now
from model.dialogue import (
    DEFAULT_PERSONA,
    DialogueContext,
    Reply,
    Responder,
    Role,
    Sampling,
    SpeechLevel,
    Turn,
)
from model.errors import EngineBusy, EngineClosed, ModelError
from model.text import clean_text

MAX_MESSAGE_CHARACTERS = 4000
DEFAULT_LEVEL = SpeechLevel.HAEYO
SUGGESTIONS = 3
# What fits on a button.
_SUGGESTION_CHARACTERS = 30

OnReply = Callable[[IncomingMessage, int | None, Reply], None]
# Who answers a conversation in the place of the one who answers all others; None for nobody.
OtherResponder = Callable[[ConversationKey], Responder | None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """A message being answered: where, and for which inbox entry, if it came through the inbox."""

    message: IncomingMessage
    surface: Surface
    entry_id: int | None

    @property
    def key(self) -> ConversationKey:
        return self.message.key

    def pending(self, answer: Answer) -> Pending | None:
        """The answer as it goes to the inbox together with its exchange."""
        return None if self.entry_id is None else Pending(self.entry_id, answer)


class ConversationManager:
    """Answers messages over a store and a responder.

    Messages of one conversation must be handed over one after another; conversations do not wait for each other.
    """

    def __init__(
        self,
        store: Store,
        responder: Responder,
        sampling: Sampling,
        now: Callable[[], datetime] = utc_now,
        suggestions: bool = False,
        on_reply: OnReply = lambda message, entry_id, reply: None,
        on_crisis: Callable[[], None] = lambda: None,
        seconds: Callable[[], float] = time.monotonic,
        candidate: OtherResponder = lambda key: None,
        privacy_text: str = PRIVACY,
    ) -> None:
        self._store = store
        self._responder = responder
        self._sampling = sampling
        self._now = now
        self._suggestions = suggestions
        self._on_reply = on_reply
        self._on_crisis = on_crisis
        self._candidate = candidate
        self._doorkeeper = Doorkeeper(seconds)
        self._memory = Memory(store)
        self._privacy = Privacy(store, self._memory, privacy_text)

    async def handle(self, message: IncomingMessage, surface: Surface) -> None:
        """Answer one message on `surface` at once, without the inbox; always with exactly one final message."""
        try:
            answer = await self.answer(message, surface)
        except EngineBusy:
            answer = Answer(commands.BUSY)
        except EngineClosed:
            answer = Answer(commands.CLOSING)
        except StorageFailed as error:
            _log.error("A message could not be handled: %s", error)
            answer = Answer(str(error))
        if answer is not None:
            await surface.send(answer)

    async def answer(self, message: IncomingMessage, surface: Surface, entry_id: int | None = None) -> Answer | None:
        """The answer to one message, None where nothing is to be said; drafts of it are shown on `surface`.

        With `entry_id` a reply is committed together with the entry's answer. Raises EngineBusy, EngineClosed and
        StorageFailed, after which the same message may be handed over again; other trouble is told in the answer.
        """
        request = _Request(message, surface, entry_id)
        try:
            return await self._answer(request)
        except (EngineBusy, EngineClosed, StorageFailed):
            raise
        except ModelError as error:
            _log.error("No reply could be made: %s", error)
            return Answer(commands.FAILED)
        except BotError as error:
            _log.error("A message could not be handled: %s", error)
            return Answer(str(error))

    def moved(self, platform: str, chat_id: str) -> None:
        """A chat has another id from now on; what is held under the old one is of no use."""
        self._memory.drop_chat(platform, chat_id)

    async def _answer(self, request: _Request) -> Answer | None:
        message = request.message
        if distress := self._doorkeeper.crisis(message.key, message.text):
            self._on_crisis()
            return Answer(distress.text)
        if message.kind is Kind.RETRY:
            return await self._retry(request, message.about)
        if message.kind is Kind.CHECK_IN:
            conversation = await self._memory.settings(message.key)
            wanted = conversation.check_in
            return Answer(check_ins.line(message, conversation.speech_level or DEFAULT_LEVEL)) if wanted else None
        if message.kind is Kind.MEDIA:
            return Answer(commands.MEDIA)
        if len(message.text) > MAX_MESSAGE_CHARACTERS:
            return Answer(commands.TOO_LONG.format(limit=MAX_MESSAGE_CHARACTERS))
        if not clean_text(message.text):
            return Answer(commands.EMPTY_MESSAGE)
        command = commands.parse(message.text)
        if message.kind is Kind.EDIT:
            return None if command else await self._edited(request)
        return await self._command(request, command) if command else await self._talk(request)

    async def _talk(self, request: _Request) -> Answer:
        message = request.message
        before = await self._memory.recall(request.key)
        context = await self._context(request.key, before, message.text)
        person = self._store.person(message.key.platform, message.user_id)
        level = context.speech_level or DEFAULT_LEVEL
        if boundary := self._doorkeeper.abuse(message.key, person, message.text, level):
            return Answer(boundary.text)
        answer, exchange = await self._reply(request, context)
        introduction = await self._privacy.introduce(message)
        if introduction is not None:
            answer = replace(answer, text=f"{introduction}\n\n{answer.text}")
        keep = await self._privacy.keeps(message)
        pending = request.pending(answer)
        reply_id = await self._memory.add(request.key, exchange, message.message_id, keep, pending)
        return replace(answer, reply_id=reply_id)

    async def _again(
        self, request: _Request, said: str, avoid: tuple[str, ...] = (), replaces: tuple[str, ...] = ()
    ) -> Answer:
        """Another exchange in the place of the last one."""
        before = await self._memory.recall(request.key)
        context = await self._context(request.key, before.without_last(), said, avoid)
        answer, exchange = await self._reply(request, context)
        answer = replace(answer, replaces=replaces)
        reply_id = await self._memory.replace_last(request.key, exchange, request.pending(answer))
        return replace(answer, reply_id=reply_id)

    async def _retry(self, request: _Request, about: int | None) -> Answer:
        """Reply again to what was last said; `about` is the reply whose button was pressed."""
        last = (await self._memory.recall(request.key)).last
        if last is None:
            return Answer(commands.NOTHING_TO_RETRY, private=True)
        if about not in (None, last.reply_id):
            return Answer(commands.NOT_THE_LAST, private=True)
        if last.reply_id is not None:
            user_id = request.message.user_id
            await self._store.judge(Feedback(request.key, user_id, Judgement.RETRY, reply_id=last.reply_id))
        shown = () if about is None else await self._store.shown_as(about)
        return await self._again(request, last.said, (last.replied,), shown)

    async def _edited(self, request: _Request) -> Answer | None:
        """Answer what the last message says now. Edits of older ones change nothing: the talk has moved on."""
        earlier = await self._store.amend(request.message)
        last = (await self._memory.recall(request.key)).last
        if earlier is None or earlier.state is State.WAITING or last is None or earlier.reply_id is None:
            return None
        if earlier.reply_id != last.reply_id or last.said == request.message.text:
            return None
        shown = await self._store.shown_as(earlier.reply_id)
        return await self._again(request, request.message.text, replaces=shown)

    async def _reply(self, request: _Request, context: DialogueContext) -> tuple[Answer, Exchange]:
        young = await self._privacy.is_young(request.message)
        responder = self._candidate(request.key) or self._responder
        reply = await guarded_reply(responder, context, self._sampling, request.surface.draft, young)
        self._on_reply(request.message, request.entry_id, reply)
        person = self._store.person(request.key.platform, request.message.user_id)
        said = context.turns[-1].text
        exchange = Exchange(said, reply.text, reply.model_version, reply.source, self._now(), person)
        return Answer(reply.text, choices=await self._suggest(context, reply)), exchange

    async def _suggest(self, context: DialogueContext, reply: Reply) -> tuple[Choice, ...]:
        """What the person could say next, as the model would in their shoes: with the roles exchanged."""
        if not self._suggestions:
            return ()
        turned = [Turn(Role.BOT if turn.role is Role.USER else Role.USER, turn.text) for turn in context.turns]
        shoes = DialogueContext((), (*turned, Turn(Role.USER, reply.text)), context.speech_level)
        try:
            found = await self._responder.reply(shoes, replace(self._sampling, candidates=2 * SUGGESTIONS))
        except ModelError as error:
            _log.warning("Nothing could be suggested: %s", error)
            return ()
        lines = dict.fromkeys([found.text, *(candidate.text for candidate in found.candidates)])
        short = [line for line in lines if len(line) <= _SUGGESTION_CHARACTERS and _may_be_suggested(line)]
        return tuple(Choice(line, line) for line in short[:SUGGESTIONS])

    async def _command(self, request: _Request, command: Command) -> Answer:
        match command.name:
            case Name.HELP:
                return Answer(commands.HELP)
            case Name.PERSONA:
                return Answer(await self._persona(request.key, command.argument))
            case Name.SPEECH:
                return Answer(await self._speech(request.key, command.argument))
            case Name.CHECK_IN:
                return Answer(await self._check_in(request.message, command.argument))
            case Name.RESET:
                await self._memory.clear(request.key)
                return Answer(commands.RESET)
            case Name.RETRY:
                return await self._retry(request, None)
            case None:
                return Answer(commands.UNKNOWN)
            case name:
                return await self._private_command(request.message, name, command.argument)

    async def _private_command(self, message: IncomingMessage, name: Name, argument: str) -> Answer:
        match name:
            case Name.START:
                return await self._privacy.start(message)
            case Name.CONSENT:
                return await self._privacy.consent(message, argument)
            case Name.WITHDRAW:
                return await self._privacy.withdraw(message, argument)
            case Name.MYDATA:
                return await self._privacy.my_data(message)
            case Name.FORGET:
                return await self._privacy.forget(message, argument)
        return Answer(self._privacy.text, private=True)

    async def _persona(self, key: ConversationKey, argument: str) -> str:
        if not argument:
            conversation = await self._memory.settings(key)
            return commands.persona_text(commands.PERSONA_SHOWN, conversation.persona or DEFAULT_PERSONA)
        facts = None if argument.casefold() in commands.DEFAULT_WORDS else parse_facts(argument)
        if facts is not None and not all(map(is_fit_for_persona, facts)):
            return commands.UNFIT_PERSONA
        await self._memory.set_persona(key, facts)
        return commands.persona_text(commands.PERSONA_SET, facts or DEFAULT_PERSONA)

    async def _check_in(self, message: IncomingMessage, argument: str) -> str:
        if message.is_group or message.key.platform in OWN_PLATFORMS:
            return commands.CHECK_IN_ALONE
        wanted = commands.SWITCHES.get(argument.casefold())
        if wanted is None:
            return commands.CHECK_IN_IS[(await self._memory.settings(message.key)).check_in]
        await self._memory.set_check_in(message.key, wanted)
        return commands.CHECK_IN_SET[wanted]

    async def _speech(self, key: ConversationKey, argument: str) -> str:
        if not argument:
            conversation = await self._memory.settings(key)
            return commands.level_text(conversation.speech_level or DEFAULT_LEVEL)
        level = commands.LEVELS.get(argument)
        if level is None:
            return commands.BAD_LEVEL
        await self._memory.set_speech_level(key, level)
        return commands.LEVEL_SET[level]

    async def _context(
        self, key: ConversationKey, before: Recollection, said: str, avoid: tuple[str, ...] = ()
    ) -> DialogueContext:
        conversation = await self._memory.settings(key)
        return build_context(
            persona=conversation.persona or DEFAULT_PERSONA,
            level=conversation.speech_level or DEFAULT_LEVEL,
            newest=before.turns,
            total=before.total,
            said=said,
            avoid=avoid,
        )


def _may_be_suggested(line: str) -> bool:
    return commands.parse(line) is None and check(line, Setting()).allowed
