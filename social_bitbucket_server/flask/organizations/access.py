"""Who may see a page: everybody, the organization's people, or its admins.

Each turns the address's *slug* into the view's *organization*. What somebody may not see is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, abort, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from ...organizations import EventCode, Limited
from ...sqlalchemy.organizations import IntegrationMixin
from . import limits, recording
from .current import extension, session, store

_SLUG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")

View = Callable[..., ResponseReturnValue]


def for_everybody(view: View) -> View:
    """Make *view* a page of an organization that anybody may open."""

    @wraps(view)
    def checked(slug: str, **arguments: Any) -> ResponseReturnValue:
        organization_class = store.models.organization
        if not _SLUG.fullmatch(slug):
            abort(404)
        organization = session.scalar(select(organization_class).where(organization_class.slug == slug))
        if organization is None or organization.slug != slug or not store.may_log_in(organization):
            abort(404)
        g.bitbucket_organization = organization
        g.bitbucket_organization_id = store.key_of(organization)
        return view(organization=organization, **arguments)

    return checked


def for_members(view: View) -> View:
    """Make *view* a page for the organization's people. It is not there for the people of others."""

    @for_everybody
    @wraps(view)
    def checked(organization: Any, **arguments: Any) -> ResponseReturnValue:
        if not current_user.is_authenticated:
            return _to_login(organization)
        if not store.belongs_to(person(), organization):
            abort(404)
        return view(organization=organization, **arguments)

    return checked


class AdminPages(Blueprint):
    """Pages for the organization's admins. They are not there for anybody else. The number of their forms is limited.

    A view whose address names an *integration* gets its *record*; the others get the *organization*.
    """

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, *arguments: Any, **options: Any
    ) -> None:
        """Add the page, behind its checks. All decorators for routes come here."""
        super().add_url_rule(rule, endpoint, _for_admins(view_func), *arguments, **options)


def _for_admins(view: View) -> View:
    @for_everybody
    @wraps(view)
    def checked(organization: Any, integration: str | None = None, **arguments: Any) -> ResponseReturnValue:
        if not current_user.is_authenticated:
            return _to_login(organization)
        if not extension().may_administer(organization):
            _note_denial()
            abort(404)
        if request.method == "POST":
            limits.count(Limited.ADMIN_REQUESTS, store.key_of(organization))
        if integration is not None:
            return view(record=integration_or_404(organization, integration), **arguments)
        return view(organization=organization, **arguments)

    return checked


def person() -> Any:
    """Return the user who is logged in."""
    return current_user._get_current_object()


def integration_or_404(organization: Any, integration_id: str) -> IntegrationMixin:
    """Return the integration of *organization* that the address of one of its settings names."""
    record = store.integrations.find(organization, integration_id)
    if record is None:
        whose = store.integrations.organization_of(integration_id)
        if whose is not None:
            _note_denial(organization_id=whose)
        abort(404)
    return record


def _to_login(organization: Any) -> ResponseReturnValue:
    wanted = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("bitbucket.organization.login", slug=organization.slug, next=wanted), 303)


def _note_denial(**whose: Any) -> None:
    """Write down that somebody asked for what only another organization's admin may see or do; *whose* it is if the
    address does not say so."""
    recording.record(EventCode.ADMIN_DENIED, outcome="failure", user_id=store.key_of(person()), **whose)
