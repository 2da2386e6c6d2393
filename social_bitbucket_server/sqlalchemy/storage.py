"""social-core's storage on SQLAlchemy 2: identities, nonces and what else core 7 asks of a storage.

The storage packages that exist for SQLAlchemy cannot log anyone in with social-core 7, and let two parallel first
logins make two accounts for one person.
"""

from __future__ import annotations

import base64
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from social_core.exceptions import AuthAssociationError, SocialAuthBaseException
from social_core.storage import (
    AssociationMixin,
    BaseStorage,
    CodeMixin,
    NonceMixin,
    PartialMixin,
    UserMixin,
    UserProtocol,
)
from sqlalchemy import (
    JSON,
    DateTime,
    ForeignKey,
    Integer,
    String,
    UniqueConstraint,
    delete,
    func,
    inspect,
    select,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, scoped_session

from ..problems import BitbucketServerError
from .users import has_default, plain_base, refuse_incomplete_users

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from openid.association import Association as OpenIdAssociation

__all__ = ["make_storage"]

_EXACT_TEXT = String(255).with_variant(String(255, collation="utf8mb4_bin"), "mysql", "mariadb")
_HOLDS_COMMITS = "social_bitbucket_server holds commits"


def _unique_values(user: Any) -> Iterator[dict[str, Any]]:
    """What of *user* nobody else may have, by attributes: the values of each set of columns that is unique together,
    but for those that a default gives. A user name is taken for unique where no set has it: the database may know."""
    mapper = cast("Any", inspect(type(user)))
    names = {column: attribute.key for attribute in mapper.column_attrs for column in attribute.columns}
    unique = [[each for each in columns if each in names] for table in mapper.tables for columns in _unique_in(table)]
    if hasattr(user, "username") and not any(names[column] == "username" for columns in unique for column in columns):
        yield {"username": user.username}
    for columns in unique:
        values = {column: getattr(user, names[column]) for column in columns}
        given = {names[column]: value for column, value in values.items() if value is not None}
        # Nothing is the same as NULL.
        if given and all(value is not None or has_default(column) for column, value in values.items()):
            yield given


def _column(user_class: type[Any], attribute: str) -> Any:
    """Return the column behind *attribute* of a user, or ``None``."""
    mapper = cast("Any", inspect(user_class))
    synonym = mapper.synonyms.get(attribute)
    mapped = mapper.column_attrs.get(synonym.name if synonym is not None else attribute)
    return None if mapped is None else mapped.columns[0]


def _conflict(taken: Iterable[str]) -> SocialAuthBaseException:
    """Return what says that another user has the same values of the attributes *taken*."""
    for attribute, code in (("username", "username_in_use"), ("email", "email_in_use")):
        if attribute in taken:
            return AuthAssociationError(code=code, stage="pipeline")
    reason = f"Another account has the same {' and '.join(taken)}."
    return BitbucketServerError("account_refused", reason).as_social_error(None, "pipeline")


def _unique_in(table: Any) -> Iterator[Iterable[Any]]:
    yield from (each.columns for each in table.constraints if isinstance(each, UniqueConstraint))
    yield from (index.columns for index in table.indexes if index.unique)


class _CurrentSession:
    """Stands for whatever session is the current one."""

    def __init__(self, current: Callable[[], Session]) -> None:
        self._current = current

    def __getattr__(self, name: str) -> Any:
        return getattr(self._current(), name)


class NoColumns:
    """Identities with social-core's columns alone."""


def make_storage(
    base: type[DeclarativeBase],
    user_class: type[Any],
    session: scoped_session[Session] | Callable[[], Session],
    identity_columns: type[Any] = NoColumns,
    new_user: Callable[..., Any] | None = None,
) -> type[BaseStorage]:
    """Map social-core's five tables on *base* and return the storage that uses them through *session*.

    *user_class* is the application's own mapped class of users, with an integer or text primary key; ``username``,
    ``email`` and ``is_active`` are used where it has them. *session* is a scoped session, or a function that returns
    the current one. *identity_columns* is a mixin with what an application keeps of each identity besides. *new_user*
    makes a user, without saving it, of the fields that are known, by their names; by default *user_class* does. Call
    it once, before ``base.metadata.create_all`` or a migration.

    Raises :class:`~social_bitbucket_server.integration.UnsafeConfigurationError` if users need a value that neither a
    login nor a default gives.

    A login's user, identity and extra data are committed together, or not at all. Nonces are committed at once: what
    was used stays used, whatever becomes of the rest of the request.
    """
    if new_user is None:
        refuse_incomplete_users(user_class)
    scoped = (
        session if isinstance(session, scoped_session) else cast("scoped_session[Session]", _CurrentSession(session))
    )
    return _mapped_storage(plain_base(base), user_class, scoped, identity_columns, new_user or user_class)


def _mapped_storage(
    base: type[DeclarativeBase],
    user_class: type[Any],
    session: scoped_session[Session],
    identity_columns: type[Any],
    new_user: Callable[..., Any],
) -> type[BaseStorage]:
    mapper = cast("Any", inspect(user_class))
    user_table = mapper.local_table
    user_key = user_table.primary_key.columns[0]

    def commit() -> None:
        if session.info.get(_HOLDS_COMMITS):
            session.flush()
        else:
            session.commit()

    # The declarative base comes first: after one of core's mixins, whose methods would win, ``save`` does nothing.
    class Stored(base):  # type: ignore[valid-type, misc]  # a base class that only the caller knows
        __abstract__ = True
        if hasattr(user_class, "__bind_key__"):  # Flask-SQLAlchemy's: all tables are in the database of users
            __bind_key__ = user_class.__bind_key__

        def save(self) -> None:
            session.add(self)
            commit()

    class SocialIdentity(Stored, identity_columns, UserMixin):  # type: ignore[misc]  # columns that only the caller knows
        __tablename__ = "social_auth_identities"
        __table_args__ = (UniqueConstraint("provider", "uid", name="uq_social_auth_identities_provider_uid"),)

        id: Mapped[int] = mapped_column(primary_key=True)
        provider: Mapped[str] = mapped_column(String(32))
        id_key: Mapped[str] = mapped_column(String(255), default="")
        uid: Mapped[str] = mapped_column(_EXACT_TEXT)
        user_id: Mapped[Any] = mapped_column(user_key.type, ForeignKey(user_key, ondelete="CASCADE"), index=True)
        extra_data: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(JSON), default=dict)
        created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))
        user: Mapped[Any] = relationship(user_class, lazy="joined")

        def set_extra_data(self, extra_data: dict[str, Any] | None = None) -> bool:
            changed = super().set_extra_data(extra_data)
            if changed:
                self.save()
            return changed

        @classmethod
        def changed(cls, user: UserProtocol) -> None:
            session.add(user)
            commit()

        @classmethod
        def get_username(cls, user: UserProtocol) -> str:
            return getattr(user, "username", None) or str(cls.primary_key_of(user))

        @classmethod
        def primary_key_of(cls, user: Any) -> object:
            """What tells *user* from all others, whatever the column is called."""
            return cast("Any", inspect(user)).identity[0]

        @classmethod
        def user_model(cls) -> type[Any]:
            return user_class

        @classmethod
        def username_max_length(cls) -> int:
            return cls.column_length("username") or 255

        @classmethod
        def column_length(cls, attribute: str) -> int | None:
            """Return how many characters *attribute* of a user takes; ``None`` where nothing says."""
            column = _column(user_class, attribute)
            return None if column is None else getattr(column.type, "length", None)

        @classmethod
        def needs_email(cls) -> bool:
            """Return whether no user can be made without an e-mail address."""
            column = _column(user_class, "email")
            return column is not None and not column.nullable and not has_default(column)

        @classmethod
        def allowed_to_disconnect(
            cls, user: UserProtocol, backend_name: str, association_id: int | None = None
        ) -> bool:
            """Whether *user* keeps another identity to log in with."""
            others = select(cls.id).where(cls.user == user)
            others = (
                others.where(cls.id != association_id)
                if association_id is not None
                else others.where(cls.provider != backend_name)
            )
            return session.scalars(others.limit(1)).first() is not None

        @classmethod
        def disconnect(cls, entry: UserMixin) -> None:
            session.delete(entry)
            commit()

        @classmethod
        def user_exists(cls, *args: object, **kwargs: object) -> bool:  # noqa: ARG003  # core's signature
            if not kwargs.keys() <= set(mapper.attrs.keys()):  # a user name that users do not have is never taken
                return False
            return session.scalars(select(user_class).filter_by(**kwargs).limit(1)).first() is not None

        @classmethod
        def create_user(cls, *args: object, **kwargs: object) -> Any:  # noqa: ARG003  # core's signature
            user = new_user(**{name: value for name, value in kwargs.items() if name in mapper.attrs})
            session.add(user)
            try:
                session.flush()
            except IntegrityError as error:
                session.rollback()
                taken = next((values for values in _unique_values(user) if cls.user_exists(**values)), None)
                if taken is None:
                    raise
                raise _conflict(taken) from error
            return user

        @classmethod
        def get_user(cls, pk: object) -> Any:
            return session.get(user_class, pk)

        @classmethod
        def get_users_by_email(cls, email: str) -> Sequence[Any]:
            return session.scalars(select(user_class).where(func.lower(user_class.email) == email.lower())).all()

        @classmethod
        def get_social_auth(cls, provider: str, uid: str, id_key: str | None = None) -> SocialIdentity | None:
            """Return the identity as it is stored now, also where this session has read it before, because others renew
            tokens meanwhile. A database that compares without case may find others; they are left out."""
            found: Iterable[SocialIdentity] = session.scalars(
                cls._like(provider, uid), execution_options={"populate_existing": True}
            )
            for identity in found:
                is_same = (identity.provider, identity.uid) == (provider, str(uid))
                if is_same and id_key in {None, identity.id_key}:
                    return identity
            return None

        @classmethod
        def _like(cls, provider: str, uid: str) -> Any:
            """Select the identities that the database takes for this one."""
            return select(cls).where(cls.provider == provider, cls.uid == str(uid))

        @classmethod
        def get_social_auth_by_extra_data(
            cls, provider: str, key: str, value: str, id_key: str = ""
        ) -> SocialIdentity | None:
            rows = session.scalars(select(cls).where(cls.provider == provider, cls.id_key == id_key))
            matches = [row for row in rows if key in row.extra_data and str(row.extra_data[key]) == str(value)]
            if len(matches) > 1:
                raise ValueError("Several identities have this value in their extra data.")
            return matches[0] if matches else None

        @classmethod
        def get_social_auth_for_user(
            cls,
            user: UserProtocol,
            provider: str | None = None,
            id: int | None = None,  # noqa: A002  # core's name
        ) -> Sequence[SocialIdentity]:
            query = select(cls).where(cls.user == user)
            if provider:
                query = query.where(cls.provider == provider)
            if id is not None:
                query = query.where(cls.id == id)
            return session.scalars(query).all()

        @classmethod
        def create_social_auth(cls, user: UserProtocol, uid: str, provider: str, id_key: str = "") -> SocialIdentity:
            identity = cls(user=user, uid=str(uid), provider=provider, id_key=id_key, extra_data={})
            session.add(identity)
            try:
                commit()
            except IntegrityError as error:  # a user who was made for this identity goes with it
                session.rollback()
                if cls.get_social_auth(provider, uid) is None and session.scalars(cls._like(provider, uid)).first():
                    problem = BitbucketServerError("identity_similar", parameter="namespace")
                    raise problem.as_social_error(None, "pipeline") from error
                raise  # somebody was faster
            return identity

        @classmethod
        def migrate_social_auth(
            cls,
            social: SocialIdentity,
            uid: str,
            id_key: str,
            *,
            evidence_key: str | None = None,
        ) -> SocialIdentity:
            locked = session.get_one(cls, social.id, with_for_update=True, populate_existing=True)
            if evidence_key is not None and str(locked.extra_data.get(evidence_key)) != str(uid):
                raise ValueError("The stored identifier is not the one of this person.")
            with session.begin_nested():
                locked.uid = str(uid)
                locked.id_key = id_key
            commit()
            return locked

    class SocialNonce(Stored, NonceMixin):
        __tablename__ = "social_auth_nonces"
        __table_args__ = (
            UniqueConstraint("server_url", "timestamp", "salt", name="uq_social_auth_nonces_server_url_timestamp_salt"),
        )

        id: Mapped[int] = mapped_column(primary_key=True)
        server_url: Mapped[str] = mapped_column(String(255))
        timestamp: Mapped[int] = mapped_column(Integer, index=True)
        salt: Mapped[str] = mapped_column(String(65), index=True)

        @classmethod
        def use(cls, server_url: str, timestamp: int, salt: str) -> bool:
            """Record a nonce; false where it was recorded before."""
            try:
                with session.begin_nested():
                    session.add(cls(server_url=server_url, timestamp=timestamp, salt=salt))
            except IntegrityError:
                return False
            session.commit()
            return True

        @classmethod
        def get(cls, server_url: str, salt: str) -> SocialNonce | None:
            return session.scalars(select(cls).where(cls.server_url == server_url, cls.salt == salt)).first()

        @classmethod
        def delete(cls, nonce: SocialNonce) -> None:
            session.delete(nonce)
            session.commit()

        @classmethod
        def consume(cls, server_url: str, timestamp: int, salt: str) -> bool:
            """Remove a nonce; true for exactly one caller, also when many try at once."""
            result = session.execute(
                delete(cls)
                .where(cls.server_url == server_url, cls.timestamp == timestamp, cls.salt == salt)
                .execution_options(synchronize_session=False)
            )
            session.commit()
            return bool(cast("Any", result).rowcount == 1)

        @classmethod
        def prune(cls, older_than: int) -> int:
            """Remove the nonces of logins that were never finished, whose timestamp is more than *older_than* seconds
            ago. It may lie ten minutes before the login began, which may take ten: give 1200 at least. Returns how
            many."""
            limit = int(time.time()) - older_than
            result = session.execute(delete(cls).where(cls.timestamp < limit))
            session.commit()
            return cast("int", cast("Any", result).rowcount)

    class SocialAssociation(Stored, AssociationMixin):
        __tablename__ = "social_auth_associations"
        __table_args__ = (
            UniqueConstraint("server_url", "handle", name="uq_social_auth_associations_server_url_handle"),
        )

        id: Mapped[int] = mapped_column(primary_key=True)
        server_url: Mapped[str] = mapped_column(String(255))
        handle: Mapped[str] = mapped_column(String(255))
        secret: Mapped[str] = mapped_column(String(255))
        issued: Mapped[int] = mapped_column(Integer)
        lifetime: Mapped[int] = mapped_column(Integer)
        assoc_type: Mapped[str] = mapped_column(String(64))

        @classmethod
        def store(cls, server_url: str, association: OpenIdAssociation) -> None:
            row = session.scalars(select(cls).filter_by(server_url=server_url, handle=association.handle)).first()
            row = row or cls(server_url=server_url, handle=association.handle)
            row.secret = base64.encodebytes(association.secret).decode()
            row.issued = association.issued
            row.lifetime = association.lifetime
            row.assoc_type = association.assoc_type
            row.save()

        @classmethod
        def get(cls, server_url: str | None = None, handle: str | None = None) -> Sequence[SocialAssociation]:
            wanted = {"server_url": server_url, "handle": handle}
            given = {name: value for name, value in wanted.items() if value is not None}
            return session.scalars(select(cls).filter_by(**given)).all()

        @classmethod
        def remove(cls, ids_to_delete: Sequence[int]) -> None:
            session.execute(delete(cls).where(cls.id.in_(ids_to_delete)))
            session.commit()

    class SocialCode(Stored, CodeMixin):
        __tablename__ = "social_auth_codes"
        __table_args__ = (UniqueConstraint("code", "email", name="uq_social_auth_codes_code_email"),)

        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str] = mapped_column(String(254))
        code: Mapped[str] = mapped_column(String(32), index=True)
        verified: Mapped[bool] = mapped_column(default=False)
        timestamp: Mapped[datetime] = mapped_column(DateTime(timezone=True))

        @classmethod
        def get_code(cls, code: str) -> SocialCode | None:
            return session.scalars(select(cls).where(cls.code == code)).first()

    class SocialPartial(Stored, PartialMixin):
        __tablename__ = "social_auth_partials"

        id: Mapped[int] = mapped_column(primary_key=True)
        token: Mapped[str] = mapped_column(String(32), index=True)
        next_step: Mapped[int] = mapped_column(Integer)
        backend: Mapped[str] = mapped_column(String(32))
        data: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(JSON), default=dict)

        @classmethod
        def load(cls, token: str) -> SocialPartial | None:
            return session.scalars(select(cls).where(cls.token == token)).first()

        @classmethod
        def destroy(cls, token: str) -> None:
            session.execute(delete(cls).where(cls.token == token))
            commit()

    class SQLAlchemyStorage(BaseStorage):
        user = SocialIdentity
        nonce = SocialNonce
        association = SocialAssociation
        code = SocialCode
        partial = SocialPartial

        @classmethod
        def is_integrity_error(cls, exception: BaseException) -> bool:
            return isinstance(exception, IntegrityError)

        @classmethod
        @contextmanager
        def all_or_nothing(cls) -> Iterator[None]:
            """Commit what happens inside as one transaction, or roll it back with the exception that leaves it."""
            session.commit()  # a transaction that began before Bitbucket was asked may not see what changed since
            session.info[_HOLDS_COMMITS] = True
            try:
                yield
                session.commit()
            except BaseException:
                session.rollback()
                raise
            finally:
                session.info.pop(_HOLDS_COMMITS, None)

        @classmethod
        def read_anew(cls) -> None:
            """Let rows that this session has read be read from the database again when they are used."""
            session.flush()
            session.expire_all()

    return SQLAlchemyStorage
