"""Flask with organizations as the rows want it: the tests' own application."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from social_core.strategy import BaseStrategy
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from social_bitbucket_server.backends import BitbucketServerOAuth1
from social_bitbucket_server.flask import FlaskStrategy
from social_bitbucket_server.flask.organizations import Organizations
from social_bitbucket_server.flask.organizations.current import EXTENSION, store
from social_bitbucket_server.flask.organizations.navigation import callback_of
from social_bitbucket_server.integration import Integration, ServerURL, UnsafeConfigurationError
from social_bitbucket_server.login.pending import NONCE_SCOPE
from social_bitbucket_server.organizations import Outbound, SealedKeys
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.sqlalchemy.organizations import clock, integrations
from social_bitbucket_server.sqlalchemy.organizations.identities import Identities
from social_bitbucket_server.transport import AddressPolicy
from tests.flask_app import create_app, database, people
from tests.flask_app.config import Settings
from tests.flask_app.instance_files import UnsafeSettingError
from tests.flask_app.models import Organization, User, models
from tests.security.world import ORIGIN, PASSWORD, FakeBitbucket, Ingredients, Place, Serving, World

_ADDRESS_POLICY = Outbound.address_policy


@dataclass(frozen=True)
class OrganizationPlace(Place):
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
class OrganizationsWorld(World):
    """The application with its database, and what belongs to its own pages."""

    app: Flask
    config: dict[str, str]
    made_of: Ingredients

    security_headers: ClassVar[dict[str, str]] = {
        "Content-Security-Policy": "default-src 'none'",
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Strict-Transport-Security": "max-age=",
    }
    tells_apart: ClassVar[frozenset[str]] = frozenset({"login.mixup", "login.replay"})
    writes_down_unopenable_keys: ClassVar[bool] = True
    checks_keys_at_start: ClassVar[bool] = True
    problem_of_disabled: ClassVar[str] = "person_disabled"
    hides_requests: ClassVar[bool] = True
    answers_for_one_host: ClassVar[bool] = True
    strategy: ClassVar[type[BaseStrategy[Any]]] = FlaskStrategy
    opens_keys: ClassVar[tuple[Any, str]] = (SealedKeys, "open_private_key")
    pipeline_setting: ClassVar[str] = "SOCIAL_AUTH_BITBUCKET_SERVER_PIPELINE"

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

    def make_place(self, slug: str, server: FakeBitbucket) -> OrganizationPlace:
        with self.context():
            owner = people.create_organization(
                slug=slug, name=f"Organization {slug.upper()}", email=f"owner-{slug}@corp.example", password=PASSWORD
            )
            record = store.integrations.make(
                owner.organization, f"Bitbucket {slug.upper()}", ServerURL.parse(server.url)
            )
            return OrganizationPlace(slug, record.id, record.namespace, server, owner.organization_id, owner.email)

    def set_up_link(self, place: Place) -> str:
        """The token of a new set-up link."""
        with self.context():
            return store.setup_links.make(database.session.get_one(models.integration, place.integration_id))

    def another_integration(self, place: OrganizationPlace, server: FakeBitbucket) -> OrganizationPlace:
        """One more integration of the same organization."""
        with self.context():
            organization = database.session.get_one(Organization, place.organization_id)
            record = store.integrations.make(organization, f"Another {server.host}", ServerURL.parse(server.url))
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
        identity: Any = models.storage.user
        with self.context():
            return {row.uid: row.user_id for row in database.session.scalars(select(identity))}

    def newest_identities(self) -> list[str]:
        """The uids of the last few that came in."""
        identity: Any = models.storage.user
        with self.context():
            newest = select(identity.uid).order_by(identity.id.desc()).limit(5)
            return list(database.session.scalars(newest))

    def counts(self) -> tuple[int, int, int]:
        """Users, identities, and logins: sessions are cookies."""
        identity: Any = models.storage.user
        with self.context():
            counted = [
                database.session.scalar(select(func.count()).select_from(table)) or 0 for table in (User, identity)
            ]
        return counted[0], counted[1], len(self.events("login.success"))

    def change_integration(self, place: Place, **columns: Any) -> None:
        with self.context():
            record = database.session.get_one(models.integration, place.integration_id)
            consumer_key = columns.pop("consumer_key", None)
            if consumer_key is not None:
                link = models.application_link(consumer_key=consumer_key, integration_id=record.id, number=2)
                database.session.add(link)
                database.session.flush()
                record.active_key_pair.consumer_key = consumer_key
            for name, value in columns.items():
                setattr(record, name, value)
            database.session.commit()

    def take_away(self, place: Place, *, delete: bool) -> None:
        if not delete:
            self.change_integration(place, disabled_at=clock.now())
            return
        with self.context():
            store.integrations.delete(database.session.get_one(models.integration, place.integration_id))

    def change_organization(self, place: OrganizationPlace, **columns: Any) -> None:
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

    def enter(self, base_url: str, ca_certificates: str = "") -> bool:
        owner, path = self.stranger(), f"/o/{self.a.slug}/settings/integrations/add"
        owner.log_owner_in(self.a)
        name = f"New {len(self.base_urls())}"  # no two have the same one
        form = {"name": name, "base_url": base_url, "ca_certificates": ca_certificates}
        page = owner.post(path, form, token_from=path)
        assert page.status in {303, 422}, page.text
        return page.status == 303

    def allow_plain_http(self, host: str) -> None:
        self._change_outbound(plain_http_hosts=frozenset({host}))

    def disable(self, user: User) -> None:
        """Let a person in no more."""
        with self.context():
            organization = database.session.get_one(User, user.id).organization
            person = store.people.find(organization, str(user.id))
            assert person is not None
            store.people.disable(organization, person)

    def base_urls(self) -> list[str]:
        with self.context():
            oldest_first = select(models.integration.base_url).order_by(models.integration.created_at)
            return list(database.session.scalars(oldest_first))

    def refusal(self, **settings: Any) -> str:
        folder = self.made_of.folder / "another start"
        own = {"INSTANCE_PATH": str(folder), "DATABASE_URL": f"sqlite:///{folder / 'application.sqlite'}"}
        try:
            create_app(self.config | own | settings).extensions["engine"].dispose()
        except (UnsafeSettingError, UnsafeConfigurationError) as error:
            return str(error)
        return ""

    def refusal_of_private_network(self, network: str) -> str:
        return self.refusal(OUTBOUND_MODE="listed", ALLOWED_PRIVATE_NETWORKS=f"1=10.0.0.0/8,{network}")

    def wait_for_servers(self, seconds: float) -> None:
        self._change_outbound(timeout=seconds)

    def _change_outbound(self, **changes: Any) -> None:
        with self.context():
            store.outbound = replace(store.outbound, **changes)

    @property
    def _organizations(self) -> Organizations:
        extension: Organizations = self.app.extensions[EXTENSION]
        return extension

    @property
    def _keys(self) -> SealedKeys:
        return self._organizations.store.keys

    @property
    def identity_class(self) -> Any:
        return models.storage.user

    @property
    def identity_finder(self) -> tuple[Any, str]:
        return Identities, "with_uid"

    def rotate(self, place: Place) -> None:
        """Make a key pair that waits."""
        with self.context():
            store.key_rotation.begin(database.session.get_one(models.integration, place.integration_id))

    def verify(self, place: Place) -> str:
        """Put the key pair that waits in use; returns the problem's code where Bitbucket does not let that be."""
        with self.context():
            try:
                record = database.session.get_one(models.integration, place.integration_id)
                assert store.key_rotation.verify(record, callback_of(record))
            except BitbucketServerError as error:
                return error.code
        return ""

    def key_states(self, place: Place) -> list[tuple[str, str, bool]]:
        """State and public key of its key pairs, oldest first, and whether they have a private key."""
        return [
            (pair.stored_state, pair.public_key, pair.sealed_private_key is not None) for pair in self.key_pairs(place)
        ]

    def refuses_twins(self, column: str) -> bool:
        """Whether the database itself keeps A's and B's integrations or key pairs from having the same *column*."""
        with self.context():
            first, second = database.session.scalars(select(models.integration))
            taken, pair = first.active_key_pair, second.active_key_pair
            if column == "namespace":
                second.namespace = first.namespace
                return _is_refused()
            if column == "public_key":
                pair.public_key = taken.public_key
                return _is_refused()
            link = models.application_link(consumer_key=taken.consumer_key, integration_id=second.id, number=2)
            database.session.add(link)
            if not _is_refused():
                return False
            pair.consumer_key = taken.consumer_key
            return _is_refused()

    def organization_id(self, place: Place) -> int:
        with self.context():
            record = database.session.get(models.integration, place.integration_id)
            assert record is not None
            return record.organization_id

    def allow_private_networks(self, **networks: str) -> None:
        self.made_of.patch.setattr(Outbound, "address_policy", _ADDRESS_POLICY)
        places = {place.slug: place for place in (self.a, self.b)}
        listed = "; ".join(f"{self.organization_id(places[slug])}={network}" for slug, network in networks.items())
        chosen = {"OUTBOUND_MODE": "listed", "ALLOWED_PRIVATE_NETWORKS": listed} if networks else {}
        read = Settings.read({**chosen, "INSTANCE_PATH": self.config["INSTANCE_PATH"]}, {})
        self._change_outbound(private_networks=read.outbound.private_networks)

    def find(self, place: Place) -> Integration:
        with self.context():
            found = store.integrations.for_login(place.integration_id)
        assert found is not None
        return found

    def backend(self, place: Place) -> BitbucketServerOAuth1[Any]:
        with self.context():
            return BitbucketServerOAuth1(FlaskStrategy(models.storage), place.callback())

    def holders(self, place: Place) -> tuple[Any, ...]:
        return self.app.extensions["settings"], self._organizations.settings, self._keys, *self.key_pairs(place)

    @property
    def ring(self) -> str:
        kept = Path(self.config["INSTANCE_PATH"]) / "key_ring"
        return self.config.get("KEY_RING") or kept.read_text().strip()

    def use_ring(self, ring: str) -> None:
        self.restart(KEY_RING=ring)

    def opens_all_keys(self) -> bool:
        """Whether the ring opens the oldest and the newest private key."""
        with self.context():
            return store.resealing.opens_keys()

    def rewrap(self) -> bool:
        return self.command("bitbucket-server", "reseal").exit_code == 0

    def command(self, *arguments: str) -> Any:
        """Run one of the application's commands, and return its result."""
        return self.app.test_cli_runner().invoke(args=arguments)

    def key_pairs(self, place: Place) -> list[Any]:
        """Those of the integration, oldest first."""
        with self.context():
            pairs = (
                select(models.key_pair)
                .where(models.key_pair.integration_id == place.integration_id)
                .order_by(models.key_pair.created_at)
            )
            found = list(database.session.scalars(pairs))
            database.session.expunge_all()
            return found

    def sealed_keys(self) -> dict[str, str]:
        with self.context():
            pairs = database.session.scalars(select(models.key_pair).where(models.key_pair.stored_state == "active"))
            return {pair.integration_id: pair.sealed_private_key or "" for pair in pairs}

    def sealed_for(self, place: Place) -> dict[str, str]:
        (pair,) = self.key_pairs(place)
        return {"purpose": "integration-private-key:active", "integration_id": place.integration_id, "key_id": pair.id}

    def change_states_by_hand(self, place: Place, **states: str) -> None:
        """Change the key pair in each named state to the given one, in the database alone."""
        with self.context():
            pairs = {pair.stored_state: pair for pair in self.key_pairs(place)}
            for before, after in states.items():
                row = database.session.get_one(models.key_pair, pairs[before].id)
                row.stored_state = after
                database.session.flush()
            database.session.commit()

    def seal_differently(self, place: Place, record: str) -> None:
        with self.context():
            integration = database.session.get_one(models.integration, place.integration_id)
            integration.active_key_pair.sealed_private_key = record
            database.session.commit()

    def forget_opened_keys(self) -> None:
        self._keys._opened.cache_clear()

    def transactions(self) -> int:
        """Logins under way."""
        nonce: Any = models.storage.nonce
        with self.context():
            pending_logins = select(func.count()).where(nonce.server_url == NONCE_SCOPE)
            return database.session.scalar(pending_logins) or 0

    def cookie_with(self, cookie: str, **values: Any) -> str:
        """Return the session *cookie* with other *values*, signed as the application does."""
        serializer = SecureCookieSessionInterface().get_signing_serializer(self.app)
        assert serializer is not None
        return str(serializer.dumps({**serializer.loads(cookie), **values}))

    def session_of(self, cookie: str) -> dict[str, Any]:
        """Return what the session *cookie* says."""
        serializer = SecureCookieSessionInterface().get_signing_serializer(self.app)
        assert serializer is not None
        return dict(serializer.loads(cookie))


def _is_refused() -> bool:
    """Whether the database refuses what was changed."""
    try:
        database.session.commit()
    except IntegrityError:
        database.session.rollback()
        return True
    return False


class AuditLines(logging.Handler):
    """Collects the audit log."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(json.loads(record.getMessage()))


@contextlib.contextmanager
def start(made_of: Ingredients) -> Iterator[OrganizationsWorld]:
    """The application on a socket."""
    policy = AddressPolicy(test_addresses=frozenset(map(ip_address, made_of.allowed)))
    made_of.patch.setattr(Outbound, "address_policy", lambda _outbound, _organization: policy)
    made_of.patch.setattr(integrations, "make_private_key", made_of.make_private_key)
    config = {
        "PUBLIC_BASE_URL": ORIGIN,
        "INSTANCE_PATH": str(made_of.folder / "instance"),
        "DATABASE_URL": made_of.database_url,
        "SECRET_KEY": "s" * 64,
        "CA_BUNDLE": made_of.bundle,
    }
    app = create_app(config)
    world = OrganizationsWorld(app=app, config=config, made_of=made_of, serving=Serving(app), **made_of.world)
    world.canaries.values |= {part.partition(":")[2] for part in world.ring.split(",")}
    lines = AuditLines(world.audit)
    audit_logger = logging.getLogger("social_bitbucket_server.events")
    audit_logger.addHandler(lines)
    try:
        yield world
    finally:
        audit_logger.removeHandler(lines)
