"""All tables of organizations' integrations in one line, mapped from the mixins."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from ..new_users import plain_base
from ..sessions import holding_commits
from ..storage import SQLAlchemyStorage, make_storage
from .models import (
    ApplicationLinkMixin,
    ClientCredentialsMixin,
    EndedSetupLinkMixin,
    EventMixin,
    IntegrationMixin,
    KeyPairMixin,
    OrganizationIdentityMixin,
    SetupLinkMixin,
    WaysMixin,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrganizationModels:
    """The mapped classes of one application, and its *session*.

    *organization* and *user* are the application's own. *storage* is social-core's storage, whose identities have the
    columns of :class:`~social_bitbucket_server.sqlalchemy.OrganizationIdentityMixin`. *session* returns the session in
    use; a scoped session is such a function.
    """

    organization: type[Any]
    user: type[Any]
    ways: type[WaysMixin]
    integration: type[IntegrationMixin]
    application_link: type[ApplicationLinkMixin]
    key_pair: type[KeyPairMixin]
    client_credentials: type[ClientCredentialsMixin]
    setup_link: type[SetupLinkMixin]
    ended_setup_link: type[EndedSetupLinkMixin]
    event: type[EventMixin]
    storage: type[SQLAlchemyStorage]
    session: Callable[[], Session]

    @property
    def identity(self) -> Any:
        """The mapped class of identities."""
        return self.storage.user


class _LoginStorage(SQLAlchemyStorage):
    """Leaves the commit of a login to what follows its pipeline: until then the login holds a share of its
    integration's row."""

    @classmethod
    def all_or_nothing(cls) -> AbstractContextManager[None]:
        """Begin a transaction for what happens inside, and leave its commit to the caller."""
        return holding_commits(cls.user.current_session(), cls.user, and_commit=False)

    @classmethod
    def read_anew(cls) -> None:
        """Send what is not sent yet. The look-up of an integration reads it anew by itself."""
        cls.user.current_session().flush()


def organization_models(
    base: type[Any], organization: type[Any], user: type[Any], session: Callable[[], Session]
) -> OrganizationModels:
    """Map all tables below *base*, the application's declarative base, for its own classes *organization* and *user*.

    *organization* has attributes ``slug`` (a part of addresses) and ``name``. Each class has one column as primary key,
    of any type. *session* returns the session in use; a scoped session is such a function. Alembic finds the tables in
    the metadata of *base*. An application that wants other columns, too, mixes the classes itself and makes an
    :class:`OrganizationModels` of them.
    """

    def mapped(name: str, mixin: type[Any], **attributes: Any) -> Any:
        return type(name, (mixin, plain_base(base)), attributes)

    of_organization = {"organization_class": organization}
    ways = mapped("BitbucketWays", WaysMixin, **of_organization)
    integration = mapped("BitbucketIntegration", IntegrationMixin, ways_class=ways, **of_organization)
    of_integration = {"integration_class": integration}
    identity_columns = type("IdentityColumns", (OrganizationIdentityMixin,), of_integration)
    made = make_storage(base, user, session, identity_columns, new_user=user)
    link = mapped("BitbucketApplicationLink", ApplicationLinkMixin, **of_integration)
    return OrganizationModels(
        organization=organization,
        user=user,
        ways=ways,
        integration=integration,
        application_link=link,
        key_pair=mapped("BitbucketKeyPair", KeyPairMixin, application_link_class=link, **of_integration),
        client_credentials=mapped("BitbucketClientCredentials", ClientCredentialsMixin, **of_integration),
        setup_link=mapped("BitbucketSetupLink", SetupLinkMixin, **of_integration),
        ended_setup_link=mapped("BitbucketEndedSetupLink", EndedSetupLinkMixin),
        event=mapped("BitbucketEvent", EventMixin, user_class=user, **of_organization),
        storage=type("OrganizationStorage", (_LoginStorage, made), {}),
        session=session,
    )
