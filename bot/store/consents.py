"""The ledger of consents, and what a person may see and have deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, delete, insert, select, update

from bot.messages import ConversationKey
from bot.store.base import to_its_end
from bot.store.conversations import Conversations, count_turns, is_key
from bot.store.tables import consents, conversations, feedback, turns
from model.dialogue import Role

_TEXT, _CORRECTION = "turns.text", "feedback.correction"


class Purpose(StrEnum):
    """What a person is asked to agree to, each by itself (PIPA Art. 22)."""

    MEMORY = "memory"
    TRAINING = "training"
    INTRODUCTION = "introduction"
    """Not a consent: the person was told that this is an AI and what is kept."""


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
    async def forget_turns(self, person: str) -> None:
        """Delete every kept exchange of a person, wherever it was."""
        async with self._transaction() as connection:
            touched = select(turns.c.conversation_id).where(turns.c.person == person).distinct()
            ids = (await connection.execute(touched)).scalars().all()
            await connection.execute(delete(turns).where(turns.c.person == person))
            for conversation_id in ids:
                counted = update(conversations).where(conversations.c.id == conversation_id)
                await connection.execute(counted.values(turn_count=count_turns(conversation_id)))

    @to_its_end
    async def forget_feedback(self, person: str) -> None:
        """Delete every judgement of a person."""
        async with self._transaction() as connection:
            await connection.execute(delete(feedback).where(feedback.c.person == person))

    @to_its_end
    async def forget_conversation(self, key: ConversationKey) -> None:
        """Delete a conversation with its persona, its turns, replies and the judgements of them."""
        async with self._transaction() as connection:
            await connection.execute(delete(conversations).where(is_key(key)))

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
