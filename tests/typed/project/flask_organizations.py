"""A Flask application with organizations: tables in one line, and tables with columns of its own."""

from __future__ import annotations

from flask import Flask, g
from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response

from social_bitbucket_server.flask.organizations import (
    Limited,
    Organizations,
    current_roles,
    end_logins,
    event_recorded,
    form_targets,
    handle_errors,
    link_values,
    local_page,
    log_in,
    log_out,
    login_link,
    record,
    redirect_url,
    test_connection,
    visitor,
)
from social_bitbucket_server.organizations import EventCode
from social_bitbucket_server.sqlalchemy import make_storage, set_up_sqlite
from social_bitbucket_server.sqlalchemy.organizations import (
    ApplicationLinkMixin,
    ClientCredentialsMixin,
    EndedSetupLinkMixin,
    EventMixin,
    IntegrationMixin,
    KeyPairMixin,
    OrganizationIdentityMixin,
    OrganizationModels,
    SetupLinkMixin,
    Store,
    WaysMixin,
    organization_models,
)


class Base(DeclarativeBase): ...


class Organization(Base):
    __tablename__ = "organizations"
    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    organization_id: Mapped[int] = mapped_column(ForeignKey(Organization.id))


engine = create_engine("sqlite://")
set_up_sqlite(engine)
session = scoped_session(sessionmaker(engine))
models: OrganizationModels = organization_models(Base, Organization, User, session)


def owns(organization: Organization) -> bool:
    user: User = g.user
    return user.organization_id == organization.id


def limit(what: Limited, key: str) -> None:
    if what is Limited.LOGINS and (visitor(), key) in _TOO_OFTEN:
        raise TooManyRequests


_TOO_OFTEN: set[tuple[str, str]] = set()


def allow_forms(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = f"form-action 'self' {' '.join(form_targets())}"
    return response


def count(_sender: object, **event: object) -> None:
    print(event)


def ready_made() -> Store:
    app = Flask(__name__)
    organizations = Organizations(app, models, may_administer=owns, limit=limit, next_page=local_page)
    handle_errors(app)
    app.after_request(allow_forms)
    event_recorded.connect(count)
    return organizations.store


def by_password(user: User, organization: Organization) -> str:
    log_in(user)
    record(EventCode.LOGIN_SUCCESS, user_id=user.id, organization_id=organization.id)
    return login_link(organization)


def may_edit(organization: Organization) -> bool:
    return "editor" in current_roles(organization)


def leave() -> None:
    log_out()


def close(organization: Organization) -> None:
    end_logins(organization)


def look(store: Store, integration_id: str) -> tuple[dict[str, str], str, bool]:
    integration = store.models.session().get_one(store.models.integration, integration_id)
    return link_values(integration), redirect_url(integration), test_connection(integration)


class OwnBase(DeclarativeBase): ...


class Customer(OwnBase):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str]
    name: Mapped[str]


class Person(OwnBase):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]


class Ways(WaysMixin, OwnBase):
    organization_class = Customer


class Integration(IntegrationMixin, OwnBase):
    organization_class = Customer
    ways_class = Ways
    ticket: Mapped[str | None]


class ApplicationLink(ApplicationLinkMixin, OwnBase):
    integration_class = Integration


class KeyPair(KeyPairMixin, OwnBase):
    integration_class = Integration
    application_link_class = ApplicationLink


class ClientCredentials(ClientCredentialsMixin, OwnBase):
    integration_class = Integration


class SetupLink(SetupLinkMixin, OwnBase):
    integration_class = Integration


class EndedSetupLink(EndedSetupLinkMixin, OwnBase): ...


class Event(EventMixin, OwnBase):
    organization_class = Customer
    user_class = Person


class IdentityColumns(OrganizationIdentityMixin):
    integration_class = Integration


own_models = OrganizationModels(
    organization=Customer,
    user=Person,
    ways=Ways,
    integration=Integration,
    application_link=ApplicationLink,
    key_pair=KeyPair,
    client_credentials=ClientCredentials,
    setup_link=SetupLink,
    ended_setup_link=EndedSetupLink,
    event=Event,
    storage=make_storage(OwnBase, Person, session, IdentityColumns),
    session=session,
)
"""The application's own tables. Their identities are mapped by make_storage."""
