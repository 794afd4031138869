"""What is kept of conversations, and the only statements over it. They run on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.errors import BadDatabase, StorageFailed
from bot.messages import ConversationKey
from bot.store.cipher import Cipher
from bot.store.database import connect, prepare_database, reason
from bot.store.tables import conversations, turns
from model.dialogue import Role, Source, SpeechLevel

# `upsert` is PostgreSQL's INSERT ... ON CONFLICT, whose syntax SQLite took over; SQLite's own construct of the same
# name would not compile the other way round.
_KEY = (conversations.c.platform, conversations.c.chat_id, conversations.c.thread_id)
P = ParamSpec("P")
T = TypeVar("T")
# Associated data of the cipher: a field can be read back only as the column it was written for.
_PERSONA, _TEXT = "conversations.persona", "turns.text"


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A conversation's own settings; None where it follows the default."""

    id: int
    persona: tuple[str, ...] | None
    speech_level: SpeechLevel | None


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """One utterance as kept. `created_at` is in UTC."""

    id: int
    role: Role
    text: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """The newest turns, oldest first, and how many turns are stored in all."""

    turns: tuple[StoredTurn, ...]
    total: int


def utc_now() -> datetime:
    """The time, as the store takes it."""
    return datetime.now(UTC)


def _to_its_end(
    method: Callable[Concatenate[Store, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Store, P], Coroutine[Any, Any, T]]:
    """Let a cancelled caller go, and its transaction end by itself.

    Cut off in the middle, a driver's connection may keep the write lock for as long as anyone holds its cursor.
    """

    @wraps(method)
    async def run(self: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.create_task(method(self, *args, **kwargs))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    return run


class Store:
    """All conversations. Each method is one transaction: wholly done, or StorageFailed and nothing done.

    When its caller is cancelled, a transaction under way is still done. Readers also raise WrongKey when a stored
    text was changed from outside.
    """

    def __init__(self, engine: AsyncEngine, cipher: Cipher, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._cipher = cipher
        self._now = now
        self._closed = False
        self._running: set[asyncio.Task[Any]] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, cipher: Cipher, now: Callable[[], datetime] = utc_now) -> AsyncIterator[Self]:
        """The store in the database `path`, which is created or brought up to date first; closed on leaving.

        Raises BadDatabase or WrongKey, with nothing changed on disk. `now` dates what callers do not.
        """
        await asyncio.to_thread(prepare_database, path, cipher)
        engine = connect(path)
        store = cls(engine, cipher, now)
        try:
            try:
                async with engine.connect():
                    pass
            except SQLAlchemyError as error:
                raise BadDatabase(f"{path}: {reason(error)}") from error
            yield store
        finally:
            store._closed = True
            if store._running:
                await asyncio.wait(store._running)
            await engine.dispose()

    @_to_its_end
    async def conversation(self, key: ConversationKey) -> StoredConversation:
        """The conversation of `key`, from now on stored if it was not."""
        columns = (conversations.c.id, conversations.c.persona, conversations.c.speech_level)
        now = self._now()
        async with self._transaction() as connection:
            await connection.execute(
                upsert(conversations).values(_new_row(key, now)).on_conflict_do_nothing(index_elements=_KEY)
            )
            row = (await connection.execute(select(*columns).where(_is(key)))).one()
        return StoredConversation(
            id=row.id,
            persona=None if row.persona is None else tuple(json.loads(self._cipher.decrypt(row.persona, _PERSONA))),
            speech_level=None if row.speech_level is None else SpeechLevel(row.speech_level),
        )

    @_to_its_end
    async def set_persona(self, key: ConversationKey, facts: tuple[str, ...] | None) -> None:
        """Give the conversation a persona of its own, or with None the default one again."""
        blob = None if facts is None else self._cipher.encrypt(json.dumps(facts, ensure_ascii=False), _PERSONA)
        async with self._transaction() as connection:
            await _write_conversation(connection, key, self._now(), {"persona": blob})

    @_to_its_end
    async def set_speech_level(self, key: ConversationKey, level: SpeechLevel | None) -> None:
        """Fix the conversation's speech level, or with None leave it open again."""
        async with self._transaction() as connection:
            await _write_conversation(connection, key, self._now(), {"speech_level": level and level.value})

    @_to_its_end
    async def history(self, key: ConversationKey, limit: int) -> History:
        """The newest `limit` turns. Costs the same however long the history is; empty for an unknown key."""
        if limit < 0:
            raise ValueError("limit must be 0 or more")
        async with self._transaction() as connection:
            counted = select(conversations.c.id, conversations.c.turn_count).where(_is(key))
            found = (await connection.execute(counted)).one_or_none()
            rows = (await connection.execute(newest_turns(found.id, limit))).all() if found else []
        newest = tuple(
            StoredTurn(row.id, Role(row.role), self._cipher.decrypt(row.text, _TEXT), row.created_at) for row in rows
        )
        return History(newest[::-1], found.turn_count if found else 0)

    @_to_its_end
    async def add_exchange(
        self, key: ConversationKey, user_text: str, reply_text: str, model_version: str, source: Source, at: datetime
    ) -> None:
        """Store what a person said and what was answered, both or neither. `at` is timezone-aware."""
        _require_aware(at)
        said = self._turn(Role.USER, user_text, at)
        answered = self._turn(Role.BOT, reply_text, at, model_version, source)
        async with self._transaction() as connection:
            conversation_id = await _write_conversation(connection, key, at, {}, added=2)
            await connection.execute(
                insert(turns), [turn | {"conversation_id": conversation_id} for turn in (said, answered)]
            )

    @_to_its_end
    async def replace_last_reply(
        self, key: ConversationKey, text: str, model_version: str, source: Source, at: datetime
    ) -> bool:
        """Put another reply in the place of the last one; False when there is none, as after `clear_history`."""
        _require_aware(at)
        reply = self._turn(Role.BOT, text, at, model_version, source)
        conversation_id = select(conversations.c.id).where(_is(key)).scalar_subquery()
        last = select(func.max(turns.c.id)).where(turns.c.conversation_id == conversation_id).scalar_subquery()
        async with self._transaction() as connection:
            # The conversation's row first, as everywhere: it is what keeps two writers of a conversation apart.
            await connection.execute(update(conversations).where(_is(key)).values(updated_at=at))
            result = await connection.execute(
                update(turns).where(turns.c.id == last, turns.c.role == Role.BOT.value).values(reply)
            )
        return result.rowcount == 1

    @_to_its_end
    async def clear_history(self, key: ConversationKey) -> None:
        """Delete all turns; persona and speech level stay."""
        async with self._transaction() as connection:
            cleared = update(conversations).where(_is(key)).values(turn_count=0, updated_at=self._now())
            conversation_id = await connection.scalar(cleared.returning(conversations.c.id))
            await connection.execute(delete(turns).where(turns.c.conversation_id == conversation_id))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        if self._closed:
            raise StorageFailed("대화 저장소가 이미 닫혔어요. 말벗을 다시 켜 주세요.")
        try:
            async with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageFailed(reason(error)) from error

    def _turn(
        self, role: Role, text: str, at: datetime, model_version: str | None = None, source: Source | None = None
    ) -> dict[str, Any]:
        return {
            "role": role.value,
            "text": self._cipher.encrypt(text, _TEXT),
            "model_version": model_version,
            "source": source and source.value,
            "created_at": at,
        }


def newest_turns(conversation_id: int, limit: int) -> Select[int, str, bytes, datetime]:
    """The statement behind `Store.history`; walks the index (conversation_id, id) from its end."""
    return (
        select(turns.c.id, turns.c.role, turns.c.text, turns.c.created_at)
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


def _is(key: ConversationKey) -> ColumnElement[bool]:
    return and_(*(column == value for column, value in zip(_KEY, astuple(key), strict=True)))


def _require_aware(at: datetime) -> None:
    if at.tzinfo is None:
        raise ValueError("times must be timezone-aware")
