"""A plain Flask application as the rows want it: many integrations, with the package's own routes and pages."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, ClassVar

import flask_login
from flask import Flask, render_template_string
from social_core.exceptions import SocialAuthBaseException
from social_core.storage import BaseStorage
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from social_bitbucket_server.addresses import AddressPolicy
from social_bitbucket_server.flask import BitbucketServer, show_error
from social_bitbucket_server.integration import Integration
from social_bitbucket_server.keys import new_consumer_key
from social_bitbucket_server.server_url import ORGANIZATION_RULES, ServerURL
from social_bitbucket_server.sqlalchemy_storage import make_storage
from tests.security.failures import failure
from tests.security.world import ORIGIN, FakeBitbucket, Ingredients, Place, Serving, World

LOGIN_PAGE = "/"


class FlaskPlace(Place):
    """One of the application's integrations; they all share a login page."""

    @property
    def login_path(self) -> str:
        return LOGIN_PAGE

    @property
    def begin_path(self) -> str:
        return f"/login/bitbucket-server/{self.integration_id}/"

    @property
    def account_path(self) -> str:
        return "/account"

    @property
    def declined_path(self) -> str:
        return LOGIN_PAGE


@dataclass(kw_only=True)
class FlaskWorld(World):
    """The application's database and its integrations."""

    integrations: dict[str, Integration]
    base: type[DeclarativeBase]
    user_class: type[Any]
    storage: type[BaseStorage]
    session: scoped_session[Session]
    made_of: Ingredients

    # A page's other headers are the application's own.
    security_headers: ClassVar[dict[str, str]] = {}
    tells_apart: ClassVar[frozenset[str]] = frozenset({"login.mixup"})

    def stop(self) -> None:
        self.serving.close()
        self.session.remove()
        self.session.get_bind().engine.dispose()

    def make_place(self, slug: str, server: FakeBitbucket) -> FlaskPlace:
        integration = Integration(
            id=secrets.token_hex(8),
            server_url=ServerURL.parse(server.url, ORGANIZATION_RULES),
            consumer_key=new_consumer_key(),
            private_key=self.made_of.make_private_key(),
            namespace=secrets.token_hex(16),
            verify=self.made_of.bundle,
            address_policy=AddressPolicy(test_addresses=frozenset(map(ip_address, self.made_of.allowed))),
        )
        self.integrations[integration.id] = integration
        return FlaskPlace(slug, integration.id, integration.namespace, server)

    def change_integration(self, place: Place, **fields: Any) -> None:
        if "base_url" in fields:
            fields["server_url"] = ServerURL.parse(fields.pop("base_url"), ORGANIZATION_RULES)
        changed = replace(self.integrations[place.integration_id], **fields)
        self.integrations[place.integration_id] = changed

    def take_away(self, place: Place, *, delete: bool) -> None:
        del self.integrations[place.integration_id]

    def users(self) -> list[Any]:
        with self.session() as session:
            return list(session.scalars(select(self.user_class).order_by(self.user_class.id)))

    def identities(self) -> dict[str, int]:
        with self.session() as session:
            return {row.uid: row.user_id for row in session.scalars(select(self.storage.user))}

    def counts(self) -> tuple[int, int, int]:
        """Sessions are cookies."""
        return self._count(self.user_class), self._count(self.storage.user), 0

    def transactions(self) -> int:
        return self._count(self.storage.nonce)

    def everything_stored(self) -> str:
        with self.session() as session:
            tables = self.base.metadata.sorted_tables
            return "\n".join(str(tuple(row)) for table in tables for row in session.execute(select(table)))

    def _count(self, mapped: Any) -> int:
        with self.session() as session:
            return session.scalar(select(func.count()).select_from(mapped)) or 0


@contextlib.contextmanager
def start(made_of: Ingredients) -> Iterator[FlaskWorld]:
    """The application on a socket."""

    class Base(DeclarativeBase): ...

    class User(Base, flask_login.UserMixin):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str] = mapped_column(unique=True)
        email: Mapped[str | None]

    engine = create_engine(made_of.database_url)
    session = scoped_session(sessionmaker(engine))
    storage = make_storage(Base, User, session)
    Base.metadata.create_all(engine)
    integrations: dict[str, Integration] = {}
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="s" * 64,
        SESSION_COOKIE_SAMESITE="Lax",
        SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS=integrations.get,
        SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN=ORIGIN,
        SOCIAL_AUTH_LOGIN_ERROR_URL=LOGIN_PAGE,
    )
    BitbucketServer(app, storage)
    flask_login.LoginManager(app).user_loader(lambda user_id: session.get(User, int(user_id)))
    app.teardown_appcontext(lambda _: session.remove())
    app.add_url_rule(LOGIN_PAGE, "home", lambda: render_template_string("{{ bitbucket_server_button() }}"))
    app.add_url_rule("/account", "account", flask_login.login_required(lambda: flask_login.current_user.username))
    world = FlaskWorld(
        integrations=integrations,
        base=Base,
        user_class=User,
        storage=storage,
        session=session,
        made_of=made_of,
        serving=Serving(app),
        **made_of.world,
    )

    def tell(error: SocialAuthBaseException) -> Any:
        world.audit.append(failure(error))
        return show_error(error)

    app.register_error_handler(SocialAuthBaseException, tell)
    yield world
