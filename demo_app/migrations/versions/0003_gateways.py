"""How servers behind gateways are reached: where connections go, and client certificates with their sealed keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_CERTIFICATE_COLUMNS = ("client_certificate", "sealed_client_key")


def upgrade() -> None:
    op.add_column("integrations", sa.Column("connect_to", sa.String(255), nullable=False, server_default=""))
    for name in _CERTIFICATE_COLUMNS:
        op.add_column("integrations", sa.Column(name, sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    for name in ("connect_to", *_CERTIFICATE_COLUMNS):
        op.drop_column("integrations", name)
