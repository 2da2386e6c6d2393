"""social-core's storage on SQLAlchemy 2, of an application's own mapped classes or of ready-made ones.

The storage packages that exist for SQLAlchemy cannot log anyone in with social-core 7, and let two parallel first
logins make two accounts for one person.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NoReturn

from social_core import storage as core
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Session

from .carrying_over import CarryingOver
from .models import AssociationMixin, CodeMixin, IdentityMixin, NonceMixin, PartialMixin
from .new_users import plain_base, refuse_incomplete_users
from .sessions import holding_commits


class _NoAssociations(core.AssociationMixin):
    """Says how to have a table of associations."""

    @classmethod
    def store(cls, *_args: object, **_kwargs: object) -> NoReturn:
        raise NotImplementedError(
            "This storage keeps no associations of OpenID. Call make_storage with openid_associations=True, or give "
            "the storage a class with AssociationMixin."
        )

    get = remove = store


class _NoCodes(core.CodeMixin):
    """Says how to have a table of codes."""

    @classmethod
    def get_code(cls, *_args: object) -> NoReturn:
        raise NotImplementedError(
            "This storage keeps no codes for e-mail addresses. Call make_storage with mail_codes=True, or give the "
            "storage a class with CodeMixin."
        )

    save = get_code


class SQLAlchemyStorage(CarryingOver, core.BaseStorage):
    """social-core's storage. A subclass names its classes: *user*, *nonce* and *partial*, mapped with
    :class:`~social_bitbucket_server.sqlalchemy.IdentityMixin`, ``NonceMixin`` and ``PartialMixin``.

    *association* and *code* are for other backends and steps of social-core's. Without them their calls raise
    NotImplementedError.
    """

    user: type[IdentityMixin]
    nonce: type[NonceMixin]
    partial: type[PartialMixin]
    association: type[core.AssociationMixin] = _NoAssociations
    code: type[core.CodeMixin] = _NoCodes

    @classmethod
    def is_integrity_error(cls, exception: BaseException) -> bool:
        """Return whether the database refused a row because of a constraint."""
        return isinstance(exception, IntegrityError)

    @classmethod
    def all_or_nothing(cls) -> AbstractContextManager[None]:
        """Commit what happens inside as one transaction, or roll it back with the exception that leaves it."""
        return holding_commits(cls.user.current_session(), cls.user)

    @classmethod
    def read_anew(cls) -> None:
        """Let the session read rows again that it has read before, when they are used next."""
        session = cls.user.current_session()
        session.flush()
        session.expire_all()


def make_storage(
    base: type[DeclarativeBase],
    user_class: type[Any],
    session: Callable[[], Session],
    identity_columns: type[Any] | None = None,
    new_user: Callable[..., Any] | None = None,
    *,
    openid_associations: bool = False,
    mail_codes: bool = False,
) -> type[SQLAlchemyStorage]:
    """Map social-core's tables on *base*, and return the storage that uses them through *session*.

    *user_class*: the application's own mapped class of users, with an integer or text primary key. ``username``,
    ``email`` and ``is_active`` are used if it has them. *session*: a scoped session, or a function that returns the
    current one. *identity_columns*: a mixin with more columns for the table of identities; ``None`` adds none.
    *new_user*: a function that makes a user of the known fields, by their names, without saving it; ``None`` calls
    *user_class*. *openid_associations* and *mail_codes*: whether to map the tables that social-core's backends for
    OpenID and its step ``mail_validation`` need.

    Call it once, before ``base.metadata.create_all`` or a migration. Raises
    :class:`~social_bitbucket_server.integration.UnsafeConfigurationError` if users need a value that neither a login
    nor a default gives.

    A login's user, identity and extra data are committed together, or not at all. Nonces are committed at once: a
    used nonce stays used if the rest of the request fails.
    """
    if new_user is None:
        refuse_incomplete_users(user_class)
    common: dict[str, Any] = {"__abstract__": True, "current_session": staticmethod(session)}
    if hasattr(user_class, "__bind_key__"):  # Flask-SQLAlchemy's: all tables are in the database of users
        common["__bind_key__"] = user_class.__bind_key__
    stored = type("Stored", (plain_base(base),), common)

    def mapped(name: str, *mixins: type[Any], **attributes: Any) -> Any:
        return type(name, (*mixins, stored), attributes)

    identity_mixins = (IdentityMixin,) if identity_columns is None else (IdentityMixin, identity_columns)
    making_users = {"user_class": user_class, "new_user": staticmethod(new_user or user_class)}

    class Storage(SQLAlchemyStorage):
        user = mapped("SocialIdentity", *identity_mixins, **making_users)
        nonce = mapped("SocialNonce", NonceMixin)
        partial = mapped("SocialPartial", PartialMixin)
        if openid_associations:
            association = mapped("SocialAssociation", AssociationMixin)
        if mail_codes:
            code = mapped("SocialCode", CodeMixin)

    return Storage
