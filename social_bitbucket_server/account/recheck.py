"""The recheck: asking between two logins whether a person may still log in, with their stored access token."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..integration import Admission, Roles
from ..problems import BitbucketServerError, Code
from .membership import Membership, require_admission
from .profile import fetch_profile
from .rest import RestClient
from .roles import given_roles


class Standing(StrEnum):
    """The result of asking for a person."""

    ADMITTED = "admitted"
    """The account is there, active, the same, and may log in."""
    REFUSED = "refused"
    """The account may not log in now, or Bitbucket does not admit it any more, or its name is another account's."""
    UNPROVEN = "unproven"
    """Unknown: the token ended, was revoked or cannot be used. It takes another login of the person to find out."""
    UNANSWERED = "unanswered"
    """Unknown: the server could not be asked, or its answer cannot be used."""


_REFUSALS = frozenset(
    {
        Code.ACCOUNT_INACTIVE,
        Code.ACCOUNT_NOT_A_PERSON,
        Code.ACCOUNT_NOT_ADMITTED,
        Code.ACCOUNT_REPLACED,
        Code.PERSON_NOT_ALLOWED,
    }
)
# A revoked token says nothing about the account: people revoke their own tokens.
_UNPROVEN = frozenset(
    {Code.INTEGRATION_UNKNOWN, Code.TOKEN_EXPIRED, Code.TOKEN_MISSING, Code.TOKEN_REVOKED, Code.TOKEN_UNOPENABLE}
)
# Problems of one person's record. All others concern all people at the server.
_OF_ONE_RECORD = frozenset(
    {
        Code.CAPTCHA_WANTED,
        Code.IDENTITY_INVALID,
        Code.IDENTITY_OF_ANOTHER,
        Code.PROFILE_INCOMPLETE,
        Code.PROFILE_INVALID,
        Code.USER_NOT_FOUND,
        Code.USERS_UNREADABLE,
    }
)


@dataclass(frozen=True, slots=True)
class Recheck:
    """The *standing* of a person, and the code of the *problem* that it follows from; empty for ``ADMITTED``. *roles*
    are the names of their roles, or ``None`` if they are unknown."""

    standing: Standing
    problem: str = ""
    roles: tuple[str, ...] | None = None

    @property
    def is_the_servers(self) -> bool:
        """Whether the problem concerns the server, so that asking it for other people at once is of no use."""
        return self.standing is Standing.UNANSWERED and self.problem not in _OF_ONE_RECORD

    @classmethod
    def failed(cls, problem: BitbucketServerError) -> Recheck:
        """Return what follows from *problem*."""
        if problem.code in _REFUSALS:
            return cls(Standing.REFUSED, problem.code.value, roles=())
        return cls(Standing.UNPROVEN if problem.code in _UNPROVEN else Standing.UNANSWERED, problem.code.value)


def ask_whether_admitted(rest: RestClient, uid: str, admission: Admission, roles: Roles, scope: str) -> list[str]:
    """Return those *roles* that the account behind *rest* has, if it still has the identity *uid*, and *admission* lets
    it in.

    *scope* is what a login would ask for now. A token for another scope may not show what a login would.

    Raises the problem that keeps the person from logging in, ``account_replaced``, ``token_missing``, and the problems
    of the conversation.
    """
    if rest.scope != scope and (admission.projects or admission.repositories or roles.needs_sight):
        raise BitbucketServerError(Code.TOKEN_MISSING, "It was granted for something else than logins ask for now.")
    person = rest.as_person()
    profile = fetch_profile(person)
    if person.integration.uid(profile.id) != uid:
        raise BitbucketServerError(Code.ACCOUNT_REPLACED, claim="id")
    membership = Membership(person, profile)
    require_admission(membership, admission)
    return given_roles(membership, roles)
