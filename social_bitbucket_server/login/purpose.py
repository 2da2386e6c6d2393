"""The purpose of a login, which is fixed when it begins."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..problems import BitbucketServerError, Code


class Purpose(StrEnum):
    """Why a login begins. It decides how the login ends."""

    LOG_IN = "log-in"
    """This browser becomes the session of the account's owner."""
    CONNECT = "connect"
    """The account becomes another way to log in for the person who is logged in."""
    TRY = "try"
    """The person who is logged in sees whether logins work. Nobody is logged in, and nothing is connected."""


@dataclass(frozen=True, slots=True)
class Intent:
    """The *purpose* of a login, and the id of the *person* who is logged in and asked for it.

    The id is a digest if it is long. It is empty for :attr:`Purpose.LOG_IN`: such a login is not bound to a person.
    """

    purpose: Purpose = Purpose.LOG_IN
    person: str = ""

    @classmethod
    def of(cls, purpose: Purpose, person: str) -> Intent:
        """Return the intent of *person*, which is empty if nobody is logged in.

        Raises ``person_changed`` if the *purpose* needs a person.
        """
        if purpose is Purpose.LOG_IN:
            return TO_LOG_IN
        if not person:
            raise BitbucketServerError(Code.PERSON_CHANGED)
        return cls(purpose, person)


TO_LOG_IN = Intent()
