"""The steps of a login that are this application's own: which person of which organization is it?"""

from __future__ import annotations

from typing import Any

from social_core.backends.base import BaseAuth
from social_core.exceptions import AuthAssociationError, AuthPolicyError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from . import audit, database, integrations
from .models import IntegrationRecord, SocialStorage, User

STEPS = (
    "social_core.pipeline.social_auth.social_details",
    "social_core.pipeline.social_auth.social_uid",
    "social_core.pipeline.social_auth.auth_allowed",
    "social_core.pipeline.social_auth.social_user",
    "demo_app.pipeline.find_or_create_person",
    "demo_app.pipeline.refuse_disabled_person",
    "demo_app.pipeline.update_person",
)
"""Nobody is ever found by e-mail address or name: the identity alone says who it is."""

_ATTEMPTS = 5
_ROOM_FOR_A_NUMBER = 10


def find_or_create_person(
    backend: BaseAuth[object], uid: str, details: dict[str, Any], integration_id: str, **kwargs: Any
) -> dict[str, Any]:
    """The person with the identity *uid*; if there is none, a new one in the integration's organization.

    Of two first logins at once, one creates the person and the other one finds it.
    """
    if kwargs.get("social"):
        return {}
    record = integrations.find_enabled(integration_id)
    if record is None:
        raise AuthPolicyError(backend, code="authentication_disallowed", stage="pipeline")
    id_key = kwargs.get("id_key", "")
    for _attempt in range(_ATTEMPTS):
        try:
            user = User(
                organization_id=record.organization_id,
                integration_id=record.id,
                username=_free_username(record, details["username"]),
                display_name=details["fullname"] or details["username"],
            )
            social = SocialStorage.user.create_social_auth(user, uid, backend.name, id_key=id_key)
        except IntegrityError:
            database.session.rollback()
            social = SocialStorage.user.get_social_auth(backend.name, uid, id_key=id_key)
            if social is not None:
                return {"social": social, "user": social.user, "is_new": False, "new_association": False}
        else:
            audit.record("user.created", user_id=user.id, integration_id=record.id)
            return {"social": social, "user": user, "is_new": True, "new_association": True}
    raise AuthAssociationError(backend, code="identity_in_use", stage="pipeline")


def refuse_disabled_person(backend: BaseAuth[object], user: User, integration_id: str, **_kwargs: Any) -> None:
    """Stop the login of somebody whom the organization's owner disabled."""
    if user.integration_id != integration_id:
        raise AuthAssociationError(backend, code="identity_in_use", stage="pipeline")
    if user.disabled_at is not None:
        raise AuthPolicyError(
            backend,
            "This person is disabled.",
            code="authentication_disallowed",
            stage="pipeline",
            context={"problem": "person_disabled"},
        )


def update_person(user: User, details: dict[str, Any], **_kwargs: Any) -> None:
    """Take over the display name and the e-mail address, and nothing else, from Bitbucket."""
    user.display_name = details["fullname"] or details["username"]
    user.email = details.get("email")
    database.session.commit()


def _free_username(record: IntegrationRecord, wanted: str) -> str:
    """*wanted*, or with a number where somebody else of the organization has it: it identifies nobody."""
    wanted = wanted[: SocialStorage.user.username_max_length() - _ROOM_FOR_A_NUMBER]
    taken = set(
        database.session.scalars(
            select(User.username).where(
                User.organization_id == record.organization_id, User.username.startswith(wanted, autoescape=True)
            )
        )
    )
    username, number = wanted, 1
    while username in taken:
        number += 1
        username = f"{wanted}-{number}"
    return username
