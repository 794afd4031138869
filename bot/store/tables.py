"""The tables. A change here needs a migration (migrations/versions)."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """Timezone-aware times, kept in UTC also where the database knows no time zones (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


# SQLite numbers rows only in a column that is exactly INTEGER.
_Id = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# `key_check` holds a known text under the database's key: whether a key is the right one shows before it is used.
meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", LargeBinary, nullable=False))

conversations = Table(
    "conversations",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("chat_id", Text, nullable=False),
    Column("thread_id", Text, nullable=False),
    Column("persona", LargeBinary),  # an encrypted JSON list; NULL is the default persona
    Column("speech_level", Text),
    Column("turn_count", Integer, nullable=False),  # kept here, as COUNT(*) would read the whole history
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("platform", "chat_id", "thread_id"),
    sqlite_autoincrement=True,
)

turns = Table(
    "turns",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("conversation_id", _Id, ForeignKey(conversations.c.id, ondelete="CASCADE"), nullable=False),
    Column("role", Text, nullable=False),
    Column("text", LargeBinary, nullable=False),  # encrypted
    Column("model_version", Text),  # NULL for what a person said, as is `source`
    Column("source", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "conversation_id", "id"),
    # Ids of deleted turns are never given again: a list of ids must not come to mean other people's words.
    sqlite_autoincrement=True,
)
