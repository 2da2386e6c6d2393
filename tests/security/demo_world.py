"""The demo application as the rows want it."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, ClassVar

from flask import Flask
from sqlalchemy import func, select, text

from demo_app import clock, create_app, database, integrations, people, setup_links
from demo_app.config import Settings
from demo_app.models import IntegrationRecord, LoginSession, Organization, SocialStorage, User
from social_bitbucket_server.addresses import AddressPolicy
from social_bitbucket_server.server_url import ServerURL
from tests.security.world import ORIGIN, PASSWORD, FakeBitbucket, Ingredients, Place, Serving, World


@dataclass(frozen=True)
class DemoPlace(Place):
    """An organization with its one integration."""

    organization_id: int
    owner_email: str

    @property
    def login_path(self) -> str:
        return f"/o/{self.slug}/login"

    @property
    def begin_path(self) -> str:
        return f"{self.login_path}/{self.integration_id}/begin"

    @property
    def account_path(self) -> str:
        return f"/o/{self.slug}/account"

    @property
    def declined_path(self) -> str:
        return f"{self.login_path}?e=declined"

    @property
    def settings_path(self) -> str:
        return f"/o/{self.slug}/settings/integrations/{self.integration_id}"


@dataclass(kw_only=True)
class DemoWorld(World):
    """The application with its database, and what belongs to its own pages."""

    app: Flask
    config: dict[str, str]

    security_headers: ClassVar[dict[str, str]] = {
        "Content-Security-Policy": "default-src 'none'",
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Strict-Transport-Security": "max-age=",
    }
    tells_apart: ClassVar[frozenset[str]] = frozenset({"login.mixup", "login.replay"})

    def stop(self) -> None:
        """End the application, and let go of its database. Twice does no harm."""
        self.serving.close()
        self.app.extensions["engine"].dispose()

    def restart(self, **settings: str) -> None:
        """End the application and start it anew, with some settings changed for good."""
        self.stop()
        self.config |= settings
        self.app = create_app(self.config)
        self.serving = Serving(self.app)

    def make_place(self, slug: str, server: FakeBitbucket) -> DemoPlace:
        with self.context():
            owner = people.create_organization(
                slug=slug, name=f"Organization {slug.upper()}", email=f"owner-{slug}@corp.example", password=PASSWORD
            )
            record = integrations.make(owner.organization, f"Bitbucket {slug.upper()}", ServerURL.parse(server.url))
            return DemoPlace(slug, record.id, record.namespace, server, owner.organization_id, owner.email)

    def set_up_link(self, place: Place) -> str:
        """The token of a new set-up link."""
        with self.context():
            return setup_links.make(database.session.get_one(IntegrationRecord, place.integration_id))

    def another_integration(self, place: DemoPlace, server: FakeBitbucket) -> DemoPlace:
        """One more integration of the same organization."""
        with self.context():
            organization = database.session.get_one(Organization, place.organization_id)
            record = integrations.make(organization, f"Another {server.host}", ServerURL.parse(server.url))
            return replace(place, integration_id=record.id, namespace=record.namespace, server=server)

    @contextlib.contextmanager
    def context(self) -> Iterator[None]:
        with self.app.test_request_context(base_url=ORIGIN):
            yield

    def users(self) -> list[User]:
        with self.context():
            found = list(database.session.scalars(select(User).where(~User.is_owner).order_by(User.id)))
            database.session.expunge_all()
            return found

    def identities(self) -> dict[str, int]:
        identity: Any = SocialStorage.user
        with self.context():
            return {row.uid: row.user_id for row in database.session.scalars(select(identity))}

    def newest_identities(self) -> list[str]:
        """The uids of the last few that came in."""
        identity: Any = SocialStorage.user
        with self.context():
            newest = select(identity.uid).order_by(identity.id.desc()).limit(5)
            return list(database.session.scalars(newest))

    def live_sessions(self) -> list[LoginSession]:
        with self.context():
            rows = select(LoginSession).where(LoginSession.user_id.is_not(None), LoginSession.revoked_at.is_(None))
            found = list(database.session.scalars(rows))
            database.session.expunge_all()
            return found

    def counts(self) -> tuple[int, int, int]:
        """Users, identities, and sessions of people."""
        identity: Any = SocialStorage.user
        with self.context():
            counted = [
                database.session.scalar(select(func.count()).select_from(table)) or 0 for table in (User, identity)
            ]
            sessions = database.session.scalar(
                select(func.count()).select_from(LoginSession).where(LoginSession.user_id.is_not(None))
            )
        return counted[0], counted[1], sessions or 0

    def change_integration(self, place: Place, **columns: Any) -> None:
        with self.context():
            record = database.session.get_one(IntegrationRecord, place.integration_id)
            for name, value in columns.items():
                setattr(record, name, value)
            database.session.commit()

    def take_away(self, place: Place, *, delete: bool) -> None:
        if not delete:
            self.change_integration(place, disabled_at=clock.now())
            return
        with self.context():
            integrations.delete(database.session.get_one(IntegrationRecord, place.integration_id))

    def change_organization(self, place: DemoPlace, **columns: Any) -> None:
        with self.context():
            organization = database.session.get_one(Organization, place.organization_id)
            for name, value in columns.items():
                setattr(organization, name, value)
            database.session.commit()

    def everything_stored(self) -> str:
        """Every row of every table, as text."""
        rows = []
        with self.context():
            for table in database.Base.metadata.sorted_tables:
                rows += [str(tuple(row)) for row in database.session.execute(select(table))]
            rows += [str(row) for row in database.session.execute(text("SELECT 1"))]
        return "\n".join(rows)

    def transactions(self) -> int:
        """Logins under way."""
        nonce: Any = SocialStorage.nonce
        with self.context():
            return database.session.scalar(select(func.count()).select_from(nonce)) or 0


class AuditLines(logging.Handler):
    """Collects the audit log."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(json.loads(record.getMessage()))


@contextlib.contextmanager
def start(made_of: Ingredients) -> Iterator[DemoWorld]:
    """The application on a socket."""
    policy = AddressPolicy(test_addresses=frozenset(map(ip_address, made_of.allowed)))
    made_of.patch.setattr(Settings, "address_policy", lambda _settings, _slug: policy)
    made_of.patch.setattr(Settings, "ca_bundle", made_of.bundle)
    made_of.patch.setattr(integrations, "make_private_key", made_of.make_private_key)
    config = {
        "PUBLIC_BASE_URL": ORIGIN,
        "INSTANCE_PATH": str(made_of.folder / "instance"),
        "DATABASE_URL": made_of.database_url,
        "SECRET_KEY": "s" * 64,
    }
    app = create_app(config)
    world = DemoWorld(app=app, config=config, serving=Serving(app), **made_of.world)
    ring = (made_of.folder / "instance" / "key_ring").read_text()
    world.canaries.values |= {part.partition(":")[2] for part in ring.strip().split(",")}
    lines = AuditLines(world.audit)
    audit_logger = logging.getLogger("demo_app.audit")
    audit_logger.addHandler(lines)
    try:
        yield world
    finally:
        audit_logger.removeHandler(lines)
