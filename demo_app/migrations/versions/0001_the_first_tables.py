"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("integrations_made", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("login_key", sa.String(length=32), nullable=False),
        sa.Column("login_closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
        sa.UniqueConstraint("slug", name=op.f("uq_organizations_slug")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "social_auth_nonces",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("server_url", sa.String(length=255), nullable=False),
        sa.Column("timestamp", sa.Integer(), nullable=False),
        sa.Column("salt", sa.String(length=65), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_social_auth_nonces")),
        sa.UniqueConstraint("server_url", "timestamp", "salt", name="uq_social_auth_nonces_server_url_timestamp_salt"),
    )
    op.create_index(op.f("ix_social_auth_nonces_salt"), "social_auth_nonces", ["salt"], unique=False)
    op.create_index(op.f("ix_social_auth_nonces_timestamp"), "social_auth_nonces", ["timestamp"], unique=False)
    op.create_table(
        "social_auth_partials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("next_step", sa.Integer(), nullable=False),
        sa.Column("backend", sa.String(length=32), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_social_auth_partials")),
    )
    op.create_index(op.f("ix_social_auth_partials_token"), "social_auth_partials", ["token"], unique=False)
    op.create_table(
        "integrations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("base_url", sa.String(length=255), nullable=False),
        sa.Column("moving_to", sa.String(length=255), nullable=True),
        sa.Column("namespace", sa.String(length=32), nullable=False),
        sa.Column("ca_certificates", sa.Text(), nullable=False),
        sa.Column("client_certificate", sa.Text(), nullable=False, server_default=""),
        sa.Column("sealed_client_key", sa.Text(), nullable=False, server_default=""),
        sa.Column("connect_to", sa.String(length=255), nullable=False, server_default=""),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("server_version", sa.String(length=41), nullable=False),
        sa.Column("oauth1_ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("enforced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("allow_groups", sa.JSON(), nullable=False),
        sa.Column("allow_projects", sa.JSON(), nullable=False),
        sa.Column("allow_repositories", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("sessions_ended", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_integrations_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_integrations")),
        sa.UniqueConstraint("namespace", name=op.f("uq_integrations_namespace")),
        sa.UniqueConstraint("organization_id", "number", name=op.f("uq_integrations_organization_id_number")),
    )
    op.create_index(
        "one_enforced_integration",
        "integrations",
        ["organization_id"],
        unique=True,
        sqlite_where=sa.text("enforced_at IS NOT NULL"),
        postgresql_where=sa.text("enforced_at IS NOT NULL"),
    )
    op.create_table(
        "application_links",
        sa.Column("consumer_key", sa.String(length=64), nullable=False),
        sa.Column("integration_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["integrations.id"],
            name=op.f("fk_application_links_integration_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("consumer_key", name=op.f("pk_application_links")),
        sa.UniqueConstraint(
            "consumer_key", "integration_id", name=op.f("uq_application_links_consumer_key_integration_id")
        ),
        sa.UniqueConstraint("integration_id", "number", name=op.f("uq_application_links_integration_id_number")),
    )
    op.create_table(
        "key_pairs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("integration_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("sealed_private_key", sa.Text(), nullable=True),
        sa.Column("consumer_key", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["consumer_key", "integration_id"],
            ["application_links.consumer_key", "application_links.integration_id"],
            name=op.f("fk_key_pairs_consumer_key_integration_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["integrations.id"], name=op.f("fk_key_pairs_integration_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_pairs")),
        sa.UniqueConstraint("public_key", name=op.f("uq_key_pairs_public_key")),
    )
    op.create_index(op.f("ix_key_pairs_integration_id"), "key_pairs", ["integration_id"], unique=False)
    for state in ("active", "pending", "replaced"):
        op.create_index(
            f"one_{state}_key_pair",
            "key_pairs",
            ["integration_id"],
            unique=True,
            sqlite_where=sa.text(f"state = '{state}'"),
            postgresql_where=sa.text(f"state = '{state}'"),
        )
    op.create_table(
        "client_credentials",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("integration_id", sa.String(length=32), nullable=False),
        sa.Column("client_id", sa.String(length=255), nullable=False),
        sa.Column("sealed_client_secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["integrations.id"],
            name=op.f("fk_client_credentials_integration_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_credentials")),
        sa.UniqueConstraint("integration_id", name=op.f("uq_client_credentials_integration_id")),
    )
    op.create_table(
        "setup_links",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("integration_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_from", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["integrations.id"], name=op.f("fk_setup_links_integration_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_setup_links")),
    )
    op.create_index(op.f("ix_setup_links_integration_id"), "setup_links", ["integration_id"], unique=False)
    op.create_index(
        "one_setup_link",
        "setup_links",
        ["integration_id"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "ended_setup_links",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("why", sa.String(length=16), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_ended_setup_links")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(length=255), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("email", sa.String(length=255), nullable=True),
        sa.Column("is_owner", sa.Boolean(), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("session_key", sa.String(length=43), nullable=False),
        sa.Column("sessions_ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_users_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("organization_id", "username", name=op.f("uq_users_organization_id_username")),
        sa.UniqueConstraint("session_key", name=op.f("uq_users_session_key")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "social_auth_identities",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("id_key", sa.String(length=255), nullable=False),
        sa.Column("uid", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("extra_data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("integration_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rechecked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["integrations.id"],
            name=op.f("fk_social_auth_identities_integration_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_social_auth_identities_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_social_auth_identities")),
        sa.UniqueConstraint("provider", "uid", name="uq_social_auth_identities_provider_uid"),
    )
    op.create_index(
        op.f("ix_social_auth_identities_integration_id"), "social_auth_identities", ["integration_id"], unique=False
    )
    op.create_index(op.f("ix_social_auth_identities_user_id"), "social_auth_identities", ["user_id"], unique=False)
    op.create_index("one_identity_by_either_oauth", "social_auth_identities", ["uid"], unique=True)
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("organization_id", sa.Integer(), nullable=True),
        sa.Column("integration_id", sa.String(length=64), nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("problem", sa.String(length=64), nullable=True),
        sa.Column("transaction", sa.String(length=12), nullable=True),
        sa.Column("reference", sa.String(length=16), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index("audit_entries_of_integration", "audit_entries", ["integration_id", "event", "id"], unique=False)
    op.create_index("audit_entries_of_organization", "audit_entries", ["organization_id", "id"], unique=False)
    op.create_index(op.f("ix_audit_entries_reference"), "audit_entries", ["reference"], unique=False)
    op.create_index(op.f("ix_audit_entries_transaction"), "audit_entries", ["transaction"], unique=False)


def downgrade() -> None:
    op.drop_table("audit_entries")
    op.drop_index("one_identity_by_either_oauth", table_name="social_auth_identities")
    op.drop_index(op.f("ix_social_auth_identities_user_id"), table_name="social_auth_identities")
    op.drop_index(op.f("ix_social_auth_identities_integration_id"), table_name="social_auth_identities")
    op.drop_table("social_auth_identities")
    op.drop_table("users")
    op.drop_table("ended_setup_links")
    op.drop_index(
        "one_setup_link",
        table_name="setup_links",
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.drop_index(op.f("ix_setup_links_integration_id"), table_name="setup_links")
    op.drop_table("setup_links")
    op.drop_table("client_credentials")
    for state in ("replaced", "pending", "active"):
        op.drop_index(
            f"one_{state}_key_pair",
            table_name="key_pairs",
            sqlite_where=sa.text(f"state = '{state}'"),
            postgresql_where=sa.text(f"state = '{state}'"),
        )
    op.drop_index(op.f("ix_key_pairs_integration_id"), table_name="key_pairs")
    op.drop_table("key_pairs")
    op.drop_table("application_links")
    op.drop_table("integrations")
    op.drop_index(op.f("ix_social_auth_partials_token"), table_name="social_auth_partials")
    op.drop_table("social_auth_partials")
    op.drop_index(op.f("ix_social_auth_nonces_salt"), table_name="social_auth_nonces")
    op.drop_index(op.f("ix_social_auth_nonces_timestamp"), table_name="social_auth_nonces")
    op.drop_table("social_auth_nonces")
    op.drop_table("organizations")
