"""Where connections to an integration's server go instead of its base URL's host."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("integrations", sa.Column("connect_to", sa.String(255), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("integrations", "connect_to")
