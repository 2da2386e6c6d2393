"""Who may do what: owners with a password administer, and everybody else logs in with Bitbucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.security import check_password_hash, generate_password_hash

from social_bitbucket_server.flask.organizations import local_page

from .models import Organization, User, db


def make_organization(*, slug: str, name: str, email: str, password: str) -> User:
    """Make an organization. Return its owner. Raises IntegrityError if *slug* is taken."""
    owner = User(organization=Organization(slug=slug, name=name), username="owner", name="Owner", email=email)
    owner.password_hash = generate_password_hash(password)
    db.session.add(owner)
    db.session.commit()
    return owner


def owner_by_password(organization: Organization, email: str, password: str) -> User | None:
    """Return the owner with this *email* and *password*, or ``None``."""
    owners = select(User).where(User.organization == organization, User.password_hash.is_not(None))
    owner = db.session.scalars(owners).one()
    is_right = check_password_hash(owner.password_hash or "", password)
    return owner if is_right and (owner.email or "").lower() == email.lower() else None


def may_administer(organization: Organization) -> bool:
    """Return whether the person who is logged in owns *organization*."""
    return current_user.organization == organization and current_user.password_hash is not None


def belongs_to(user: User, organization: Organization) -> bool:
    """Return whether *user* is one of the people of *organization*."""
    return user.organization == organization


def may_connect(user: User, organization: Organization) -> bool:
    """Return whether *user* may connect a Bitbucket account. Owners keep their password alone: whoever runs a Bitbucket
    Server must not come into their accounts."""
    return belongs_to(user, organization) and user.password_hash is None


def forget(users: Sequence[User]) -> None:
    """Delete *users*, who have no way to log in any more."""
    for user in users:
        if user.password_hash is None:
            db.session.delete(user)


def next_page(organization: Any, wanted: str | None) -> str:
    """Return where to go after a login: the page *wanted*, or the one that says who is logged in."""
    return local_page(organization, wanted) if wanted else url_for("organizations.me", slug=organization.slug)
