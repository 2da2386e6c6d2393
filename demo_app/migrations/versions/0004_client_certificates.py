"""Client certificates for gateways in front of servers, with their sealed keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_COLUMNS = ("client_certificate", "sealed_client_key")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("integrations", sa.Column(name, sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_column("integrations", name)
