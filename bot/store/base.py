"""What all parts of the store share: the connection, transactions, and the cipher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.errors import BadDatabase, StorageFailed
from bot.store.cipher import Cipher
from bot.store.database import ONLY_READS, connect, prepare_database, reason

S = TypeVar("S", bound="StoreBase")
P = ParamSpec("P")
T = TypeVar("T")


def utc_now() -> datetime:
    """The time, as the store takes it."""
    return datetime.now(UTC)


def require_aware(at: datetime) -> None:
    """Raise ValueError for a time without a time zone."""
    if at.tzinfo is None:
        raise ValueError("times must be timezone-aware")


def to_its_end(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Let a cancelled caller go, and its transaction end by itself.

    Cut off in the middle, a driver's connection may keep the write lock for as long as anyone holds its cursor.
    """

    @wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.create_task(method(self, *args, **kwargs))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    return run


class StoreBase:
    """One database. Each method of the parts is one transaction: wholly done, or StorageFailed and nothing done.

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

    def person(self, platform: str, user_id: str) -> str:
        """The pseudonym under which a person is known here; not to be undone without the key."""
        return self._cipher.pseudonym(platform, user_id)

    @asynccontextmanager
    async def _transaction(self, *, only_reads: bool = False) -> AsyncIterator[AsyncConnection]:
        if self._closed:
            raise StorageFailed("대화 저장소가 이미 닫혔어요. 말벗을 다시 켜 주세요.")
        engine = self._engine.execution_options(**{ONLY_READS: True}) if only_reads else self._engine
        try:
            async with engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageFailed(reason(error)) from error
