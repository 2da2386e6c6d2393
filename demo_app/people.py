"""People: owners with a password, and who is let in at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload
from werkzeug.security import check_password_hash, generate_password_hash

from social_bitbucket_server.organizations import EventCode

from . import audit, browser_session, clock, database, identities
from .models import Organization, User


def create_organization(*, slug: str, name: str, email: str, password: str) -> User:
    """A new organization; returns its owner. Raises IntegrityError where another one has this *slug*."""
    organization = Organization(slug=slug, name=name)
    owner = User(
        organization=organization,
        username="owner",
        display_name="Owner",
        email=email,
        is_owner=True,
        password_hash=generate_password_hash(password),
    )
    database.session.add(owner)
    database.session.flush()
    audit.record(EventCode.USER_CREATED, user_id=owner.id, org_id=organization.id)
    database.session.commit()
    return owner


def keep_owner(organization: Organization, *, email: str, password: str) -> None:
    """See to it that *organization*'s owner can log in with *email* and *password*."""
    owner = owner_of(organization)
    owner.email = email
    if not has_password(owner, password):
        owner.password_hash = generate_password_hash(password)
        browser_session.end_all_of(owner)
    database.session.commit()


def owner_of(organization: Organization) -> User:
    """The owner of *organization*."""
    return database.session.scalars(select(User).where(User.organization_id == organization.id, User.is_owner)).one()


def has_password(owner: User, password: str) -> bool:
    """Return whether *password* is the *owner*'s."""
    return check_password_hash(owner.password_hash or "", password)


def change_password(owner: User, password: str) -> None:
    """Let the *owner*, whose browser this is, log in with *password* from now on. Their sessions in other
    browsers end."""
    owner.password_hash = generate_password_hash(password)
    browser_session.end_all_but_this(owner)
    audit.record(EventCode.OWNER_PASSWORD_CHANGED, user_id=owner.id)
    database.session.commit()


def replace_password(owner: User, password: str) -> None:
    """Replace the password of an *owner* who has forgotten it, for the operator. All sessions of the owner end."""
    owner.password_hash = generate_password_hash(password)
    browser_session.end_all_of(owner)
    audit.record(EventCode.OWNER_PASSWORD_REPLACED, user_id=owner.id)
    database.session.commit()


def owner_by_password(organization: Organization, email: str, password: str) -> User | None:
    """The owner of *organization* with this *email* and *password*, unless disabled."""
    owner = database.session.scalar(select(User).where(User.organization_id == organization.id, User.is_owner))
    # Compared here: SQLite knows of small and capital letters in English alone.
    is_theirs = owner is not None and (owner.email or "").lower() == email.lower()
    stored = owner.password_hash if owner is not None and is_theirs else None
    is_right = check_password_hash(stored or _hash_of_nothing(), password)
    return owner if stored and is_right and owner is not None and owner.is_active else None


def of(organization: Organization) -> Sequence[User]:
    """Everybody in *organization*, the owner first, then by name."""
    return database.session.scalars(
        select(User)
        .where(User.organization_id == organization.id)
        .options(selectinload(User.identities).joinedload(identities.Identity.integration))
        .order_by(User.is_owner.desc(), func.lower(User.display_name), User.id)
    ).all()


def names(organization: Organization, user_ids: Iterable[int | None]) -> Mapping[int, str]:
    """Return the display names, by id, of those *user_ids* that are in *organization*."""
    wanted = {user_id for user_id in user_ids if user_id is not None}
    found = select(User.id, User.display_name).where(User.organization_id == organization.id, User.id.in_(wanted))
    return {row.id: row.display_name for row in database.session.execute(found)}


def find(organization: Organization, user_id: int) -> User | None:
    """The person *user_id* of *organization*, never another organization's."""
    return database.session.scalar(select(User).where(User.id == user_id, User.organization_id == organization.id))


def disable(user: User) -> None:
    """Let *user* in no more, and end their sessions."""
    user.disabled_at = clock.now()
    browser_session.end_all_of(user)
    audit.record(EventCode.USER_DISABLED, user_id=user.id)
    database.session.commit()


def log_out_everywhere(user: User) -> None:
    """End the sessions of *user*, who can log in again."""
    browser_session.end_all_of(user)
    database.session.commit()


def disable_whom_bitbucket_disabled(uid: str) -> None:
    """Disable the person with the identity *uid*, whose account Bitbucket says is disabled; it says so of no one else.

    It stays so until the owner enables them again.
    """
    user = identities.person_with(uid)
    if user is not None and user.disabled_at is None:
        disable(user)


def enable(user: User) -> None:
    """Let *user* in again."""
    user.disabled_at = None
    audit.record(EventCode.USER_ENABLED, user_id=user.id)
    database.session.commit()


@cache
def _hash_of_nothing() -> str:
    """Return a hash to compare a password with where there is no owner, so that both cases take the same time."""
    return generate_password_hash("nobody's password")
