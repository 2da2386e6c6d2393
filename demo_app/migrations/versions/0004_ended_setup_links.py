"""Why set-up links ended whose integration was deleted or got another server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "ended_setup_links",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("why", sa.String(length=16), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_ended_setup_links")),
    )


def downgrade() -> None:
    op.drop_table("ended_setup_links")
