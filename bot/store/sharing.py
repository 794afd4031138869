"""What people share for training: reading it, the record of exports, and the tombstones of who must leave them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Row, and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.messages import Judgement
from bot.store.base import to_its_end
from bot.store.consents import Consents, LedgerRow, Purpose, Scope, delete_turns
from bot.store.tables import consents, conversations, exported_turns, exports, feedback, tombstones, turns
from model.dialogue import Role, Source

_PERSONA, _TEXT, _CORRECTION = "conversations.persona", "turns.text", "feedback.correction"
# What a statement may name at once; SQLite's own limit is far above.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Grant:
    """Somebody shares what they said since then, having agreed to these versions of the policy."""

    since: datetime
    policy_versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SharedExchange:
    """What somebody who shares their talk said, and what was replied.

    `persona` is None for the default one. `is_private` says that the conversation is between its person and the bot
    for certain. `judgement` (👍 or 👎) and `correction` are that same person's.
    """

    conversation_id: int
    platform: str
    person: str
    said_id: int
    replied_id: int
    said: str
    replied: str
    at: datetime
    source: Source
    persona: tuple[str, ...] | None = None
    is_private: bool = False
    judgement: Judgement | None = None
    correction: str | None = None


@dataclass(frozen=True, slots=True)
class ExportedTurn:
    """A line of the record of an export."""

    turn_id: int
    person: str
    platform: str
    permission: str | None = None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A person's talk from before `created_at` may be in no export and in no model that serves."""

    person: str
    scope: Scope
    created_at: datetime


def grant_of(ledger: Sequence[LedgerRow]) -> Grant | None:
    """What a person shares by their decisions, oldest first; None for nothing.

    Memory and training must both be agreed to, since when is told by the later one. An agreement that is repeated
    counts from its first time. Nobody under 14 shares anything.
    """
    running: dict[Purpose, list[LedgerRow]] = {}
    for row in ledger:
        running[row.purpose] = [*running.get(row.purpose, []), row] if row.granted else []
    agreed = [running.get(Purpose.MEMORY, []), running.get(Purpose.TRAINING, [])]
    if not all(agreed) or running.get(Purpose.AGE_14) == []:
        return None
    versions = sorted({row.policy_version for row in agreed[1]})
    return Grant(max(rows[0].at for rows in agreed), tuple(versions))


class Sharing(Consents):
    """The part of the store that training is fed from."""

    @to_its_end
    async def grants(self) -> dict[str, Grant]:
        """Who shares their talk for training."""
        async with self._transaction(only_reads=True) as connection:
            return await _grants(connection)

    @to_its_end
    async def shared(
        self, person: str, since: datetime, without: Collection[str] = frozenset()
    ) -> list[SharedExchange]:
        """A person's exchanges since then, by conversation, oldest first; none on the platforms `without`.

        Whether they are shared, `grants` says. Raises WrongKey.
        """
        columns = (*turns.c, conversations.c.platform, conversations.c.chat_id, conversations.c.persona)
        said = select(*columns).join(conversations, conversations.c.id == turns.c.conversation_id)
        which = and_(turns.c.person == person, turns.c.created_at >= since, conversations.c.platform.not_in(without))
        judged = select(feedback.c.reply_id, feedback.c.judgement, feedback.c.correction).where(
            feedback.c.person == person, feedback.c.created_at >= since
        )
        async with self._transaction(only_reads=True) as connection:
            rows = (await connection.execute(said.where(which).order_by(turns.c.conversation_id, turns.c.id))).all()
            opinions = (await connection.execute(judged.order_by(feedback.c.id))).all()
        votes = {row.reply_id: Judgement(row.judgement) for row in opinions if row.judgement != Judgement.CORRECTION}
        better = {row.reply_id: row.correction for row in opinions if row.judgement == Judgement.CORRECTION}
        return [
            self._exchange(*pair, votes.get(pair[1].reply_id), better.get(pair[1].reply_id)) for pair in _pairs(rows)
        ]

    def _exchange(
        self, said: Row[Any], replied: Row[Any], judgement: Judgement | None, correction: bytes | None
    ) -> SharedExchange:
        persona = None if said.persona is None else json.loads(self._cipher.decrypt(said.persona, _PERSONA))
        return SharedExchange(
            conversation_id=said.conversation_id,
            platform=said.platform,
            person=said.person,
            said_id=said.id,
            replied_id=replied.id,
            said=self._cipher.decrypt(said.text, _TEXT),
            replied=self._cipher.decrypt(replied.text, _TEXT),
            at=said.created_at,
            source=Source(replied.source),
            persona=None if persona is None else tuple(persona),
            # On Telegram the chat with a person has the person's own id.
            is_private=self.person(said.platform, said.chat_id) == said.person,
            judgement=judgement,
            correction=None if correction is None else self._cipher.decrypt(correction, _CORRECTION),
        )

    @to_its_end
    async def record_export(
        self, name: str, created_at: datetime, rows: Sequence[ExportedTurn], grants: Mapping[str, Grant]
    ) -> bool:
        """Note what an export holds, if all of it is still shared; else note nothing and return False.

        `grants` is what held for each of its people when it was read. Discord's talk without a permission is refused
        by the database (StorageFailed).
        """
        policy = ",".join(map(str, sorted({version for grant in grants.values() for version in grant.policy_versions})))
        permission = next((row.permission for row in rows if row.permission is not None), None)
        async with self._transaction() as connection:
            now = await _grants(connection)
            still_agreed = all(now.get(person) == grant for person, grant in grants.items())
            if not still_agreed or not await _all_there(connection, [row.turn_id for row in rows]):
                return False
            export = {"name": name, "created_at": created_at, "policy": policy, "permission": permission}
            await connection.execute(insert(exports).values(export))
            values = [
                {
                    "export": name,
                    "turn_id": row.turn_id,
                    "person": row.person,
                    "platform": row.platform,
                    "permission": row.permission,
                }
                for row in rows
            ]
            if values:
                await connection.execute(insert(exported_turns), values)
        return True

    @to_its_end
    async def export_names(self) -> set[str]:
        """The names of all exports that were noted, whether their folders are there or not."""
        async with self._transaction(only_reads=True) as connection:
            return set((await connection.execute(select(exports.c.name))).scalars())

    @to_its_end
    async def exports_of(self, tombstone: Tombstone) -> set[str]:
        """The exports with talk that a tombstone is about."""
        mine = select(exported_turns.c.export).where(_covered(tombstone)).distinct()
        async with self._transaction(only_reads=True) as connection:
            return set((await connection.execute(mine)).scalars())

    @to_its_end
    async def tombstones(self) -> list[Tombstone]:
        """All tombstones, oldest first."""
        async with self._transaction(only_reads=True) as connection:
            rows = (
                await connection.execute(select(tombstones).order_by(tombstones.c.created_at, tombstones.c.id))
            ).all()
        return [Tombstone(row.person, Scope(row.scope), row.created_at) for row in rows]

    @to_its_end
    async def waiting_tombstones(self) -> int:
        """How many tombstones were not applied yet."""
        waiting = select(func.count()).select_from(tombstones).where(tombstones.c.applied_at.is_(None))
        async with self._transaction(only_reads=True) as connection:
            return await connection.scalar(waiting) or 0

    @to_its_end
    async def applied(self, done: Sequence[Tombstone]) -> None:
        """Note that these tombstones were applied to all exports and models."""
        async with self._transaction() as connection:
            for tombstone in done:
                await connection.execute(delete(exported_turns).where(_covered(tombstone)))
                which = and_(_is(tombstone), tombstones.c.applied_at.is_(None))
                await connection.execute(update(tombstones).where(which).values(applied_at=self._now()))

    @to_its_end
    async def bury_again(self, known: Sequence[Tombstone]) -> int:
        """Do again what a database restored from a backup has lost; return how many tombstones were new to it."""
        new = 0
        async with self._transaction() as connection:
            for tombstone in known:
                if await connection.scalar(select(tombstones.c.id).where(_is(tombstone)).limit(1)) is None:
                    await self._bury_again(connection, tombstone)
                    new += 1
        return new

    async def _bury_again(self, connection: AsyncConnection, tombstone: Tombstone) -> None:
        person, at = tombstone.person, tombstone.created_at
        if tombstone.scope is not Scope.TRAINING:
            await delete_turns(connection, person, at)
        if tombstone.scope is Scope.FORGET:
            mine = and_(feedback.c.person == person, feedback.c.created_at <= at)
            await connection.execute(delete(feedback).where(mine))
        taken_back = {
            Scope.TRAINING: (Purpose.TRAINING,),
            Scope.MEMORY: (Purpose.MEMORY,),
            Scope.FORGET: (Purpose.MEMORY, Purpose.TRAINING),
        }[tombstone.scope]
        for purpose in taken_back:
            newest = (
                select(consents.c.granted, consents.c.created_at, consents.c.policy_version)
                .where(consents.c.person == person, consents.c.purpose == purpose.value)
                .order_by(consents.c.id.desc())
                .limit(1)
            )
            row = (await connection.execute(newest)).one_or_none()
            if row is not None and row.granted and row.created_at <= at:
                no = {"person": person, "purpose": purpose.value, "granted": False, "created_at": at}
                await connection.execute(insert(consents).values(no | {"policy_version": row.policy_version}))
        stone = {"person": person, "scope": tombstone.scope.value, "created_at": at, "applied_at": None}
        await connection.execute(insert(tombstones).values(stone))

    @to_its_end
    async def drop_tombstones(self, before: datetime) -> None:
        """Delete applied tombstones from before then: no backup is that old."""
        old = and_(tombstones.c.applied_at.is_not(None), tombstones.c.created_at < before)
        async with self._transaction() as connection:
            await connection.execute(delete(tombstones).where(old))


def _is(tombstone: Tombstone) -> Any:
    return and_(
        tombstones.c.person == tombstone.person,
        tombstones.c.scope == tombstone.scope.value,
        tombstones.c.created_at == tombstone.created_at,
    )


def _covered(tombstone: Tombstone) -> Any:
    """The noted turns of a tombstone's person in exports from before it."""
    before = select(exports.c.name).where(exports.c.created_at <= tombstone.created_at)
    return and_(exported_turns.c.person == tombstone.person, exported_turns.c.export.in_(before))


async def _grants(connection: AsyncConnection) -> dict[str, Grant]:
    rows = (await connection.execute(select(consents).order_by(consents.c.id))).all()
    ledgers: dict[str, list[LedgerRow]] = {}
    for row in rows:
        decision = LedgerRow(Purpose(row.purpose), row.granted, row.policy_version, row.created_at)
        ledgers.setdefault(row.person, []).append(decision)
    found = {person: grant_of(ledger) for person, ledger in sorted(ledgers.items())}
    return {person: grant for person, grant in found.items() if grant is not None}


async def _all_there(connection: AsyncConnection, ids: Sequence[int]) -> bool:
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        counted = select(func.count()).select_from(turns).where(turns.c.id.in_(some))
        if await connection.scalar(counted) != len(some):
            return False
    return True


def _pairs(rows: Sequence[Row[Any]]) -> list[tuple[Row[Any], Row[Any]]]:
    """What was said with what was replied; they are written side by side, and a half has lost its other."""
    return [
        (said, replied)
        for said, replied in pairwise(rows)
        if (said.role, replied.role) == (Role.USER.value, Role.BOT.value)
        and said.conversation_id == replied.conversation_id
    ]
