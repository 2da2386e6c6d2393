"""Whether somebody who logged in before still may: asked between two logins, with the access token that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ..problems import BitbucketServerError
from .membership import require_admission
from .profile import fetch_profile

if TYPE_CHECKING:
    from ..integration import Admission
    from .rest import RestClient


class Standing(StrEnum):
    """What came of asking for a person."""

    ADMITTED = "admitted"
    """The account is there, active, the same, and may log in."""
    REFUSED = "refused"
    """Bitbucket does not admit the account any more, or gave its name to another one, or it may not log in now."""
    UNPROVEN = "unproven"
    """Nobody knows: the token ended, was taken back or cannot be used. The person has to log in again to be known."""
    UNANSWERED = "unanswered"
    """Nobody knows: the server could not be asked, or its answer is of no use."""


_REFUSALS = frozenset(
    {"account_inactive", "account_not_a_person", "account_not_admitted", "account_replaced", "person_not_allowed"}
)
# A permission that was taken back says nothing about the account: whoever has it can take it back.
_UNPROVEN = frozenset({"integration_unknown", "token_expired", "token_missing", "token_revoked", "token_unopenable"})
# Answers that are of no use for one person; all others are the same for everybody at the server.
_OF_ONE_RECORD = frozenset(
    {
        "captcha_wanted",
        "identity_invalid",
        "identity_of_another",
        "profile_incomplete",
        "profile_invalid",
        "user_not_found",
        "users_unreadable",
    }
)


@dataclass(frozen=True, slots=True)
class Recheck:
    """The *standing* of a person, and the code of the *problem* that it follows from; empty for whoever is admitted."""

    standing: Standing
    problem: str = ""

    @property
    def is_the_servers(self) -> bool:
        """Whether it is the server that did not answer, so that nobody else has to be asked for there at once."""
        return self.standing is Standing.UNANSWERED and self.problem not in _OF_ONE_RECORD

    @classmethod
    def failed(cls, problem: BitbucketServerError) -> Recheck:
        """What follows from *problem*."""
        if problem.code in _REFUSALS:
            return cls(Standing.REFUSED, problem.code)
        return cls(Standing.UNPROVEN if problem.code in _UNPROVEN else Standing.UNANSWERED, problem.code)


def ask_whether_admitted(rest: RestClient, uid: str, admission: Admission, scope: str) -> None:
    """Do nothing where the account behind *rest* is still the one with the identity *uid*, and *admission* lets it in.
    A login asks for *scope* now: a token for another one may not show what a login would.

    Raises what keeps a person from logging in, ``account_replaced``, and the problems of the conversation.
    """
    if rest.scope != scope and (admission.projects or admission.repositories):
        raise BitbucketServerError("token_missing", "It was granted for something else than logins ask for now.")
    person = rest.as_person()
    profile = fetch_profile(person)
    if person.integration.uid(profile.id) != uid:
        raise BitbucketServerError("account_replaced", claim="id")
    require_admission(person, profile, admission)
