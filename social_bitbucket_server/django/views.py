"""An integration's login page, and the address where its logins come back to."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_protect
from social_core.exceptions import SocialAuthBaseException

from ..crypto import opaque
from ..organizations import OAuth
from ..problems import BitbucketServerError
from . import configuration, integrations, login, login_ways, trials
from .errors import show_error
from .models import AbstractIntegration
from .strategy import hide_query, is_own_path


@method_decorator(
    [
        transaction.non_atomic_requests,  # events and used-up logins stay, even if the rest of the request fails
        login_not_required,
        never_cache,
        xframe_options_deny,
        csrf_protect,
    ],
    name="dispatch",
)
class PublicView(View):
    """A view that is open to everybody, not cached, in no frame, and checks the CSRF token."""


class LoginPage(PublicView):
    """The page with the button, and what the button does."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show the template ``social_bitbucket_server/login.html``."""
        integration, wanted = _enabled(slug=slug), request.GET.get(REDIRECT_FIELD_NAME, "")
        only = login_ways.enforced(integration)
        is_current = login_ways.came_by_link(request, integration)
        context = {
            "integration": integration,
            "is_current": is_current,
            "only": only if only != integration else None,
            "declined": "declined" in request.GET,
            "next": wanted if is_own_path(wanted) else "",
            "versions": integration.oauth_versions.usable,
            "scope": _scope(integration),
            "keeps_tokens": bool(configuration.setting("STORE_ACCESS_TOKEN")),
        }
        response = render(request, "social_bitbucket_server/login.html", context)
        # Without a referrer Django could not tell that the form is its own.
        response["Referrer-Policy"] = "same-origin"
        if is_current:
            login_ways.remember(response, integration)
        return response

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Send the browser to the integration's Bitbucket Server."""
        integration = _enabled(slug=slug)
        if not login_ways.came_by_link(request, integration):
            return redirect("social_bitbucket_server:login", slug)
        oauth = integration.oauth_versions.choose(request.POST.get("oauth"))
        if oauth is None:
            return redirect("social_bitbucket_server:login", slug)
        try:
            return login.begin(request, integration.pk, oauth=oauth)
        except SocialAuthBaseException as error:
            return show_error(request, error, integration, oauth)


def _scope(record: AbstractIntegration) -> str:
    """Return the scope that logins through *record* ask for; empty if they are by OAuth 1, or if there are none yet."""
    if record.oauth_versions.choose(None) is not OAuth.TWO:
        return ""
    try:
        return configuration.backend_of(OAuth.TWO.backend).scope_for(record)
    except (BitbucketServerError, SocialAuthBaseException):  # which the button shows
        return "unknown"


@login_not_required
def link(_request: HttpRequest, slug: str, number: int) -> HttpResponse:  # noqa: ARG001  # links differ in their numbers
    """Redirect from the Application URL of a further application link to the integration's login page."""
    return redirect("social_bitbucket_server:login", slug)


class Complete(PublicView):
    """The view that the logins of one integration by one version of OAuth come back to."""

    http_method_names = ("get",)
    oauth = OAuth.ONE

    @opaque
    def setup(self, request: HttpRequest, *arguments: Any, **route: Any) -> None:
        """Hide the query before anything else looks at the request."""
        hide_query(request)
        super().setup(request, *arguments, **route)

    def get(self, request: HttpRequest, integration: str) -> HttpResponse:
        """Log the person in, and send the browser to where it was meant to go."""
        record = _enabled(id=integration)
        try:
            if login.is_trial(request, record.pk, oauth=self.oauth):
                response = trials.complete(request, record, self.oauth)
            else:
                response = login.complete(request, record.pk, oauth=self.oauth)
        except SocialAuthBaseException as error:
            return show_error(request, error, record, self.oauth)
        response["Referrer-Policy"] = "no-referrer"
        return response


def _enabled(**key: str) -> AbstractIntegration:
    """Return the enabled integration with this id or slug. Raises Http404 alike for an unknown and a disabled one."""
    record = integrations.find_enabled(**key)
    if record is None:
        raise Http404
    return record
