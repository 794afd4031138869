"""What was exported for training, and whose talk must leave the exports again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "exports",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("permission", sa.Text()),
        sa.PrimaryKeyConstraint("name", name="pk_exports"),
    )
    op.create_table(
        "exported_turns",
        sa.Column("export", sa.Text(), nullable=False),
        sa.Column("turn_id", _ID, nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("permission", sa.Text()),
        sa.PrimaryKeyConstraint("export", "turn_id", name="pk_exported_turns"),
        sa.ForeignKeyConstraint(["export"], ["exports.name"], name="fk_exported_turns_export", ondelete="CASCADE"),
        sa.CheckConstraint("platform <> 'discord' OR permission IS NOT NULL", name="ck_exported_turns_discord"),
        sa.CheckConstraint("platform <> 'console'", name="ck_exported_turns_console"),
    )
    op.create_index("ix_exported_turns_person", "exported_turns", ["person"])
    op.create_table(
        "tombstones",
        sa.Column("id", _ID, nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_tombstones"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tombstones_person", "tombstones", ["person"])


def downgrade() -> None:
    for table in ("tombstones", "exported_turns", "exports"):
        op.drop_table(table)
