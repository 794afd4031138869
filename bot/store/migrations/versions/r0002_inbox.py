"""The inbox, the model's replies with what people think of them, and consents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "inbox",
        sa.Column("id", _ID, nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("chat_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("message", sa.LargeBinary()),
        sa.Column("answer", sa.LargeBinary()),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("reply_id", _ID),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_inbox"),
        sa.UniqueConstraint("platform", "event_id", name="uq_inbox_platform_event_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inbox_state_platform_id", "inbox", ["state", "platform", "id"])
    op.create_index("ix_inbox_platform_chat_id_message_id", "inbox", ["platform", "chat_id", "message_id"])
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"])
    op.create_table(
        "replies",
        sa.Column("id", _ID, nullable=False),
        sa.Column("conversation_id", _ID, nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_replies"),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="fk_replies_conversation_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_replies_conversation_id_id", "replies", ["conversation_id", "id"])
    op.create_table(
        "deliveries",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("chat_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("reply_id", _ID, nullable=False),
        sa.PrimaryKeyConstraint("platform", "chat_id", "message_id", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["reply_id"], ["replies.id"], name="fk_deliveries_reply_id", ondelete="CASCADE"),
    )
    op.create_index("ix_deliveries_reply_id", "deliveries", ["reply_id"])
    op.create_table(
        "feedback",
        sa.Column("id", _ID, nullable=False),
        sa.Column("reply_id", _ID, nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("judgement", sa.Text(), nullable=False),
        sa.Column("correction", sa.LargeBinary()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.ForeignKeyConstraint(["reply_id"], ["replies.id"], name="fk_feedback_reply_id", ondelete="CASCADE"),
        sa.UniqueConstraint("reply_id", "person", "judgement", name="uq_feedback_reply_id_person_judgement"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_feedback_person", "feedback", ["person"])
    op.create_table(
        "consents",
        sa.Column("id", _ID, nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_consents_person_purpose_id", "consents", ["person", "purpose", "id"])
    op.add_column("turns", sa.Column("person", sa.Text()))
    # No foreign key: SQLite cannot add one to a table that is there, and a reply outlives its turn.
    op.add_column("turns", sa.Column("reply_id", _ID))
    op.create_index("ix_turns_person", "turns", ["person"])


def downgrade() -> None:
    op.drop_index("ix_turns_person", "turns")
    op.drop_column("turns", "reply_id")
    op.drop_column("turns", "person")
    for table in ("consents", "feedback", "deliveries", "replies", "inbox"):
        op.drop_table(table)
