"""Organizations and their owners, who have a password."""

from __future__ import annotations

from functools import cache
from typing import Any

from flask_login import current_user
from sqlalchemy import delete, select
from werkzeug.security import check_password_hash, generate_password_hash

from social_bitbucket_server.flask.organizations import record
from social_bitbucket_server.organizations import EventCode

from . import database
from .models import Organization, User, new_session_key


def create_organization(*, slug: str, name: str, email: str, password: str) -> User:
    """Make an organization. Return its owner. Raises IntegrityError if another one has this *slug*."""
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
    record(EventCode.USER_CREATED, user_id=owner.id, organization_id=organization.id)
    database.session.commit()
    return owner


def owner_of(organization: Organization) -> User:
    """Return the owner of *organization*."""
    return database.session.scalars(select(User).where(User.organization_id == organization.id, User.is_owner)).one()


def may_administer(organization: Organization) -> bool:
    """Return whether the person who is logged in is the owner of *organization*."""
    return bool(current_user.is_owner and current_user.organization_id == organization.id)


def belongs_to(user: User, organization: Organization) -> bool:
    """Return whether *user* is one of the people of *organization*."""
    return bool(user.organization_id == organization.id)


def may_connect(user: User, organization: Organization) -> bool:
    """Return whether *user* may connect a Bitbucket account. An owner's account keeps its password alone: whoever runs
    a Bitbucket Server must not come into it."""
    return belongs_to(user, organization) and not user.is_owner


def forget(users: Any) -> None:
    """Delete *users*, who have no way to log in any more."""
    gone = [user.id for user in users if not user.is_owner]
    database.session.execute(delete(User).where(User.id.in_(gone)).execution_options(synchronize_session=False))


def has_password(owner: User, password: str) -> bool:
    """Return whether *password* is the *owner*'s."""
    return check_password_hash(owner.password_hash or "", password)


def replace_password(owner: User, password: str) -> None:
    """Let the *owner* log in with *password* from now on. All their sessions end."""
    owner.password_hash = generate_password_hash(password)
    owner.session_key = new_session_key()
    database.session.commit()


def owner_by_password(organization: Organization, email: str, password: str) -> User | None:
    """Return the owner of *organization* with this *email* and *password*, or ``None``."""
    owner = database.session.scalar(select(User).where(User.organization_id == organization.id, User.is_owner))
    # Compared here: SQLite knows of small and capital letters in English alone.
    is_theirs = owner is not None and (owner.email or "").lower() == email.lower()
    stored = owner.password_hash if owner is not None and is_theirs else None
    is_right = check_password_hash(stored or _hash_of_nothing(), password)
    return owner if stored and is_right else None


@cache
def _hash_of_nothing() -> str:
    """Return a hash to compare a password with if there is no owner, so that both cases take the same time."""
    return generate_password_hash("nobody's password")
