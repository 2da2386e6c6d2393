"""Identities: the Bitbucket accounts that people log in with, one for each integration at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, delete, exists, func, select, update
from sqlalchemy.orm import aliased

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.organizations import EventCode
from social_bitbucket_server.problems import BitbucketServerError

from . import audit, browser_session, database
from .models import IntegrationRecord, SocialStorage, User

Identity: Any = SocialStorage.user  # its columns are the storage's own
_Other: Any = aliased(Identity)


def find(user: User, identity_id: int) -> Any:
    """The identity *identity_id* of *user*, or None; never another person's."""
    return database.session.scalar(select(Identity).where(Identity.id == identity_id, Identity.user_id == user.id))


def with_uid(uid: str) -> Any:
    """The identity *uid*, or None. It is the same one by whichever OAuth somebody logs in: *provider* is only the one
    that was used last."""
    return database.session.scalar(select(Identity).where(Identity.uid == uid))


def person_with(uid: str) -> User | None:
    """Return the person whose identity *uid* is."""
    return database.session.scalar(select(User).join(Identity, Identity.user_id == User.id).where(Identity.uid == uid))


def way_in(user: User, integration_id: str) -> IntegrationRecord | None:
    """Return the integration *integration_id* if *user* can log in through it, else ``None``."""
    enabled = select(IntegrationRecord).where(
        IntegrationRecord.id == integration_id,
        IntegrationRecord.disabled_at.is_(None),
        _has_identity(user, IntegrationRecord.id),
    )
    return database.session.scalar(enabled)


def to_connect(user: User) -> Sequence[IntegrationRecord]:
    """The integrations through which *user* cannot log in yet, but could. An owner's account keeps its password alone:
    whoever runs a Bitbucket Server must not come into it."""
    if user.is_owner:
        return ()
    enabled = database.session.scalars(
        select(IntegrationRecord)
        .where(
            IntegrationRecord.organization_id == user.organization_id,
            IntegrationRecord.disabled_at.is_(None),
            ~_has_identity(user, IntegrationRecord.id),
        )
        .order_by(IntegrationRecord.number)
    )
    return [record for record in enabled if record.ways]


def can_be_disconnected(user: User) -> set[int]:
    """The ids of those identities of *user* without which there is another one that lets them in."""
    return set(database.session.scalars(select(Identity.id).where(Identity.user_id == user.id, _has_another())))


def disconnect(user: User, identity: Any) -> bool:
    """Take *identity* away from *user*, whose browser this is, and end their sessions in other browsers. The last way
    in stays.

    Returns whether it is gone.
    """
    integration_id = identity.integration_id
    # Two at once wait for each other here, or at SQLite's write lock, so that they cannot take the last two.
    database.session.refresh(user, with_for_update=True)
    gone = database.session.execute(
        delete(Identity)
        .where(Identity.id == identity.id, Identity.user_id == user.id, _has_another())
        .execution_options(synchronize_session=False)
    )
    is_gone: bool = gone.rowcount == 1  # type: ignore[attr-defined]  # a DELETE's result has it
    if is_gone:
        browser_session.end_all_but_this(user)
        audit.record(EventCode.IDENTITY_DISCONNECTED, user_id=user.id, integration_id=integration_id)
    database.session.commit()
    return is_gone


def count(record: IntegrationRecord) -> int:
    """Return how many people log in through *record*; each has one identity there."""
    return _count(Identity.integration_id == record.id, Identity)


def count_people_without_another(record: IntegrationRecord) -> int:
    """Return how many people log in through *record* and in no other way."""
    return _count(_logs_in_only_through(record), User)


def delete_people_without_another(record: IntegrationRecord) -> None:
    """Delete everybody who logs in through *record* and in no other way. The caller commits."""
    database.session.execute(
        delete(User).where(_logs_in_only_through(record)).execution_options(synchronize_session=False)
    )


def delete_all_of(record: IntegrationRecord) -> int:
    """Delete everybody's identity at *record*, and nobody; returns how many there were. The caller commits."""
    gone = database.session.execute(
        delete(Identity).where(Identity.integration_id == record.id).execution_options(synchronize_session=False)
    )
    return int(gone.rowcount)  # type: ignore[attr-defined]  # a DELETE's result has it


def reseal_tokens() -> tuple[int, int]:
    """Seal every access token that is kept with the ring's newest key, in the way of
    :func:`demo_app.integrations.reseal_keys`."""
    done = failed = 0
    for identity_id in database.session.scalars(select(Identity.id).where(_keeps_token())).all():
        # Whoever logs in meanwhile, and keeps a newer token, waits for this change of nothing to be over.
        unchanged = update(Identity).where(Identity.id == identity_id).values(name=Identity.name)
        database.session.execute(unchanged.execution_options(synchronize_session=False))
        identity = database.session.get(Identity, identity_id, populate_existing=True)
        try:
            if identity is not None and identity.extra_data:
                bitbucket.reseal_access_token(identity)
                done += 1
        except BitbucketServerError:
            failed += 1
        database.session.commit()
    return done, failed


def forget_tokens() -> int:
    """Erase every access token that is kept; returns how many there were."""
    forgotten = database.session.execute(
        update(Identity).where(_keeps_token()).values(extra_data={}).execution_options(synchronize_session=False)
    )
    database.session.commit()
    return int(forgotten.rowcount)  # type: ignore[attr-defined]  # an UPDATE's result has it


def _keeps_token() -> ColumnElement[bool]:
    return cast(Identity.extra_data, Text) != "{}"  # it holds the token's record, or nothing


def _has_identity(user: User, integration_id: Any) -> ColumnElement[bool]:
    return exists().where(Identity.user_id == user.id, Identity.integration_id == integration_id)


def _has_another() -> ColumnElement[bool]:
    """Return whether the person of an identity has another one, through an integration that is enabled."""
    return exists(
        select(_Other.id)
        .join(IntegrationRecord, IntegrationRecord.id == _Other.integration_id)
        .where(_Other.user_id == Identity.user_id, _Other.id != Identity.id, IntegrationRecord.disabled_at.is_(None))
        .correlate(Identity)
    )


def _logs_in_only_through(record: IntegrationRecord) -> ColumnElement[bool]:
    here = exists().where(Identity.user_id == User.id, Identity.integration_id == record.id)
    elsewhere = exists().where(Identity.user_id == User.id, Identity.integration_id != record.id)
    return here & ~elsewhere & ~User.is_owner


def _count(which: ColumnElement[bool], table: Any) -> int:
    return database.session.scalar(select(func.count()).select_from(table).where(which)) or 0
