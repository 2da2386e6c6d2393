"""The application's users as social-core asks for them: looked up, made, and told apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, cast

from social_core.exceptions import AuthAssociationError, SocialAuthBaseException
from social_core.storage import UserProtocol
from sqlalchemy import UniqueConstraint, func, inspect, select
from sqlalchemy.exc import IntegrityError

from ..problems import BitbucketServerError, Code
from .new_users import has_default
from .sessions import StoredMixin, commit


class AccountsMixin(StoredMixin):
    """Finds and makes users of the application's own *user_class*."""

    user_class: ClassVar[type[Any]]
    """The application's mapped class of users, with one column as primary key."""

    @classmethod
    def new_user(cls, **fields: Any) -> Any:
        """Return a new user with these *fields*, which is not saved yet."""
        return cls.user_class(**fields)

    @classmethod
    def changed(cls, user: UserProtocol) -> None:
        """Save *user*."""
        session = cls.current_session()
        session.add(user)
        commit(session)

    @classmethod
    def get_username(cls, user: UserProtocol) -> str:
        """Return the user name, or the primary key of a user without one."""
        return getattr(user, "username", None) or str(cls.primary_key_of(user))

    @classmethod
    def primary_key_of(cls, user: Any) -> object:
        """Return the value of the primary key, whatever its column is called."""
        return cast("Any", inspect(user)).identity[0]

    @classmethod
    def user_model(cls) -> type[Any]:
        """Return the application's class of users."""
        return cls.user_class

    @classmethod
    def username_max_length(cls) -> int:
        """Return how many characters a user name may have; 255 if its column does not say."""
        return cls.column_length("username") or 255

    @classmethod
    def column_length(cls, attribute: str) -> int | None:
        """Return how many characters *attribute* of a user takes; ``None`` if its column does not say."""
        column = _column(cls.user_class, attribute)
        return None if column is None else getattr(column.type, "length", None)

    @classmethod
    def needs_email(cls) -> bool:
        """Return whether no user can be made without an e-mail address."""
        column = _column(cls.user_class, "email")
        return column is not None and not column.nullable and not has_default(column)

    @classmethod
    def user_exists(cls, *args: object, **kwargs: object) -> bool:  # noqa: ARG003  # core's signature
        """Return whether a user has these values. Users have no value of an attribute that their class lacks."""
        if not kwargs.keys() <= _attributes(cls.user_class):
            return False
        query = select(cls.user_class).filter_by(**kwargs).limit(1)
        return cls.current_session().scalars(query).first() is not None

    @classmethod
    def create_user(cls, *args: object, **kwargs: object) -> Any:  # noqa: ARG003  # core's signature
        """Make a user, and leave the commit to what follows.

        Raises a social error if another user has a value that must be unique.
        """
        session = cls.current_session()
        attributes = _attributes(cls.user_class)
        user = cls.new_user(**{name: value for name, value in kwargs.items() if name in attributes})
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
        """Return the user with this primary key, or ``None``."""
        return cls.current_session().get(cls.user_class, pk)

    @classmethod
    def get_users_by_email(cls, email: str) -> Sequence[Any]:
        """Return the users with this address, in upper or lower case."""
        query = select(cls.user_class).where(func.lower(cls.user_class.email) == email.lower())
        return cls.current_session().scalars(query).unique().all()


def _attributes(user_class: type[Any]) -> set[str]:
    return set(cast("Any", inspect(user_class)).attrs.keys())


def _column(user_class: type[Any], attribute: str) -> Any:
    """Return the column behind *attribute* of a user, or ``None``."""
    mapper = cast("Any", inspect(user_class))
    synonym = mapper.synonyms.get(attribute)
    mapped = mapper.column_attrs.get(synonym.name if synonym is not None else attribute)
    return None if mapped is None else mapped.columns[0]


def _unique_values(user: Any) -> Iterator[dict[str, Any]]:
    """Yield the values of *user*, by attribute, that no other user may have together.

    There is one mapping for each set of columns that is unique together. It lacks values that a default gives. A user
    name counts as unique even if no such set has it, because the database may have a constraint of its own.
    """
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


def _unique_in(table: Any) -> Iterator[Iterable[Any]]:
    yield from (each.columns for each in table.constraints if isinstance(each, UniqueConstraint))
    yield from (index.columns for index in table.indexes if index.unique)


def _conflict(taken: Iterable[str]) -> SocialAuthBaseException:
    """Return the error for another user that has the same values of the attributes *taken*."""
    for attribute, code in (("username", "username_in_use"), ("email", "email_in_use")):
        if attribute in taken:
            return AuthAssociationError(code=code, stage="pipeline")
    reason = f"Another account has the same {' and '.join(taken)}."
    return BitbucketServerError(Code.ACCOUNT_REFUSED, reason).as_social_error(None, "pipeline")
