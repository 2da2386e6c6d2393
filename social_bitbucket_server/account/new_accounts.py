"""Demands of an application's own class of users on a new account: columns that are short, or must not be empty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["fitting", "is_named_by_email", "needs_email", "refused_column"]

_NAMES = ("fullname", "first_name", "last_name")
_REFUSED_COLUMN = re.compile(
    r"NOT NULL constraint failed: (?:\w+\.)?(?P<sqlite>\w+)|[Cc]olumn [\"'](?P<column>\w+)[\"']|Field '(?P<field>\w+)'"
)


def fitting(details: Mapping[str, Any], user_storage: Any, attributes: Mapping[str, str]) -> dict[str, Any]:
    """Return *details* with names cut to their columns, and without an e-mail address that is too long for its own.

    *user_storage* is social-core's storage of users; *attributes* maps names of details to attributes of users, as the
    setting ``USER_FIELD_MAPPING`` does.
    """
    fitted = dict(details)
    own_length = getattr(user_storage, "column_length", None)
    for name in (*_NAMES, "email"):
        attribute = attributes.get(name, name)
        if own_length is not None:
            length: int | None = own_length(attribute)
        else:
            length = getattr(_django_field(user_storage.user_model(), attribute), "max_length", None)
        value = fitted.get(name)
        if length is not None and isinstance(value, str) and len(value) > length:
            fitted[name] = value[:length].rstrip() if name in _NAMES else None
    return fitted


def needs_email(user_storage: Any) -> bool:
    """Return whether no account can be made without an e-mail address."""
    own = getattr(user_storage, "needs_email", None)
    if own is not None:
        return bool(own())
    model = user_storage.user_model()
    field = _django_field(model, getattr(model, "EMAIL_FIELD", "email"))
    if field is None:
        return False
    is_name = field.name == getattr(model, "USERNAME_FIELD", "username")
    return is_name or not (field.blank or field.null or field.has_default())


def is_named_by_email(user_storage: Any) -> bool:
    """Return whether the e-mail address is the user name as well, so that core takes the one for the other."""
    model = user_storage.user_model()
    return getattr(model, "USERNAME_FIELD", "username") == getattr(model, "EMAIL_FIELD", "email")


def refused_column(error: BaseException) -> str:
    """Return the column that a database did not take empty, as its *error* names it; nothing if it names none."""
    cause = getattr(error, "orig", None) or error.__cause__ or error
    named = getattr(getattr(cause, "diag", None), "column_name", None)
    match = _REFUSED_COLUMN.search(str(cause))
    return str(named or (match and match[match.lastgroup or 0]) or "")


def _django_field(model: Any, name: str) -> Any:
    meta = getattr(model, "_meta", None)
    fields = getattr(meta, "fields", ())
    return next((field for field in fields if field.name == name), None)
