"""The roles of a person: which of an integration's roles they have, and what their identity keeps of that."""

from __future__ import annotations

import logging

from social_core.storage import UserMixin

from ..integration import Roles
from .membership import Membership

_LOG = logging.getLogger(__name__)

ROLES_KEY = "bitbucket_roles"
"""The name of the roles in the ``extra_data`` of a person's identity. Other backends keep other roles as ``roles``."""


def given_roles(membership: Membership, roles: Roles) -> list[str]:
    """Return the names of those *roles* of which a condition holds for the person with this *membership*.

    A role is not given if it depends on a group that the server does not tell the person about. The log says so. Raises
    the problems of the conversation.
    """
    given = []
    for name, admission in roles.named:
        answers = []
        for condition in admission.conditions:
            answers.append(membership.holds(*condition))
            if answers[-1]:
                given.append(name)
                break
        else:
            if None in answers:
                _LOG.warning("The role %s was not given: the server does not say who is in its groups.", name)
    return given


def roles_of(identity: UserMixin) -> frozenset[str]:
    """Return the names of the roles that the person with this *identity* had at their last login or recheck. They are
    those of the identity's own integration. Without any, the set is empty."""
    kept = (identity.extra_data or {}).get(ROLES_KEY)
    return frozenset(name for name in kept if isinstance(name, str)) if isinstance(kept, list) else frozenset()


def keep_roles(identity: UserMixin, names: list[str]) -> None:
    """Let *identity* have the roles of these *names* and no others."""
    if identity.set_extra_data({ROLES_KEY: names}):
        identity.save()
