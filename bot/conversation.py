"""The conversation manager: from one message to its answer, in order within each conversation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from weakref import WeakValueDictionary

from bot import commands
from bot.commands import Command, Name
from bot.context import LOADED_TURNS, build_context
from bot.errors import BotError
from bot.messages import ConversationKey, IncomingMessage, Surface
from bot.persona import parse_facts
from bot.store.store import History, Store, StoredConversation, utc_now
from model.dialogue import DEFAULT_PERSONA, DialogueContext, Reply, Responder, Role, Sampling, SpeechLevel, Turn
from model.errors import EngineBusy, EngineClosed, ModelError
from model.text import clean_text

MAX_MESSAGE_CHARACTERS = 4000
DEFAULT_LEVEL = SpeechLevel.HAEYO

_log = logging.getLogger(__name__)


class ConversationManager:
    """Answers messages over a store and a responder.

    Messages of one conversation are answered one after another in the order they came; conversations do not wait for
    each other. Every message gets exactly one final message, also when something fails.
    """

    def __init__(
        self, store: Store, responder: Responder, sampling: Sampling, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._store = store
        self._responder = responder
        self._sampling = sampling
        self._now = now
        # A lock lives as long as somebody holds or awaits it.
        self._locks: WeakValueDictionary[ConversationKey, asyncio.Lock] = WeakValueDictionary()

    async def handle(self, message: IncomingMessage, surface: Surface) -> None:
        """Answer one message on `surface`."""
        async with self._locks.setdefault(message.key, asyncio.Lock()):
            try:
                await self._answer(message, surface)
            except EngineBusy:
                await surface.send(commands.BUSY)
            except EngineClosed:
                await surface.send(commands.CLOSING)
            except ModelError as error:
                _log.error("No reply could be made: %s", error)
                await surface.send(commands.FAILED)
            except BotError as error:
                _log.error("A message could not be handled: %s", error)
                await surface.send(str(error))

    async def _answer(self, message: IncomingMessage, surface: Surface) -> None:
        if len(message.text) > MAX_MESSAGE_CHARACTERS:
            await surface.send(commands.TOO_LONG.format(limit=MAX_MESSAGE_CHARACTERS))
        elif not clean_text(message.text):
            await surface.send(commands.EMPTY_MESSAGE)
        elif command := commands.parse(message.text):
            await self._command(message.key, command, surface)
        else:
            await self._talk(message, surface)

    async def _talk(self, message: IncomingMessage, surface: Surface) -> None:
        conversation = await self._store.conversation(message.key)
        history = await self._store.history(message.key, LOADED_TURNS)
        reply = await self._reply(_context(conversation, history, message.text), surface)
        await surface.send(reply.text)
        await self._store.add_exchange(
            message.key, message.text, reply.text, reply.model_version, reply.source, self._now()
        )

    async def _reply(self, context: DialogueContext, surface: Surface) -> Reply:
        """One candidate is shown while it is made; of several the best is chosen before anything is shown."""
        if self._sampling.candidates > 1:
            return await self._responder.reply(context, self._sampling)
        text = ""
        async for item in self._responder.stream(context, self._sampling):
            if isinstance(item, Reply):
                return item
            text += item
            await surface.draft(text)
        raise AssertionError("a stream ends with its Reply")

    async def _command(self, key: ConversationKey, command: Command, surface: Surface) -> None:
        match command.name:
            case Name.HELP:
                await surface.send(commands.HELP)
            case Name.PERSONA:
                await surface.send(await self._persona(key, command.argument))
            case Name.SPEECH:
                await surface.send(await self._speech(key, command.argument))
            case Name.RESET:
                await self._store.clear_history(key)
                await surface.send(commands.RESET)
            case Name.RETRY:
                await self._retry(key, surface)
            case None:
                await surface.send(commands.UNKNOWN)

    async def _persona(self, key: ConversationKey, argument: str) -> str:
        if not argument:
            conversation = await self._store.conversation(key)
            return commands.persona_text(commands.PERSONA_SHOWN, conversation.persona or DEFAULT_PERSONA)
        facts = None if argument.casefold() in commands.DEFAULT_WORDS else parse_facts(argument)
        await self._store.set_persona(key, facts)
        return commands.persona_text(commands.PERSONA_SET, facts or DEFAULT_PERSONA)

    async def _speech(self, key: ConversationKey, argument: str) -> str:
        if not argument:
            conversation = await self._store.conversation(key)
            return commands.level_text(conversation.speech_level or DEFAULT_LEVEL)
        level = commands.LEVELS.get(argument)
        if level is None:
            return commands.BAD_LEVEL
        await self._store.set_speech_level(key, level)
        return commands.LEVEL_SET[level]

    async def _retry(self, key: ConversationKey, surface: Surface) -> None:
        conversation = await self._store.conversation(key)
        history = await self._store.history(key, LOADED_TURNS)
        if not history.turns:
            await surface.send(commands.NOTHING_TO_RETRY)
            return
        *before, asked, answered = history.turns
        earlier = History(tuple(before), history.total - 2)
        reply = await self._reply(_context(conversation, earlier, asked.text, (answered.text,)), surface)
        await surface.send(reply.text)
        await self._store.replace_last_reply(key, reply.text, reply.model_version, reply.source, self._now())


def _context(
    conversation: StoredConversation, history: History, said: str, avoid: tuple[str, ...] = ()
) -> DialogueContext:
    return build_context(
        persona=conversation.persona or DEFAULT_PERSONA,
        level=conversation.speech_level or DEFAULT_LEVEL,
        newest=[Turn(Role(turn.role), turn.text) for turn in history.turns],
        total=history.total,
        said=said,
        avoid=avoid,
    )
