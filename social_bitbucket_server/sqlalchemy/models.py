"""social-core's tables as mixins, for an application's own declarative base.

``class SocialNonce(NonceMixin, Base)`` with ``current_session = session`` makes a table of them. Each mixin names its
table, which a ``__tablename__`` of the class replaces.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from social_core import storage as core
from sqlalchemy import (
    JSON,
    DateTime,
    Delete,
    Executable,
    ForeignKey,
    Insert,
    Integer,
    Select,
    String,
    bindparam,
    delete,
    exists,
    inspect,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import Mapped, Session, declared_attr, mapped_column, relationship

from ..problems import BitbucketServerError, Code
from .accounts import AccountsMixin
from .sessions import StoredMixin, commit

if TYPE_CHECKING:
    from openid.association import Association as OpenIdAssociation

_EXACT_TEXT = String(255).with_variant(String(255, collation="utf8mb4_bin"), "mysql", "mariadb")


class IdentityMixin(AccountsMixin, core.UserMixin):
    """The identity of a user at a provider. Its class says what *user_class* is.

    It is read together with its user. Queries for several are ``unique()``, because users may be read together with
    collections of their own.
    """

    __tablename__ = "social_auth_identities"

    unique_columns: ClassVar = ("provider", "uid")

    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(String(32))
    id_key: Mapped[str] = mapped_column(String(255), default="")
    uid: Mapped[str] = mapped_column(_EXACT_TEXT)
    extra_data: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(JSON), default=dict)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))

    @declared_attr
    @classmethod
    def user_id(cls) -> Mapped[Any]:
        """Return the column with the primary key of the user."""
        key = cast("Any", inspect(cls.user_class)).local_table.primary_key.columns[0]
        return mapped_column(key.type, ForeignKey(key, ondelete="CASCADE"), index=True)

    @declared_attr
    @classmethod
    def user(cls) -> Mapped[Any]:
        """Return the relationship to the user."""
        return relationship(cls.user_class, lazy="joined")

    def set_extra_data(self, extra_data: dict[str, Any] | None = None) -> bool:
        """Merge *extra_data* into what is stored, save it, and return whether it changed anything."""
        changed = super().set_extra_data(extra_data)
        if changed:
            self.save()
        return changed

    @classmethod
    def allowed_to_disconnect(
        cls, user: core.UserProtocol, backend_name: str, association_id: int | None = None
    ) -> bool:
        """Return whether *user* keeps another identity to log in with."""
        others = select(cls.id).where(cls.user == user)
        others = (
            others.where(cls.id != association_id)
            if association_id is not None
            else others.where(cls.provider != backend_name)
        )
        return cls.current_session().scalars(others.limit(1)).first() is not None

    @classmethod
    def disconnect(cls, entry: core.UserMixin) -> None:
        """Delete the identity *entry*."""
        session = cls.current_session()
        session.delete(entry)
        commit(session)

    @classmethod
    def get_social_auth(cls, provider: str, uid: str, id_key: str | None = None) -> Self | None:
        """Return the identity with exactly this *uid*, or ``None``.

        It is read from the database again if the session has it already, because other requests renew tokens. A
        database that compares without case may find others, which are left out.
        """
        found: Iterable[Self] = (
            cls.current_session()
            .scalars(cls._like(provider, uid), execution_options={"populate_existing": True})
            .unique()
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
    def get_social_auth_by_extra_data(cls, provider: str, key: str, value: str, id_key: str = "") -> Self | None:
        """Return the identity whose extra data has this *value*, or ``None``.

        Raises ValueError if there are several.
        """
        query = select(cls).where(cls.provider == provider, cls.id_key == id_key)
        rows = cls.current_session().scalars(query).unique()
        matches = [row for row in rows if key in row.extra_data and str(row.extra_data[key]) == str(value)]
        if len(matches) > 1:
            raise ValueError("Several identities have this value in their extra data.")
        return matches[0] if matches else None

    @classmethod
    def get_social_auth_for_user(
        cls,
        user: core.UserProtocol,
        provider: str | None = None,
        id: int | None = None,  # noqa: A002  # core's name
    ) -> Sequence[Self]:
        """Return the identities of *user*; only those of *provider*, or only the one with this *id*, if given."""
        query = select(cls).where(cls.user == user)
        if provider:
            query = query.where(cls.provider == provider)
        if id is not None:
            query = query.where(cls.id == id)
        return cls.current_session().scalars(query).unique().all()

    @classmethod
    def create_social_auth(cls, user: core.UserProtocol, uid: str, provider: str, id_key: str = "") -> Self:
        """Make an identity of *user*, and commit both.

        Raises IntegrityError if there is one already, and the social error of ``identity_similar`` if the database
        takes another one for it. In both cases a *user* that was made for it is rolled back.
        """
        session = cls.current_session()
        identity = cls(user=user, uid=str(uid), provider=provider, id_key=id_key, extra_data={})
        session.add(identity)
        try:
            commit(session)
        except IntegrityError as error:
            session.rollback()
            if cls.get_social_auth(provider, uid) is None and session.scalars(cls._like(provider, uid)).first():
                problem = BitbucketServerError(Code.IDENTITY_SIMILAR, parameter="namespace")
                raise problem.as_social_error(None, "pipeline") from error
            raise  # another request was faster
        return identity

    @classmethod
    def migrate_social_auth(cls, social: Self, uid: str, id_key: str, *, evidence_key: str | None = None) -> Self:
        """Give the identity *social* another *uid*.

        *evidence_key* names the extra data that must hold it; ``None`` asks for none. Raises ValueError if it holds
        something else, and IntegrityError if another identity has the *uid*.
        """
        session = cls.current_session()
        # By the id alone: rows that are joined from outside, as the user is, cannot be locked.
        session.execute(select(cls.id).where(cls.id == social.id).with_for_update()).one()
        locked = session.get_one(cls, social.id, populate_existing=True)
        if evidence_key is not None and str(locked.extra_data.get(evidence_key)) != str(uid):
            raise ValueError("The stored identifier is not the one of this person.")
        with session.begin_nested():
            locked.uid = str(uid)
            locked.id_key = id_key
        commit(session)
        return locked


class NonceMixin(StoredMixin, core.NonceMixin):
    """A value that counts once. Each call commits at once: a used value stays used if the request fails."""

    __tablename__ = "social_auth_nonces"

    unique_columns: ClassVar = ("server_url", "timestamp", "salt")

    id: Mapped[int] = mapped_column(primary_key=True)
    server_url: Mapped[str] = mapped_column(String(255))
    timestamp: Mapped[int] = mapped_column(Integer, index=True)
    salt: Mapped[str] = mapped_column(String(65), index=True)

    @classmethod
    def use(cls, server_url: str, timestamp: int, salt: str) -> bool:
        """Record a nonce, and return whether it is new."""
        session, values = cls.current_session(), {"server_url": server_url, "timestamp": timestamp, "salt": salt}
        nonces: Any = cls
        insert = _INSERTS.get(session.get_bind(inspect(cls)).dialect.name)
        if insert is not None:  # one statement, where a savepoint takes three
            is_new = _changes_a_row(session, nonces, _insert_unless_there(nonces, insert), values)
        else:
            is_new = _is_inserted(session, cls(**values))
        return _kept(session, is_new)

    @classmethod
    def use_once(cls, server_url: str, timestamp: int, salt: str) -> bool:
        """Record a nonce, and return whether it is new. One that has another timestamp counts as the same."""
        session, values = cls.current_session(), {"server_url": server_url, "timestamp": timestamp, "salt": salt}
        nonces: Any = cls
        insert = _INSERTS.get(session.get_bind(inspect(cls)).dialect.name)
        if insert is None:
            return cls.get(server_url, salt) is None and cls.use(server_url, timestamp, salt)
        return _kept(session, _changes_a_row(session, nonces, _insert_once(nonces, insert), values))

    @classmethod
    def get(cls, server_url: str, salt: str) -> Self | None:
        """Return a nonce, or ``None``."""
        nonces: Any = cls
        return cls.current_session().scalars(_select_nonce(nonces), {"server_url": server_url, "salt": salt}).first()

    @classmethod
    def delete(cls, nonce: core.NonceMixin) -> None:
        """Delete *nonce*."""
        session = cls.current_session()
        session.delete(nonce)
        session.commit()

    @classmethod
    def consume(cls, server_url: str, timestamp: int, salt: str) -> bool:
        """Remove a nonce. Return true to exactly one caller, also if many try at once."""
        session, values = cls.current_session(), {"server_url": server_url, "timestamp": timestamp, "salt": salt}
        nonces: Any = cls
        is_gone = _changes_a_row(session, nonces, _delete_nonce(nonces), values)
        session.commit()
        return is_gone

    @classmethod
    def prune(cls, older_than: int) -> int:
        """Remove the nonces of logins that were never finished, and return their number.

        *older_than*: seconds since a nonce's timestamp. Give at least 1200, because the timestamp may lie ten minutes
        before the login began, and the login may take ten.
        """
        session = cls.current_session()
        limit = int(time.time()) - older_than
        result = session.execute(delete(cls).where(cls.timestamp < limit))
        session.commit()
        return cast("int", cast("Any", result).rowcount)


_OF_A_NONCE = ("server_url", "timestamp", "salt")
_INSERTS: Mapping[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
"""INSERT of each dialect that has ON CONFLICT DO NOTHING."""

# Each login sends these statements. They are made once: SQLAlchemy takes longer to make a statement than to send it.


@cache
def _select_nonce(nonces: Any) -> Select[Any]:
    return select(nonces).where(nonces.server_url == bindparam("server_url"), nonces.salt == bindparam("salt"))


@cache
def _insert_unless_there(nonces: Any, insert: Callable[[Any], Any]) -> Insert:
    mapper = inspect(nonces)
    values: dict[Any, Any] = {mapper.columns[name]: bindparam(name) for name in _OF_A_NONCE}
    return cast("Insert", insert(mapper.local_table).values(values).on_conflict_do_nothing())


@cache
def _insert_once(nonces: Any, insert: Callable[[Any], Any]) -> Insert:
    mapper = inspect(nonces)
    columns = [mapper.columns[name] for name in _OF_A_NONCE]
    is_there = exists().where(nonces.server_url == bindparam("server_url"), nonces.salt == bindparam("salt"))
    values = (bindparam(name, type_=column.type) for name, column in zip(_OF_A_NONCE, columns, strict=True))
    inserted = insert(mapper.local_table).from_select(columns, select(*values).where(~is_there))
    return cast("Insert", inserted.on_conflict_do_nothing())


@cache
def _delete_nonce(nonces: Any) -> Delete:
    mapper = inspect(nonces)
    is_this_one = (mapper.columns[name] == bindparam(name) for name in _OF_A_NONCE)
    return delete(mapper.local_table).where(*is_this_one)


def _changes_a_row(session: Session, nonces: Any, statement: Executable, values: Mapping[str, Any]) -> bool:
    result: Any = session.execute(
        statement, values, execution_options={"preserve_rowcount": True}, bind_arguments={"mapper": inspect(nonces)}
    )
    return bool(result.rowcount == 1)


def _kept(session: Session, is_new: bool) -> bool:
    if is_new:
        session.commit()
    return is_new


def _is_inserted(session: Session, row: NonceMixin) -> bool:
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


class PartialMixin(StoredMixin, core.PartialMixin):
    """A login that a step of the pipeline halted."""

    __tablename__ = "social_auth_partials"

    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(String(32), index=True)
    next_step: Mapped[int] = mapped_column(Integer)
    backend: Mapped[str] = mapped_column(String(32))
    data: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(JSON), default=dict)

    @classmethod
    def load(cls, token: str) -> Self | None:
        """Return the halted login with this *token*, or ``None``."""
        return cls.current_session().scalars(select(cls).where(cls.token == token)).first()

    @classmethod
    def destroy(cls, token: str) -> None:
        """Delete the halted login with this *token*."""
        session = cls.current_session()
        session.execute(delete(cls).where(cls.token == token))
        commit(session)


class AssociationMixin(StoredMixin, core.AssociationMixin):
    """A secret shared with an OpenID provider. Only social-core's backends for OpenID need it."""

    __tablename__ = "social_auth_associations"

    unique_columns: ClassVar = ("server_url", "handle")

    id: Mapped[int] = mapped_column(primary_key=True)
    server_url: Mapped[str] = mapped_column(String(255))
    handle: Mapped[str] = mapped_column(String(255))
    secret: Mapped[str] = mapped_column(String(255))
    issued: Mapped[int] = mapped_column(Integer)
    lifetime: Mapped[int] = mapped_column(Integer)
    assoc_type: Mapped[str] = mapped_column(String(64))

    @classmethod
    def store(cls, server_url: str, association: OpenIdAssociation) -> None:
        """Store *association* in place of an earlier one with its handle."""
        query = select(cls).filter_by(server_url=server_url, handle=association.handle)
        row = cls.current_session().scalars(query).first()
        row = row or cls(server_url=server_url, handle=association.handle)
        row.secret = base64.encodebytes(association.secret).decode()
        row.issued = association.issued
        row.lifetime = association.lifetime
        row.assoc_type = association.assoc_type
        row.save()

    @classmethod
    def get(cls, server_url: str | None = None, handle: str | None = None) -> Sequence[Self]:
        """Return the associations, only those of *server_url* or with *handle* if given."""
        wanted = {"server_url": server_url, "handle": handle}
        given = {name: value for name, value in wanted.items() if value is not None}
        return cls.current_session().scalars(select(cls).filter_by(**given)).all()

    @classmethod
    def remove(cls, ids_to_delete: Sequence[int]) -> None:
        """Delete the associations with these ids."""
        session = cls.current_session()
        session.execute(delete(cls).where(cls.id.in_(ids_to_delete)))
        session.commit()


class CodeMixin(StoredMixin, core.CodeMixin):
    """A code that proves an e-mail address. Only social-core's step ``mail_validation`` needs it."""

    __tablename__ = "social_auth_codes"

    unique_columns: ClassVar = ("code", "email")

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    code: Mapped[str] = mapped_column(String(32), index=True)
    verified: Mapped[bool] = mapped_column(default=False)
    timestamp: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    @classmethod
    def get_code(cls, code: str) -> Self | None:
        """Return the row of *code*, or ``None``."""
        return cls.current_session().scalars(select(cls).where(cls.code == code)).first()
