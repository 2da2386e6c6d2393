"""Who may see a page: everybody, the organization's people, or its owner.

Each decorator turns the address's *slug* into the view's *organization*. What somebody may not see is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

from flask import abort, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user
from sqlalchemy import select

from social_bitbucket_server.organizations import EventCode

from . import audit, browser_session, database, identities, integrations, login_ways, rate_limits
from .forms import SLUG
from .models import IntegrationRecord, Organization, User

_SETTINGS = re.compile(r"/o/(?P<slug>[^/]+)/settings(?:/|\Z)")

View = Callable[..., ResponseReturnValue]

login_manager = LoginManager()
login_manager.session_protection = None  # a session may go on at another address


@login_manager.user_loader  # type: ignore[untyped-decorator]
def person_of_the_session(session_key: str) -> User | None:
    """Return the person whose session this is. It ends as soon as the person or the organization is disabled, or the
    way in which they logged in: the integration, or their identity there."""
    login = browser_session.login()
    if login is None:
        return None
    user: User | None = database.session.scalar(select(User).where(User.session_key == session_key))
    if user is None or not user.is_active:
        return None
    if login.integration_id is None:
        return user
    record = identities.way_in(user, login.integration_id)
    if record is None or record.session_revision != login.revision:
        return None
    return None if login_ways.ways_into(user.organization).is_shut_out(record.id) else user


def for_everybody(view: View) -> View:
    """A page of an organization that anybody may open."""

    @wraps(view)
    def checked(slug: str, **arguments: Any) -> ResponseReturnValue:
        return view(organization=_organization_or_404(slug), **arguments)

    return checked


def for_members(view: View) -> View:
    """A page for the organization's people; it is not there for the people of others."""

    @wraps(view)
    def checked(slug: str, **arguments: Any) -> ResponseReturnValue:
        organization = _organization_or_404(slug)
        if not current_user.is_authenticated:
            wanted = request.full_path.rstrip("?") if request.method == "GET" else None
            return redirect(url_for("organization.login", slug=slug, next=wanted), 303)
        if current_user.organization_id != organization.id:
            _deny()
        return view(organization=organization, **arguments)

    return checked


def for_owner(view: View) -> View:
    """A page for the organization's owner; it is not there for anybody else. The number of their forms is limited."""

    @wraps(view)
    def checked(organization: Organization, **arguments: Any) -> ResponseReturnValue:
        if not current_user.is_owner:
            _deny()
        if request.method == "POST":
            rate_limits.count(rate_limits.OWNER_REQUESTS, str(organization.id))
        return view(organization=organization, **arguments)

    return for_members(checked)


def integration_or_404(organization: Organization, integration_id: str) -> IntegrationRecord:
    """The integration of *organization* that the address of one of its settings names."""
    record = integrations.find(organization, integration_id)
    if record is None:
        whose = integrations.organization_of(integration_id)
        if whose is not None:
            note_denial(org_id=whose)
        abort(404)
    return record


def belongs_to_others(path: str) -> bool:
    """Return whether *path* is among the settings of an organization that the person who is logged in does not own."""
    settings = _SETTINGS.match(path)
    if settings is None or not current_user.is_authenticated:
        return False
    return not current_user.is_owner or current_user.organization.slug != settings["slug"]


def note_denial(**whose: int) -> None:
    """Write down that somebody asked for what only another organization's owner may see or do; *whose* it is where the
    address does not say so."""
    audit.record(EventCode.ADMIN_DENIED, outcome="failure", user_id=current_user.id, **whose)


def _deny() -> NoReturn:
    if _SETTINGS.match(request.path):
        note_denial()
    abort(404)


def _organization_or_404(slug: str) -> Organization:
    if not SLUG.fullmatch(slug):
        abort(404)
    organization = database.session.scalar(
        select(Organization).where(Organization.slug == slug, Organization.disabled_at.is_(None))
    )
    if organization is None:
        abort(404)
    g.organization = organization
    return organization
