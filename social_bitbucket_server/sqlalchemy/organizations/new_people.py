"""A person who logs in for the first time, as one of the application's users.

It fills the attributes that the class of users has and that have one of these names. An application whose users want
more gives functions of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import inspect, select

from ..new_users import refuse_incomplete_users
from .ready_made import OrganizationModels

_ROOM_FOR_A_NUMBER = 10
_NAMES = ("display_name", "fullname", "name", "username", "email")


class NewPeople:
    """Makes and updates users of *models*."""

    def __init__(self, models: OrganizationModels) -> None:
        self._models = models

    def refuse_incomplete_users(self) -> None:
        """Check that users need no other values than those that are filled. Raises
        :class:`~social_bitbucket_server.integration.UnsafeConfigurationError`."""
        user_class = self._models.user
        mapper: Any = inspect(user_class)
        given = ["username", "email", "first_name", "last_name", "display_name", "fullname", "name", "organization"]
        if "organization" in mapper.relationships:
            columns = mapper.relationships["organization"].local_columns
            given += [mapper.get_property_by_column(column).key for column in columns]
        remedy = "Give new_person, a function that makes a {user} of an organization and the details of a login"
        refuse_incomplete_users(user_class, given, remedy)

    def new_person(self, organization: Any, details: Mapping[str, Any]) -> Any:
        """Return a new user of *organization* with these *details* of a login; it is not saved yet.

        A user name gets a number if somebody else has it: it identifies nobody.
        """
        user_class = self._models.user
        fields = self._taken_over(details)
        if self._has("organization"):
            fields["organization"] = organization
        if self._has("username"):
            fields["username"] = self._free_username(organization, details["username"])
        # Nothing is written for it before the caller adds it, whatever the class cascades.
        with self._models.session().no_autoflush:
            return user_class(**fields)

    def update_person(self, user: Any, details: Mapping[str, Any], before: str) -> None:
        """Take names and the e-mail address over from *details*. *before*: the user name that Bitbucket gave last. The
        user name follows if it came from there."""
        for name, value in self._taken_over(details).items():
            setattr(user, name, value)
        shortened = re.escape(self._shortened(before))
        is_followed = self._has("username") and before != details["username"]
        if is_followed and re.fullmatch(shortened + r"(-[0-9]+)?", user.username):
            user.username = self._free_username(getattr(user, "organization", None), details["username"])

    def name_of(self, user: Any) -> str:
        """Return the name of *user*: the first of the usual attributes that is there and not empty."""
        names = (getattr(user, name, None) for name in _NAMES)
        return next((str(name) for name in names if name), str(user))

    def _taken_over(self, details: Mapping[str, Any]) -> dict[str, Any]:
        full_name = details.get("fullname") or details["username"]
        values = {
            "email": details.get("email") or None,
            "first_name": details.get("first_name", ""),
            "last_name": details.get("last_name", ""),
            "display_name": full_name,
            "fullname": full_name,
            "name": full_name,
        }
        return {name: value for name, value in values.items() if self._has(name)}

    def _has(self, attribute: str) -> bool:
        mapper: Any = inspect(self._models.user)
        return attribute in mapper.attrs

    def _free_username(self, organization: Any, wanted: str) -> str:
        """Return *wanted*, or with a number where somebody else of *organization* has it."""
        user: Any = self._models.user
        wanted = self._shortened(wanted)
        names = select(user.username)
        if organization is not None and self._has("organization"):
            names = names.where(user.organization == organization)
        with self._models.session().no_autoflush:
            if self._models.session().scalar(names.where(user.username == wanted).limit(1)) is None:
                return wanted
            taken = set(self._models.session().scalars(names.where(user.username.startswith(wanted, autoescape=True))))
        username, number = wanted, 1
        while username in taken:
            number += 1
            username = f"{wanted}-{number}"
        return username

    def _shortened(self, name: str) -> str:
        return name[: self._models.storage.user.username_max_length() - _ROOM_FOR_A_NUMBER]
