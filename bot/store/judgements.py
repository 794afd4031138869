"""What people think of replies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import and_, delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.messages import Feedback, Judgement
from bot.store.base import StoreBase, to_its_end
from bot.store.consents import Purpose
from bot.store.tables import consents, conversations, deliveries, feedback, replies

_CORRECTION = "feedback.correction"
_VOTES = (Judgement.UP, Judgement.DOWN)


@dataclass(frozen=True, slots=True)
class Votes:
    """What people think of a model's replies, in numbers."""

    replies: int = 0
    up: int = 0
    down: int = 0
    retried: int = 0
    corrected: int = 0


class Judgements(StoreBase):
    """The part of the store that holds feedback."""

    @to_its_end
    async def judge(self, given: Feedback) -> bool:
        """Store a judgement; of a person's 👍 and 👎 the later holds. False for a reply that is not known there.

        Of who says that they are under 14 nothing is stored.
        """
        person = self.person(given.key.platform, given.user_id)
        correction = self._cipher.encrypt(given.correction, _CORRECTION) if given.correction else None
        async with self._transaction() as connection:
            reply_id = await _find_reply(connection, given)
            if reply_id is None:
                return False
            if await _is_under_14(connection, person):
                return True
            if given.judgement in _VOTES:
                mine = and_(feedback.c.reply_id == reply_id, feedback.c.person == person)
                votes = feedback.c.judgement.in_([vote.value for vote in _VOTES])
                await connection.execute(delete(feedback).where(mine, votes))
            row = {
                "reply_id": reply_id,
                "person": person,
                "judgement": given.judgement.value,
                "correction": correction,
                "created_at": self._now(),
            }
            new = upsert(feedback).values(row)
            unique = [feedback.c.reply_id, feedback.c.person, feedback.c.judgement]
            changes = {"correction": correction, "created_at": row["created_at"]}
            await connection.execute(new.on_conflict_do_update(index_elements=unique, set_=changes))
        return True

    @to_its_end
    async def votes(self, since: datetime) -> dict[str, Votes]:
        """By model version, the replies since then and what people think of them."""
        made = select(replies.c.model_version, func.count()).where(replies.c.created_at >= since)
        given = (
            select(replies.c.model_version, feedback.c.judgement, func.count())
            .join(replies, replies.c.id == feedback.c.reply_id)
            .where(replies.c.created_at >= since)
        )
        async with self._transaction(only_reads=True) as connection:
            counts = (await connection.execute(made.group_by(replies.c.model_version))).all()
            judged = await connection.execute(given.group_by(replies.c.model_version, feedback.c.judgement))
            found = {version: Votes(count) for version, count in counts}
            for version, judgement, count in judged.all():
                found[version] = replace(found[version], **{_COUNTED_AS[Judgement(judgement)]: count})
        return found

    @to_its_end
    async def shown_as(self, reply_id: int) -> tuple[str, ...]:
        """The platform's messages under which a reply is seen, in order."""
        rows = select(deliveries.c.message_id).where(deliveries.c.reply_id == reply_id)
        async with self._transaction(only_reads=True) as connection:
            found = (await connection.execute(rows)).scalars().all()
        return tuple(sorted(found, key=lambda message_id: (len(message_id), message_id)))


_COUNTED_AS = {
    Judgement.UP: "up",
    Judgement.DOWN: "down",
    Judgement.RETRY: "retried",
    Judgement.CORRECTION: "corrected",
}


async def _is_under_14(connection: AsyncConnection, person: str) -> bool:
    said = select(consents.c.granted).where(consents.c.person == person, consents.c.purpose == Purpose.AGE_14.value)
    return await connection.scalar(said.order_by(consents.c.id.desc()).limit(1)) is False


async def _find_reply(connection: AsyncConnection, given: Feedback) -> int | None:
    """The reply that is meant, if it was given in that chat: an id alone could be anybody's guess."""
    chat = and_(conversations.c.platform == given.key.platform, conversations.c.chat_id == given.key.chat_id)
    found = select(replies.c.id).join(conversations, conversations.c.id == replies.c.conversation_id).where(chat)
    if given.reply_id is not None:
        return await connection.scalar(found.where(replies.c.id == given.reply_id))
    seen = and_(
        deliveries.c.platform == given.key.platform,
        deliveries.c.chat_id == given.key.chat_id,
        deliveries.c.message_id == given.message_id,
    )
    return await connection.scalar(found.join(deliveries, deliveries.c.reply_id == replies.c.id).where(seen))
