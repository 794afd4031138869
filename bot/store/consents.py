"""The ledger of consents, and what a person may see and have deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import WrongKey
from bot.messages import ConversationKey
from bot.store import codec
from bot.store.base import to_its_end
from bot.store.conversations import Conversations, count_turns, is_key
from bot.store.entries import State
from bot.store.tables import consents, conversations, feedback, inbox, tombstones, turns
from model.dialogue import Role

_TEXT, _CORRECTION = "turns.text", "feedback.correction"


class Purpose(StrEnum):
    """What a person is asked to agree to, each by itself (PIPA Art. 22)."""

    MEMORY = "memory"
    TRAINING = "training"
    INTRODUCTION = "introduction"
    """Not a consent: the person was told that this is an AI and what is kept."""
    AGE_14 = "age_14"
    """Not a consent: the person says that they are 14 or older; who is not cannot agree by themselves (Art. 22-2)."""
    AGE_18 = "age_18"
    """Not a consent: the person says that they are 18 or older; for others a stricter filter holds."""


class Scope(StrEnum):
    """What led to a tombstone. The person's talk leaves the exports in any case."""

    TRAINING = "training"
    MEMORY = "memory"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One decision. `at` is in UTC."""

    purpose: Purpose
    granted: bool
    policy_version: int
    at: datetime


class Consents(Conversations):
    """The part of the store that holds consents; beside conversations, which hang on them."""

    @to_its_end
    async def decide(self, person: str, purpose: Purpose, granted: bool, policy_version: int) -> None:
        """Add a decision to the ledger."""
        row = {
            "person": person,
            "purpose": purpose.value,
            "granted": granted,
            "policy_version": policy_version,
            "created_at": self._now(),
        }
        async with self._transaction() as connection:
            await connection.execute(insert(consents).values(row))

    @to_its_end
    async def decisions(self, person: str) -> dict[Purpose, bool]:
        """What holds for a person; what was never decided is not in it."""
        return {row.purpose: row.granted for row in await self._ledger(person)}

    @to_its_end
    async def withdraw(self, person: str, purposes: Collection[Purpose], policy_version: int) -> None:
        """Take consents back, with what follows: what was kept with consent is deleted, exports are to be rewritten."""
        async with self._transaction() as connection:
            await self._refuse(connection, person, purposes, policy_version)
            if Purpose.MEMORY in purposes:
                await delete_turns(connection, person)
            if await _ever_agreed(connection, person):
                for scope in (Scope(purpose.value) for purpose in purposes):
                    await self._bury(connection, person, scope)

    @to_its_end
    async def forget(
        self, person: str, policy_version: int, key: ConversationKey | None = None, except_event: str = ""
    ) -> None:
        """Delete all that is kept of a person, take back what they agreed to, and have exports rewritten; all or none.

        That is their exchanges wherever they were, their judgements, and what of theirs waits in the inbox but for the
        event `except_event`, which asks for this. `key` is a conversation that is theirs alone: it goes as a whole.
        """
        async with self._transaction() as connection:
            await self._refuse(connection, person, await _granted(connection, person), policy_version)
            await delete_turns(connection, person)
            await connection.execute(delete(feedback).where(feedback.c.person == person))
            if key is not None:
                await connection.execute(delete(conversations).where(is_key(key)))
            await self._empty_inbox(connection, person, except_event)
            await self._bury(connection, person, Scope.FORGET)

    @to_its_end
    async def everything(self, person: str) -> dict[str, Any]:
        """All that is kept of a person, ready for JSON."""
        said = select(turns.c.role, turns.c.text, turns.c.created_at, turns.c.model_version).where(
            turns.c.person == person
        )
        given = select(feedback.c.judgement, feedback.c.correction, feedback.c.created_at, feedback.c.reply_id).where(
            feedback.c.person == person
        )
        ledger = await self._ledger(person)
        async with self._transaction(only_reads=True) as connection:
            lines = (await connection.execute(said.order_by(turns.c.id))).all()
            judged = (await connection.execute(given.order_by(feedback.c.id))).all()
        return {
            "consents": [
                {"purpose": row.purpose, "granted": row.granted, "policy": row.policy_version, "at": row.at.isoformat()}
                for row in ledger
            ],
            "turns": [
                {
                    "speaker": Role(line.role).value,
                    "text": self._cipher.decrypt(line.text, _TEXT),
                    "at": line.created_at.isoformat(),
                    "model": line.model_version,
                }
                for line in lines
            ],
            "feedback": [
                {
                    "judgement": row.judgement,
                    "correction": row.correction and self._cipher.decrypt(row.correction, _CORRECTION),
                    "at": row.created_at.isoformat(),
                }
                for row in judged
            ],
        }

    async def _ledger(self, person: str) -> list[LedgerRow]:
        columns = (consents.c.purpose, consents.c.granted, consents.c.policy_version, consents.c.created_at)
        rows = select(*columns).where(and_(consents.c.person == person)).order_by(consents.c.id)
        async with self._transaction(only_reads=True) as connection:
            found = (await connection.execute(rows)).all()
        return [LedgerRow(Purpose(row.purpose), row.granted, row.policy_version, row.created_at) for row in found]

    async def _refuse(
        self, connection: AsyncConnection, person: str, purposes: Collection[Purpose], policy_version: int
    ) -> None:
        """Add to the ledger that a person does not agree."""
        shared = {"person": person, "granted": False, "policy_version": policy_version, "created_at": self._now()}
        rows = [shared | {"purpose": purpose.value} for purpose in Purpose if purpose in purposes]
        if rows:
            await connection.execute(insert(consents), rows)

    async def _bury(self, connection: AsyncConnection, person: str, scope: Scope) -> None:
        """What was kept until now stays deleted, also when a backup is restored, and leaves the exports."""
        row = {"person": person, "scope": scope.value, "created_at": self._now(), "applied_at": None}
        await connection.execute(insert(tombstones).values(row))

    async def _empty_inbox(self, connection: AsyncConnection, person: str, except_event: str) -> None:
        """Give up what waits of a person. Whose a message is, only its encrypted text says."""
        waiting = select(inbox.c.id, inbox.c.event_id, inbox.c.message).where(inbox.c.message.is_not(None))
        theirs = []
        for row in (await connection.execute(waiting)).all():
            with contextlib.suppress(WrongKey):  # the inbox itself deals with what cannot be read
                message = codec.message_from_blob(self._cipher, row.message)
                if self.person(message.key.platform, message.user_id) == person and row.event_id != except_event:
                    theirs.append(row.id)
        dead = update(inbox).where(inbox.c.id.in_(theirs))
        await connection.execute(dead.values(state=State.DEAD.value, message=None, answer=None))


async def delete_turns(connection: AsyncConnection, person: str, until: datetime | None = None) -> None:
    """Delete the kept exchanges of a person, wherever they were; with `until` those that are not newer."""
    which = turns.c.person == person
    if until is not None:
        which = and_(which, turns.c.created_at <= until)
    ids = (await connection.execute(select(turns.c.conversation_id).where(which).distinct())).scalars().all()
    await connection.execute(delete(turns).where(which))
    for conversation_id in ids:
        counted = update(conversations).where(conversations.c.id == conversation_id)
        await connection.execute(counted.values(turn_count=count_turns(conversation_id)))


async def _granted(connection: AsyncConnection, person: str) -> list[Purpose]:
    """What a person agrees to now, of what can be taken back."""
    rows = select(consents.c.purpose, consents.c.granted).where(consents.c.person == person).order_by(consents.c.id)
    holds = {Purpose(row.purpose): row.granted for row in (await connection.execute(rows)).all()}
    return [purpose for purpose in (Purpose.MEMORY, Purpose.TRAINING) if holds.get(purpose)]


async def _ever_agreed(connection: AsyncConnection, person: str) -> bool:
    """Whether anything of a person may be kept or exported."""
    asked = consents.c.purpose.in_([Purpose.MEMORY.value, Purpose.TRAINING.value])
    once = select(consents.c.id).where(consents.c.person == person, consents.c.granted, asked).limit(1)
    return await connection.scalar(once) is not None
