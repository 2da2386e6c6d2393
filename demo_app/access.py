"""Who may see a page: everybody, the organization's people, or its owner.

Each decorator turns the address's *slug* into the view's *organization*. What somebody may not see is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, cast

import flask
from flask import Request, abort, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user
from sqlalchemy import select

from . import audit, database
from .models import Organization, User
from .sessions import BrowserSession

View = Callable[..., ResponseReturnValue]

login_manager = LoginManager()
login_manager.session_protection = None  # the session is the database's, bound to one person and never remembered


@login_manager.request_loader  # type: ignore[untyped-decorator]
def person_of_the_session(_request: Request) -> User | None:
    """Whose session this is; nobody's as soon as the person, integration or organization is disabled."""
    session = cast("BrowserSession", flask.session._get_current_object())  # type: ignore[attr-defined]  # a proxy's method
    if session.user_id is None:
        return None
    user = database.session.get(User, session.user_id)
    if user is None or not user.is_active:
        return None
    is_the_same = (user.organization_id, user.integration_id) == (session.organization_id, session.integration_id)
    return user if is_the_same else None


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
    """A page for the organization's owner; it is not there for anybody else."""

    @wraps(view)
    def checked(organization: Organization, **arguments: Any) -> ResponseReturnValue:
        if not current_user.is_owner:
            _deny()
        return view(organization=organization, **arguments)

    return for_members(checked)


def _deny() -> NoReturn:
    if request.blueprint == "settings":
        audit.record("admin.denied", outcome="failure", user_id=current_user.id)
    abort(404)


def _organization_or_404(slug: str) -> Organization:
    organization = database.session.scalar(
        select(Organization).where(Organization.slug == slug, Organization.disabled_at.is_(None))
    )
    if organization is None:
        abort(404)
    g.organization = organization
    return organization
