"""What a conversation remembers: in memory always, on disk only what its people agreed to.

The newest turns of lately active conversations are held in memory. One that is not there is read from the store, so
what nobody agreed to keep is forgotten with the process, or when many other conversations came between.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from bot.context import LOADED_TURNS
from bot.messages import ConversationKey
from bot.store.store import Exchange, Pending, Store, StoredConversation, StoredTurn, TurnIds
from model.dialogue import Role, SpeechLevel, Turn

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Past:
    """One exchange as remembered; `stored` are its rows where it is kept, `message_id` the person's own message."""

    said: str
    replied: str
    reply_id: int | None
    stored: TurnIds | None
    person: str | None = None
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Recollection:
    """The newest exchanges, oldest first, and how many turns there have been in all."""

    exchanges: tuple[Past, ...] = ()
    total: int = 0

    @property
    def turns(self) -> list[Turn]:
        """The exchanges as the model sees them."""
        return [turn for past in self.exchanges for turn in (Turn(Role.USER, past.said), Turn(Role.BOT, past.replied))]

    @property
    def last(self) -> Past | None:
        """The newest exchange."""
        return self.exchanges[-1] if self.exchanges else None

    def without_last(self) -> Recollection:
        """Before the newest exchange."""
        return Recollection(self.exchanges[:-1], self.total - 2)


class Memory:
    """Recollections of at most `capacity` conversations, over the store."""

    def __init__(self, store: Store, capacity: int = 2000) -> None:
        self._store = store
        self._capacity = capacity
        self._held: OrderedDict[ConversationKey, Recollection] = OrderedDict()
        self._settings: OrderedDict[ConversationKey, StoredConversation] = OrderedDict()

    async def settings(self, key: ConversationKey) -> StoredConversation:
        """The conversation's persona and speech level."""
        if key not in self._settings:
            keep_newest(self._settings, key, await self._store.conversation(key), self._capacity)
        return self._settings[key]

    async def set_persona(self, key: ConversationKey, facts: tuple[str, ...] | None) -> None:
        """See `Store.set_persona`."""
        self._settings.pop(key, None)
        await self._store.set_persona(key, facts)

    async def set_speech_level(self, key: ConversationKey, level: SpeechLevel | None) -> None:
        """See `Store.set_speech_level`."""
        self._settings.pop(key, None)
        await self._store.set_speech_level(key, level)

    async def set_check_in(self, key: ConversationKey, wanted: bool) -> None:
        """See `Store.set_check_in`."""
        self._settings.pop(key, None)
        await self._store.set_check_in(key, wanted)

    async def recall(self, key: ConversationKey) -> Recollection:
        """What is remembered of a conversation."""
        if key not in self._held:
            history = await self._store.history(key, LOADED_TURNS)
            self._hold(key, Recollection(_paired(history.turns), history.total))
        return self._held[key]

    async def add(
        self, key: ConversationKey, exchange: Exchange, message_id: str, keep: bool, pending: Pending | None
    ) -> int:
        """Remember an exchange, on disk too with `keep`; return the reply's id."""
        before = await self.recall(key)
        recorded = await self._store.add_exchange(key, exchange, keep=keep, pending=pending)
        past = Past(exchange.said, exchange.replied, recorded.reply_id, recorded.turns, exchange.person, message_id)
        exchanges = (*before.exchanges, past)[-LOADED_TURNS // 2 :]
        self._hold(key, Recollection(exchanges, before.total + 2))
        return recorded.reply_id

    async def replace_last(self, key: ConversationKey, exchange: Exchange, pending: Pending | None) -> int:
        """Put another exchange in the place of the last one, which there must be; return the reply's id."""
        before = await self.recall(key)
        assert before.last is not None, "asked before"
        recorded = await self._store.replace_exchange(key, before.last.stored, exchange, pending=pending)
        past = replace(
            before.last,
            said=exchange.said,
            replied=exchange.replied,
            reply_id=recorded.reply_id,
            stored=recorded.turns,
        )
        self._hold(key, Recollection((*before.exchanges[:-1], past), before.total))
        return recorded.reply_id

    async def clear(self, key: ConversationKey) -> None:
        """Forget a conversation's turns, also on disk."""
        await self._store.clear_history(key)
        self._held.pop(key, None)

    def drop(self, key: ConversationKey) -> None:
        """Forget what is held in memory of a conversation; what is on disk is read again when it is needed."""
        self._held.pop(key, None)
        self._settings.pop(key, None)

    def drop_chat(self, platform: str, chat_id: str) -> None:
        """`drop` for all conversations of a chat."""
        for key in [
            key for key in (*self._held, *self._settings) if (key.platform, key.chat_id) == (platform, chat_id)
        ]:
            self.drop(key)

    def forget_person(self, person: str) -> None:
        """Forget what a person said and was told, wherever it was. The store is told to do the same by its caller."""
        for key, held in self._held.items():
            kept = tuple(past for past in held.exchanges if past.person != person)
            gone = len(held.exchanges) - len(kept)
            if gone:
                self._held[key] = Recollection(kept, held.total - 2 * gone)

    def _hold(self, key: ConversationKey, recollection: Recollection) -> None:
        keep_newest(self._held, key, recollection, self._capacity)


def keep_newest(held: OrderedDict[K, V], key: K, value: V, capacity: int) -> None:
    """Put a value at the end of a cache, and drop the oldest beyond its capacity."""
    held[key] = value
    held.move_to_end(key)
    if len(held) > capacity:
        held.popitem(last=False)


def _paired(turns: Sequence[StoredTurn]) -> tuple[Past, ...]:
    """Stored turns as exchanges. They are written in pairs; a half at the beginning is one cut by the limit."""
    whole = turns[len(turns) % 2 :]
    return tuple(
        Past(said.text, replied.text, replied.reply_id, TurnIds(said.id, replied.id))
        for said, replied in zip(whole[::2], whole[1::2], strict=True)
    )
