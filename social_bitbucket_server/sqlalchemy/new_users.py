"""Requirements for a new user in an application's own class of users, mapped by SQLAlchemy."""

from __future__ import annotations

import inspect as python
from collections.abc import Collection, Iterator
from typing import Any, cast

from sqlalchemy import inspect
from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass, Synonym

from ..integration import UnsafeConfigurationError


def refuse_incomplete_users(
    user_class: type[Any],
    given: Collection[str] = ("username", "email"),
    remedy: str = "Call make_storage with new_user, a function that makes a {user} of the fields that it is given",
) -> None:
    """Check that *user_class* makes a user of the *given* attributes alone. Raises
    :class:`~social_bitbucket_server.integration.UnsafeConfigurationError`, which begins with *remedy*."""
    missing = sorted({*_required_arguments(user_class, given), *_required_columns(user_class, given)})
    if missing:
        raise UnsafeConfigurationError(
            f"{remedy.format(user=user_class.__name__)}, because Bitbucket gives no {' and no '.join(missing)}."
        )


def plain_base(base: type[DeclarativeBase]) -> type[DeclarativeBase]:
    """Return a base with the registry and the tables of *base* whose classes are no dataclasses."""
    if not issubclass(base, MappedAsDataclass):
        return base
    return cast("type[DeclarativeBase]", type("Plain", (DeclarativeBase,), {"registry": base.registry}))


def has_default(column: Any) -> bool:
    """Return whether Python or the database fills *column* by itself."""
    return column.default is not None or column.server_default is not None


def _required_arguments(user_class: type[Any], given: Collection[str]) -> Iterator[str]:
    """Yield the arguments that the class must be called with, besides those that are *given*."""
    kinds = (python.Parameter.POSITIONAL_OR_KEYWORD, python.Parameter.KEYWORD_ONLY)
    for name, parameter in python.signature(user_class).parameters.items():
        if parameter.kind in kinds and parameter.default is python.Parameter.empty and name not in given:
            yield name


def _required_columns(user_class: type[Any], given: Collection[str]) -> Iterator[str]:
    """Yield the attributes whose columns must not be empty and that nothing fills; none where the class has a
    constructor of its own, which may."""
    mapper = cast("Any", inspect(user_class))
    constructor: Any = user_class.__init__
    while hasattr(constructor, "_sa_original_init"):  # SQLAlchemy wrapped it once for each class that is mapped
        constructor = constructor._sa_original_init
    if constructor is not mapper.registry.constructor:
        return
    behind = (getattr(mapper.all_orm_descriptors.get(name), "original_property", None) for name in given)
    filled = {*given, *(attribute.name for attribute in behind if isinstance(attribute, Synonym))}
    inherited = {column for table in mapper.tables for column in table.primary_key if column.foreign_keys}
    for name, column in mapper.columns.items():  # not column_attrs, which would have all classes be there already
        if name not in filled and column not in inherited and not _is_filled(mapper, column):
            yield name


def _is_filled(mapper: Any, column: Any) -> bool:
    """Return whether a row needs no value of a user's for *column*."""
    if getattr(column, "table", None) is None or column.nullable:
        return True
    is_numbered = column is column.table.autoincrement_column
    is_sqlalchemys = any(column is own for own in (mapper.version_id_col, mapper.polymorphic_on))
    return is_numbered or has_default(column) or is_sqlalchemys
