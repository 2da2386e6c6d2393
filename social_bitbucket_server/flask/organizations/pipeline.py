"""The steps of a login that find or make the person, for the setting ``PIPELINE``."""

from __future__ import annotations

from typing import Any

from social_core.backends.base import BaseAuth

from .current import store

STEPS = (
    "social_core.pipeline.social_auth.social_details",
    "social_core.pipeline.social_auth.social_uid",
    "social_core.pipeline.social_auth.auth_allowed",
    "social_bitbucket_server.flask.organizations.pipeline.find_identity_by_either_oauth",
    "social_bitbucket_server.flask.organizations.pipeline.find_or_create_person",
    "social_bitbucket_server.flask.organizations.pipeline.refuse_disabled_person",
    "social_bitbucket_server.flask.organizations.pipeline.keep_token_and_roles",
    "social_bitbucket_server.flask.organizations.pipeline.update_person",
)
"""Nobody is ever found by e-mail address or name: the identity alone says who it is."""


def find_identity_by_either_oauth(
    backend: BaseAuth[object], uid: str, user: Any = None, social: Any = None, id_key: str = "", **_kwargs: Any
) -> dict[str, Any]:
    """Find the identity *uid*, by whichever OAuth it was used before. This takes the place of core's ``social_user``,
    which looks for the identities of one OAuth."""
    nobody = {"social": None, "user": user, "is_new": user is None, "new_association": True}
    return store.logins.find_identity(backend, uid, user, social, id_key) or nobody


def find_or_create_person(
    backend: BaseAuth[object],
    uid: str,
    details: dict[str, Any],
    integration_id: str,
    user: Any = None,
    social: Any = None,
    id_key: str = "",
    **_kwargs: Any,
) -> dict[str, Any]:
    """Make the identity *uid* if there is none: for *user*, who connects it, or for a new person."""
    if social is not None:
        return {}
    return store.logins.find_or_create_person(backend, uid, details, integration_id, user, id_key)


def refuse_disabled_person(backend: BaseAuth[object], social: Any, integration_id: str, **_kwargs: Any) -> None:
    """Stop the login of somebody who was disabled."""
    store.logins.refuse_disabled_person(backend, social, integration_id)


def keep_token_and_roles(
    backend: BaseAuth[object],
    uid: str,
    user: Any,
    social: Any,
    response: dict[str, Any],
    details: dict[str, Any],
    **kwargs: Any,
) -> None:
    """Keep the person's roles, the sealed access token if the settings want it, and nothing of the profile."""
    store.logins.keep_token_and_roles(social, backend.extra_data(user, uid, response, details, kwargs))


def update_person(
    social: Any, details: dict[str, Any], *, is_new: bool = False, new_association: bool = False, **_kwargs: Any
) -> None:
    """Take over names and the e-mail address from the Bitbucket that the person logged in with."""
    store.logins.update_person(social, details, is_new=is_new, new_association=new_association)
