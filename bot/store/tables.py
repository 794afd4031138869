"""The tables. A change here needs a migration (migrations/versions)."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
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
    false,
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
    Column("check_in", Boolean, nullable=False, server_default=false()),  # the bot may write first
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
    Column("person", Text),  # pseudonym of whose exchange this turn is part of
    Column("reply_id", _Id),  # NULL for what a person said; no foreign key, as the reply's row outlives the turn
    Index(None, "conversation_id", "id"),
    Index(None, "person"),
    # Ids of deleted turns are never given again: a list of ids must not come to mean other people's words.
    sqlite_autoincrement=True,
)

# What platforms delivered. `message` and `answer` are encrypted JSON, gone once the entry is settled; the row stays for
# some days, so that the same event is known when it comes again.
inbox = Table(
    "inbox",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("chat_id", Text, nullable=False),
    Column("thread_id", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),  # entries.State
    Column("message", LargeBinary),
    Column("answer", LargeBinary),  # set as soon as it is decided: a crash must not lead to another one
    Column("failures", Integer, nullable=False),
    Column("reply_id", _Id),
    Column("received_at", UtcDateTime, nullable=False),
    UniqueConstraint("platform", "event_id"),
    Index(None, "state", "platform", "id"),
    Index(None, "platform", "chat_id", "message_id"),
    Index(None, "received_at"),
    sqlite_autoincrement=True,
)

# Every reply of the model, without its text: what a judgement is about, also where the conversation is not kept.
replies = Table(
    "replies",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("conversation_id", _Id, ForeignKey(conversations.c.id, ondelete="CASCADE"), nullable=False),
    Column("model_version", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "conversation_id", "id"),
    sqlite_autoincrement=True,
)

# Under which message of the platform a reply is seen.
deliveries = Table(
    "deliveries",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("chat_id", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("reply_id", _Id, ForeignKey(replies.c.id, ondelete="CASCADE"), nullable=False),
    Index(None, "reply_id"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("reply_id", _Id, ForeignKey(replies.c.id, ondelete="CASCADE"), nullable=False),
    Column("person", Text, nullable=False),
    Column("judgement", Text, nullable=False),
    Column("correction", LargeBinary),  # encrypted
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("reply_id", "person", "judgement"),
    Index(None, "person"),
    sqlite_autoincrement=True,
)

# A ledger: rows are only ever added; the newest of a person and purpose holds.
consents = Table(
    "consents",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("person", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "person", "purpose", "id"),
    sqlite_autoincrement=True,
)

# What went into which export of talk that people share for training; committed before the export is seen anywhere.
exports = Table(
    "exports",
    metadata,
    Column("name", Text, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("policy", Text, nullable=False),  # the policy versions that its people agreed to, "1" or "1,2"
    Column("permission", Text),  # what Discord permitted in writing, where anything
)

exported_turns = Table(
    "exported_turns",
    metadata,
    Column("export", Text, ForeignKey(exports.c.name, ondelete="CASCADE"), primary_key=True),
    Column("turn_id", _Id, primary_key=True),  # no foreign key: the record outlives the turn
    Column("person", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("permission", Text),
    # Discord's developer policy forbids training on its messages, whatever their authors say.
    CheckConstraint("platform <> 'discord' OR permission IS NOT NULL", name="ck_exported_turns_discord"),
    # The terminal is never asked for consent.
    CheckConstraint("platform <> 'console'", name="ck_exported_turns_console"),
    Index(None, "person"),
)

# Whose talk must leave every export and model: people who forgot or took back what the exports hang on.
tombstones = Table(
    "tombstones",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("person", Text, nullable=False),
    Column("scope", Text, nullable=False),  # sharing.Scope
    Column("created_at", UtcDateTime, nullable=False),
    Column("applied_at", UtcDateTime),  # NULL until the exports and models were gone through
    Index(None, "person"),
    sqlite_autoincrement=True,
)
