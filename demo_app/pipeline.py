"""The steps of a login that are this application's own: which person of which organization is it?"""

from __future__ import annotations

import re
from typing import Any

from social_core.backends.base import BaseAuth
from social_core.exceptions import AuthAssociationError, AuthPolicyError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from social_bitbucket_server.organizations import EventCode
from social_bitbucket_server.problems import BitbucketServerError, Code

from . import audit, clock, database, identities
from .models import IntegrationRecord, SocialStorage, User

STEPS = (
    "social_core.pipeline.social_auth.social_details",
    "social_core.pipeline.social_auth.social_uid",
    "social_core.pipeline.social_auth.auth_allowed",
    "social_core.pipeline.social_auth.social_user",
    "demo_app.pipeline.find_identity_by_either_oauth",
    "demo_app.pipeline.find_or_create_person",
    "demo_app.pipeline.refuse_disabled_person",
    "demo_app.pipeline.keep_access_token",
    "demo_app.pipeline.update_person",
)
"""Nobody is ever found by e-mail address or name: the identity alone says who it is."""

_OF_THE_TOKEN = ("sealed_access_token", "integration")
_ATTEMPTS = 5
_ROOM_FOR_A_NUMBER = 10


def find_identity_by_either_oauth(
    backend: BaseAuth[object], uid: str, user: User | None = None, social: Any = None, **_kwargs: Any
) -> dict[str, Any]:
    """The identity *uid*, by whichever OAuth it was used before: it names integration and account, and is one row."""
    if social is None:
        social = identities.with_uid(uid)
        if social is None:
            return {}
        if user is not None and social.user != user:
            raise BitbucketServerError(Code.IDENTITY_IN_USE).as_social_error(backend, "pipeline")
    return {"social": social, "user": social.user, "is_new": False, "new_association": False}


def find_or_create_person(
    backend: BaseAuth[object],
    uid: str,
    details: dict[str, Any],
    integration_id: str,
    user: User | None = None,
    social: Any = None,
    id_key: str = "",
    **_kwargs: Any,
) -> dict[str, Any]:
    """The person with the identity *uid*. If there is none: *user*, who connects it, or a new one in the integration's
    organization.

    Of two first logins at once, one creates the person and the other one finds it.
    """
    if social is not None:
        return {}
    for _attempt in range(_ATTEMPTS):
        record = database.session.get(IntegrationRecord, integration_id)  # the library has just asked for it
        if record is None or not record.is_enabled or not uid.startswith(f"{record.namespace}:"):
            raise AuthPolicyError(backend, code="authentication_disallowed", stage="pipeline")
        if user is not None:
            _refuse_to_connect(backend, user, record)
        try:
            social = _add_identity(
                user or _new_person(record, details), record, details, provider=backend.name, uid=uid, id_key=id_key
            )
        except IntegrityError:
            social = identities.with_uid(uid)
            if social is None:
                continue
            if user is not None and social.user != user:
                raise BitbucketServerError(Code.IDENTITY_IN_USE).as_social_error(backend, "pipeline") from None
            return {"social": social, "user": social.user, "is_new": False, "new_association": False}
        event = EventCode.USER_CREATED if user is None else EventCode.IDENTITY_CONNECTED
        audit.record(event, user_id=social.user_id, integration_id=record.id)
        return {"social": social, "user": social.user, "is_new": user is None, "new_association": True}
    raise AuthAssociationError(backend, code="identity_in_use", stage="pipeline")


def refuse_disabled_person(
    backend: BaseAuth[object], user: User, social: Any, integration_id: str, **_kwargs: Any
) -> None:
    """Stop the login of somebody who was disabled."""
    if social.integration_id != integration_id:
        raise AuthAssociationError(backend, code="identity_in_use", stage="pipeline")
    if user.disabled_at is not None:
        raise AuthPolicyError(
            backend,
            "This person is disabled.",
            code="authentication_disallowed",
            stage="pipeline",
            context={"problem": "person_disabled"},
        )


def keep_access_token(
    backend: BaseAuth[object],
    uid: str,
    user: User,
    social: Any,
    response: dict[str, Any],
    details: dict[str, Any],
    **kwargs: Any,
) -> None:
    """Keep the sealed access token where the operator wants it, with the integration that it is for; of the profile
    nothing. Where tokens are not wanted any more, this is the end of one that was kept."""
    data = backend.extra_data(user, uid, response, details, kwargs)
    kept = {name: data[name] for name in _OF_THE_TOKEN if name in data}
    if social.extra_data != kept:
        social.extra_data = kept


def update_person(
    user: User,
    social: Any,
    details: dict[str, Any],
    *,
    is_new: bool = False,
    new_association: bool = False,
    **_kwargs: Any,
) -> None:
    """Take over names and the e-mail address, and nothing else, from the Bitbucket that the person logged in with.
    Connecting another one takes over nothing.

    Something changes with each login, so that SQLite holds its lock from here on: the integration is looked at once
    more afterwards, and must stay as it is until the login is committed.
    """
    if new_association and not is_new:
        return
    if social.name != details["username"]:
        _rename(user, social, details["username"])
    user.display_name = details["fullname"] or details["username"]
    user.email = details.get("email")
    if not is_new:
        social.last_login_at = clock.now()
    database.session.flush()


def _new_person(record: IntegrationRecord, details: dict[str, Any]) -> User:
    return User(
        organization_id=record.organization_id,
        username=_free_username(record.organization_id, details["username"]),
        display_name=details["fullname"] or details["username"],
        email=details.get("email"),
    )


def _add_identity(user: User, record: IntegrationRecord, details: dict[str, Any], **key: str) -> Any:
    """Raises IntegrityError where somebody has it already, or took the new person's username meanwhile."""
    social = identities.Identity(user=user, integration_id=record.id, name=details["username"], extra_data={}, **key)
    social.last_login_at = None if user.id is not None else clock.now()  # nobody logs in by connecting an account
    with database.session.begin_nested():
        database.session.add(social)
    return social


def _refuse_to_connect(backend: BaseAuth[object], user: User, record: IntegrationRecord) -> None:
    """Only people of the integration's own organization connect, and everybody one account for each integration."""
    if record.organization_id != user.organization_id or user.is_owner:
        raise AuthAssociationError(backend, code="identity_in_use", stage="pipeline")
    database.session.refresh(user, with_for_update=True)  # two at once wait for each other
    if identities.way_in(user, record.id) is not None:
        raise AuthAssociationError(
            backend,
            code="identity_in_use",
            stage="pipeline",
            context={"problem": "already_connected"},
        )


def _rename(user: User, social: Any, name: str) -> None:
    """Bitbucket calls the person *name* now. Their username here follows where it came from this very account."""
    before, social.name = social.name, name
    audit.record(EventCode.USER_RENAMED, user_id=user.id, integration_id=social.integration_id)
    if not re.fullmatch(re.escape(_shortened(before)) + r"(-[0-9]+)?", user.username):
        return
    for _attempt in range(_ATTEMPTS):
        try:
            with database.session.begin_nested():
                user.username = _free_username(user.organization_id, name)
        except IntegrityError:  # somebody else took it meanwhile
            continue
        return


def _free_username(organization_id: int, wanted: str) -> str:
    """*wanted*, or with a number where somebody else of the organization has it: it identifies nobody."""
    wanted = _shortened(wanted)
    is_taken = select(User.id).where(User.organization_id == organization_id, User.username == wanted)
    if database.session.scalar(is_taken) is None:
        return wanted
    taken = set(
        database.session.scalars(
            select(User.username).where(
                User.organization_id == organization_id, User.username.startswith(wanted, autoescape=True)
            )
        )
    )
    username, number = wanted, 1
    while username in taken:
        number += 1
        username = f"{wanted}-{number}"
    return username


def _shortened(name: str) -> str:
    return name[: SocialStorage.user.username_max_length() - _ROOM_FOR_A_NUMBER]
