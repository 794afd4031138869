"""Conversations, their turns, and the model's replies. The statements run on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.messages import Answer, ConversationKey
from bot.store import codec
from bot.store.base import StoreBase, require_aware, to_its_end
from bot.store.tables import conversations, inbox, replies, turns
from model.dialogue import Role, Source, SpeechLevel

# `upsert` is PostgreSQL's INSERT ... ON CONFLICT, whose syntax SQLite took over; SQLite's own construct of the same
# name would not compile the other way round.
_KEY = (conversations.c.platform, conversations.c.chat_id, conversations.c.thread_id)
# Associated data of the cipher: a field can be read back only as the column it was written for.
_PERSONA, _TEXT = "conversations.persona", "turns.text"


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A conversation's own settings; None where it follows the default."""

    persona: tuple[str, ...] | None = None
    speech_level: SpeechLevel | None = None
    check_in: bool = False


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """One utterance as kept. `created_at` is in UTC; `reply_id` is None for what a person said."""

    id: int
    role: Role
    text: str
    created_at: datetime
    reply_id: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """The newest turns, oldest first, and how many turns are stored in all."""

    turns: tuple[StoredTurn, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a person said and what the model replied. `at` is timezone-aware; `person` a pseudonym (`Store.person`)."""

    said: str
    replied: str
    model_version: str
    source: Source
    at: datetime
    person: str | None = None

    def __post_init__(self) -> None:
        require_aware(self.at)


@dataclass(frozen=True, slots=True)
class TurnIds:
    """The rows of an exchange that is kept."""

    said: int
    replied: int


@dataclass(frozen=True, slots=True)
class Pending:
    """The answer that an inbox entry gets, committed together with the exchange it belongs to."""

    entry_id: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where an exchange went: the reply's id, and its turns' where they are kept."""

    reply_id: int
    turns: TurnIds | None


class Conversations(StoreBase):
    """The part of the store that holds conversations."""

    @to_its_end
    async def conversation(self, key: ConversationKey) -> StoredConversation:
        """The settings of the conversation `key`; the defaults for an unknown one."""
        own = conversations.c
        columns = select(own.persona, own.speech_level, own.check_in).where(is_key(key))
        async with self._transaction(only_reads=True) as connection:
            row = (await connection.execute(columns)).one_or_none()
        if row is None:
            return StoredConversation()
        return StoredConversation(
            persona=None if row.persona is None else tuple(json.loads(self._cipher.decrypt(row.persona, _PERSONA))),
            speech_level=None if row.speech_level is None else SpeechLevel(row.speech_level),
            check_in=row.check_in,
        )

    @to_its_end
    async def set_persona(self, key: ConversationKey, facts: tuple[str, ...] | None) -> None:
        """Give the conversation a persona of its own, or with None the default one again."""
        blob = None if facts is None else self._cipher.encrypt(json.dumps(facts, ensure_ascii=False), _PERSONA)
        async with self._transaction() as connection:
            await _write_conversation(connection, key, self._now(), {"persona": blob})

    @to_its_end
    async def set_speech_level(self, key: ConversationKey, level: SpeechLevel | None) -> None:
        """Fix the conversation's speech level, or with None leave it open again."""
        async with self._transaction() as connection:
            await _write_conversation(connection, key, self._now(), {"speech_level": level and level.value})

    @to_its_end
    async def set_check_in(self, key: ConversationKey, wanted: bool) -> None:
        """Let the bot write first in the conversation, or not."""
        async with self._transaction() as connection:
            await _write_conversation(connection, key, self._now(), {"check_in": wanted})

    @to_its_end
    async def silent(self, after: datetime, before: datetime) -> list[tuple[ConversationKey, datetime]]:
        """Conversations in which the bot may write first, last touched between the two times, and when."""
        own = conversations.c
        columns = (own.platform, own.chat_id, own.thread_id, own.updated_at)
        which = and_(own.check_in, own.updated_at > after, own.updated_at <= before)
        async with self._transaction(only_reads=True) as connection:
            rows = (await connection.execute(select(*columns).where(which).order_by(own.id))).all()
        return [(ConversationKey(row.platform, row.chat_id, row.thread_id), row.updated_at) for row in rows]

    @to_its_end
    async def history(self, key: ConversationKey, limit: int) -> History:
        """The newest `limit` turns. Costs the same however long the history is; empty for an unknown key."""
        if limit < 0:
            raise ValueError("limit must be 0 or more")
        async with self._transaction(only_reads=True) as connection:
            counted = select(conversations.c.id, conversations.c.turn_count).where(is_key(key))
            found = (await connection.execute(counted)).one_or_none()
            rows = (await connection.execute(newest_turns(found.id, limit))).all() if found else []
        newest = tuple(
            StoredTurn(row.id, Role(row.role), self._cipher.decrypt(row.text, _TEXT), row.created_at, row.reply_id)
            for row in rows
        )
        return History(newest[::-1], found.turn_count if found else 0)

    @to_its_end
    async def add_exchange(
        self, key: ConversationKey, exchange: Exchange, *, keep: bool = True, pending: Pending | None = None
    ) -> Recorded:
        """Record a reply; with `keep` also what was said and replied; with `pending` also the entry's answer.

        All of it or none.
        """
        async with self._transaction() as connection:
            conversation_id = await _write_conversation(connection, key, exchange.at, {}, added=2 if keep else 0)
            reply_id = await self._record(connection, conversation_id, exchange, pending)
            kept = await self._keep(connection, conversation_id, exchange, reply_id) if keep else None
        return Recorded(reply_id, kept)

    @to_its_end
    async def replace_exchange(
        self, key: ConversationKey, old: TurnIds | None, exchange: Exchange, *, pending: Pending | None = None
    ) -> Recorded:
        """Record another reply, and put it (and what was said) in the place of the kept turns `old`.

        Turns deleted meanwhile stay deleted: then `turns` of the result is None. Whoever asks for the other reply, what
        was said stays its author's, who agreed to its use, and as old as it is.
        """
        async with self._transaction() as connection:
            conversation_id = await _write_conversation(connection, key, exchange.at, {})
            reply_id = await self._record(connection, conversation_id, exchange, pending)
            there = old is not None
            said, replied = self._turns(exchange, reply_id)
            del said["person"], said["created_at"], replied["person"]
            for turn_id, row in zip(astuple(old) if old else (), (said, replied), strict=False):
                mine = and_(turns.c.id == turn_id, turns.c.conversation_id == conversation_id)
                there = bool((await connection.execute(update(turns).where(mine).values(row))).rowcount) and there
        return Recorded(reply_id, old if there else None)

    @to_its_end
    async def clear_history(self, key: ConversationKey) -> None:
        """Delete all turns; persona and speech level stay."""
        async with self._transaction() as connection:
            cleared = update(conversations).where(is_key(key)).values(turn_count=0, updated_at=self._now())
            conversation_id = await connection.scalar(cleared.returning(conversations.c.id))
            await connection.execute(delete(turns).where(turns.c.conversation_id == conversation_id))

    @to_its_end
    async def forget_idle(self, before: datetime) -> int:
        """Delete conversations in which nothing was said since then, with all that hangs on them; return how many."""
        async with self._transaction() as connection:
            idle = delete(conversations).where(conversations.c.updated_at < before)
            return (await connection.execute(idle)).rowcount

    @to_its_end
    async def move(self, platform: str, old_chat_id: str, new_chat_id: str) -> None:
        """A chat goes on under another id. A conversation that the new id has already stays as it is."""
        async with self._transaction() as connection:
            taken = select(conversations.c.thread_id).where(
                conversations.c.platform == platform, conversations.c.chat_id == new_chat_id
            )
            here = and_(conversations.c.platform == platform, conversations.c.chat_id == old_chat_id)
            await connection.execute(
                update(conversations).where(here, conversations.c.thread_id.not_in(taken)).values(chat_id=new_chat_id)
            )

    async def _keep(
        self, connection: AsyncConnection, conversation_id: int, exchange: Exchange, reply_id: int
    ) -> TurnIds:
        rows = [row | {"conversation_id": conversation_id} for row in self._turns(exchange, reply_id)]
        # One statement; a database may return its rows in any order, and numbers them in this one.
        added = await connection.execute(insert(turns).values(rows).returning(turns.c.id))
        return TurnIds(*sorted(added.scalars().all()))

    async def _record(
        self, connection: AsyncConnection, conversation_id: int, exchange: Exchange, pending: Pending | None
    ) -> int:
        row = {
            "conversation_id": conversation_id,
            "model_version": exchange.model_version,
            "source": exchange.source.value,
            "created_at": exchange.at,
        }
        reply_id = int((await connection.execute(insert(replies).values(row).returning(replies.c.id))).scalar_one())
        if pending is not None:
            answer = codec.answer_to_blob(self._cipher, replace(pending.answer, reply_id=reply_id))
            entry = update(inbox).where(inbox.c.id == pending.entry_id)
            await connection.execute(entry.values(answer=answer, reply_id=reply_id))
        return reply_id

    def _turns(self, exchange: Exchange, reply_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The rows of an exchange: what was said, what was replied."""
        said = {
            "role": Role.USER.value,
            "text": self._cipher.encrypt(exchange.said, _TEXT),
            "model_version": None,
            "source": None,
            "created_at": exchange.at,
            "person": exchange.person,
            "reply_id": None,
        }
        replied = {
            "role": Role.BOT.value,
            "text": self._cipher.encrypt(exchange.replied, _TEXT),
            "model_version": exchange.model_version,
            "source": exchange.source.value,
            "reply_id": reply_id,
        }
        return said, said | replied


def newest_turns(conversation_id: int, limit: int) -> Select[int, str, bytes, datetime, int]:
    """The statement behind `Conversations.history`; walks the index (conversation_id, id) from its end."""
    return (
        select(turns.c.id, turns.c.role, turns.c.text, turns.c.created_at, turns.c.reply_id)
        .where(turns.c.conversation_id == conversation_id)
        .order_by(turns.c.id.desc())
        .limit(limit)
    )


async def _write_conversation(
    connection: AsyncConnection, key: ConversationKey, at: datetime, values: dict[str, Any], added: int = 0
) -> int:
    """Insert or update the conversation's row, counting `added` turns, and return its id."""
    row = _new_row(key, at) | {"turn_count": added} | values
    changes = {"turn_count": conversations.c.turn_count + added, "updated_at": at} | values
    statement = upsert(conversations).values(row).on_conflict_do_update(index_elements=_KEY, set_=changes)
    return int((await connection.execute(statement.returning(conversations.c.id))).scalar_one())


def _new_row(key: ConversationKey, at: datetime) -> dict[str, Any]:
    return {
        "platform": key.platform,
        "chat_id": key.chat_id,
        "thread_id": key.thread_id,
        "turn_count": 0,
        "created_at": at,
        "updated_at": at,
    }


def is_key(key: ConversationKey) -> ColumnElement[bool]:
    """The row of the conversation `key`."""
    return and_(*(column == value for column, value in zip(_KEY, astuple(key), strict=True)))


def count_turns(conversation_id: int) -> ColumnElement[int]:
    """How many turns a conversation has; only for when some were deleted."""
    return select(func.count()).select_from(turns).where(turns.c.conversation_id == conversation_id).scalar_subquery()
