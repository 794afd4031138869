"""The inbox's rows: what platforms delivered, until it is answered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from bot.messages import Answer, ConversationKey, IncomingMessage, Kind
from bot.store import codec
from bot.store.base import StoreBase, to_its_end
from bot.store.tables import deliveries, inbox

# Platforms repeat an event for a day at most; a message that is edited or judged later is an old one.
KEPT = timedelta(days=7)
# How far back a platform that lost events is asked for them.
_LATELY = timedelta(days=2)
_SAID = (Kind.TEXT.value, Kind.MEDIA.value)


class State(StrEnum):
    """How far an entry is."""

    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"
    """Given up: it failed too often, or the platform will not take its answer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message to answer, and its answer where that is decided."""

    id: int
    message: IncomingMessage
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, and since when the oldest of it."""

    waiting: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """An entry of a message that somebody changed: still waiting, or answered with the reply `reply_id`."""

    state: State
    reply_id: int | None


class Entries(StoreBase):
    """The part of the store that is the inbox."""

    @to_its_end
    async def accept(self, message: IncomingMessage) -> int | None:
        """Commit a message and return its entry's id; None when its event was accepted before."""
        row = {
            "platform": message.key.platform,
            "event_id": message.event_id,
            "chat_id": message.key.chat_id,
            "thread_id": message.key.thread_id,
            "message_id": message.message_id,
            "kind": message.kind.value,
            "state": State.WAITING.value,
            "message": codec.message_to_blob(self._cipher, message),
            "failures": 0,
            "received_at": self._now(),
        }
        new = upsert(inbox).values(row).on_conflict_do_nothing(index_elements=[inbox.c.platform, inbox.c.event_id])
        async with self._transaction() as connection:
            entry_id: int | None = (await connection.execute(new.returning(inbox.c.id))).scalar_one_or_none()
        return entry_id

    @to_its_end
    async def waiting(self, platform: str) -> list[tuple[int, ConversationKey]]:
        """Entries of `platform` that are not answered, in the order they came."""
        columns = (inbox.c.id, inbox.c.platform, inbox.c.chat_id, inbox.c.thread_id)
        which = and_(inbox.c.state == State.WAITING.value, inbox.c.platform == platform)
        async with self._transaction(only_reads=True) as connection:
            rows = (await connection.execute(select(*columns).where(which).order_by(inbox.c.id))).all()
        return [(row.id, ConversationKey(row.platform, row.chat_id, row.thread_id)) for row in rows]

    @to_its_end
    async def entry(self, entry_id: int) -> Entry | None:
        """An entry that waits; None when it is settled. Raises WrongKey."""
        columns = (inbox.c.message, inbox.c.answer)
        which = and_(inbox.c.id == entry_id, inbox.c.state == State.WAITING.value)
        async with self._transaction(only_reads=True) as connection:
            row = (await connection.execute(select(*columns).where(which))).one_or_none()
        if row is None:
            return None
        message = codec.message_from_blob(self._cipher, row.message)
        answer = None if row.answer is None else codec.answer_from_blob(self._cipher, row.answer)
        return Entry(entry_id, message, answer)

    @to_its_end
    async def keep_answer(self, entry_id: int, answer: Answer) -> None:
        """Decide the answer, before it is sent: after a crash it is the same."""
        blob = codec.answer_to_blob(self._cipher, answer)
        async with self._transaction() as connection:
            await connection.execute(
                update(inbox).where(inbox.c.id == entry_id).values(answer=blob, reply_id=answer.reply_id)
            )

    @to_its_end
    async def settle(self, entry: Entry, state: State, reply_id: int | None, shown_as: list[str]) -> None:
        """Nothing more is to be done about `entry`: forget its texts, note under which messages the reply is seen."""
        key = entry.message.key
        shown = [
            {"platform": key.platform, "chat_id": key.chat_id, "message_id": message_id, "reply_id": reply_id}
            for message_id in shown_as
            if reply_id is not None
        ]
        async with self._transaction() as connection:
            await connection.execute(
                update(inbox).where(inbox.c.id == entry.id).values(state=state.value, message=None, answer=None)
            )
            if shown:
                seen = upsert(deliveries)
                ids = [deliveries.c.platform, deliveries.c.chat_id, deliveries.c.message_id]
                await connection.execute(
                    seen.on_conflict_do_update(index_elements=ids, set_={"reply_id": seen.excluded.reply_id}), shown
                )

    @to_its_end
    async def bury(self, entry_id: int) -> None:
        """Give up an entry that cannot even be read."""
        dead = update(inbox).where(inbox.c.id == entry_id)
        async with self._transaction() as connection:
            await connection.execute(dead.values(state=State.DEAD.value, message=None, answer=None))

    @to_its_end
    async def fail(self, entry_id: int) -> int:
        """Count a failed try, and return how many there were."""
        counted = update(inbox).where(inbox.c.id == entry_id).values(failures=inbox.c.failures + 1)
        async with self._transaction() as connection:
            return int((await connection.execute(counted.returning(inbox.c.failures))).scalar_one())

    @to_its_end
    async def amend(self, message: IncomingMessage) -> Earlier | None:
        """Change the text of the message that `message` is an edit of, if it still waits; say how far it is."""
        which = and_(
            inbox.c.platform == message.key.platform,
            inbox.c.chat_id == message.key.chat_id,
            inbox.c.message_id == message.message_id,
            inbox.c.kind.in_(_SAID),
        )
        async with self._transaction() as connection:
            found = select(inbox.c.id, inbox.c.state, inbox.c.message, inbox.c.answer, inbox.c.reply_id).where(which)
            row = (await connection.execute(found.order_by(inbox.c.id.desc()).limit(1))).one_or_none()
            if row is None:
                return None
            if row.state != State.WAITING.value or row.answer is not None:
                return Earlier(State.DONE, row.reply_id)
            was = codec.message_from_blob(self._cipher, row.message)
            blob = codec.message_to_blob(self._cipher, replace(was, text=message.text))
            await connection.execute(update(inbox).where(inbox.c.id == row.id).values(message=blob))
        return Earlier(State.WAITING, None)

    @to_its_end
    async def newest(self, platform: str) -> dict[ConversationKey, str]:
        """The newest message accepted in each conversation lately."""
        last = (
            select(func.max(inbox.c.id))
            .where(inbox.c.platform == platform, inbox.c.kind.in_(_SAID), inbox.c.received_at >= self._now() - _LATELY)
            .group_by(inbox.c.chat_id, inbox.c.thread_id)
        )
        columns = (inbox.c.platform, inbox.c.chat_id, inbox.c.thread_id, inbox.c.message_id)
        async with self._transaction(only_reads=True) as connection:
            rows = (await connection.execute(select(*columns).where(inbox.c.id.in_(last)))).all()
        return {ConversationKey(row.platform, row.chat_id, row.thread_id): row.message_id for row in rows}

    @to_its_end
    async def backlog(self) -> Backlog:
        """How much waits on all platforms."""
        columns = (func.count().label("waiting"), func.min(inbox.c.received_at).label("oldest"))
        async with self._transaction(only_reads=True) as connection:
            row = (await connection.execute(select(*columns).where(inbox.c.state == State.WAITING.value))).one()
        return Backlog(row.waiting, row.oldest)

    @to_its_end
    async def purge(self) -> int:
        """Delete settled entries that are too old to come again; return how many."""
        old = and_(inbox.c.state != State.WAITING.value, inbox.c.received_at < self._now() - KEPT)
        async with self._transaction() as connection:
            return (await connection.execute(delete(inbox).where(old))).rowcount
