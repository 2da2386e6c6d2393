"""Error pages for views that raise social-core's errors, and the end of sessions whose integration ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from social_core.exceptions import SocialAuthBaseException
from social_django import views

from ..integration import BACKENDS, OAUTH2
from ..login import LoginBackend
from ..organizations import Limited
from . import checks, configuration, limits, login
from .errors import show_error

_STOCK_VIEWS = (views.auth, views.complete)


class LoginErrorMiddleware(MiddlewareMixin):
    """Shows what a view raises of social-core's errors as a page, social_django's views and an application's own. Those
    of logins elsewhere than at Bitbucket Servers are left to others.

    A GET of the address where social_django begins a login shows a page with the button."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], arguments: tuple[Any, ...], route: dict[str, Any]
    ) -> HttpResponse | None:
        """Let no login begin or come back by social_django's views with settings that stop a command.

        Finish a login that comes back here: Django would call the view inside the transaction of ``ATOMIC_REQUESTS``,
        and a login that failed would not be used up.
        """
        if view not in _STOCK_VIEWS or route.get("backend") not in BACKENDS:
            return None
        try:
            checks.refuse_unsafe_logins()
            _refuse_addresses_of_others(view, route)
            if view is views.complete and request.method == "HEAD":
                return HttpResponseNotAllowed(["GET"])  # it would use the login up
            if view is views.complete:
                limits.count(request, Limited.CALLBACKS)
                return cast("HttpResponse", view(request, *arguments, **route))
            if request.method == "POST":
                limits.count(request, Limited.LOGINS)
        except SocialAuthBaseException as error:
            return show_error(request, error)
        return _button(request, route["backend"]) if request.method in {"GET", "HEAD"} else None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the page for one of social-core's errors, and ``None`` for all others."""
        if not isinstance(exception, SocialAuthBaseException):
            return None
        backend = exception.backend or getattr(request, "backend", None)
        return show_error(request, exception) if backend is None or isinstance(backend, LoginBackend) else None


@never_cache
@xframe_options_deny
def _button(request: HttpRequest, backend: str) -> HttpResponse:
    """Return a page with the form that begins a login. Its hidden fields are those of the link's query."""
    fields = [(name, value) for name, values in request.GET.lists() for value in values]
    keeps_tokens = bool(configuration.setting("STORE_ACCESS_TOKEN", backend=backend))
    context = {"fields": fields, "scope": "unknown" if backend == OAUTH2 else "", "keeps_tokens": keeps_tokens}
    response = render(request, "social_bitbucket_server/begin.html", context)
    # Without a referrer Django could not tell that the form is its own.
    response["Referrer-Policy"] = "same-origin"
    return response


class IntegrationSessionMiddleware(MiddlewareMixin):
    """Logs those out who logged in through an integration that was disabled, deleted or given another server since, and
    those who were disabled or logged out themselves. It stands after ``AuthenticationMiddleware``, and asks the
    database twice for each request of people who came through an integration.

    Integrations in the database have addresses of their own. Those of social_django, which other backends of a project
    need, lead to sessions that would not end, and are not there for them."""

    def process_request(self, request: HttpRequest) -> None:
        """End the session if its integration was disabled, deleted or given another server, or if its person was
        disabled, deleted or logged out."""
        # social_django finds nobody who was disabled, unless SOCIAL_AUTH_ACTIVE_USERS_FILTER says otherwise.
        if login.is_session_over(request.session) or (
            login.INTEGRATION_SESSION_KEY in request.session and not request.user.is_authenticated
        ):
            login.end_session(request)

    def process_view(
        self, _request: HttpRequest, view: Callable[..., Any], _arguments: tuple[Any, ...], route: dict[str, Any]
    ) -> None:
        """Let no login through an integration begin or come back elsewhere than at its own addresses."""
        _refuse_addresses_of_others(view, route)


def _refuse_addresses_of_others(view: Callable[..., Any], route: dict[str, Any]) -> None:
    """Raise ``Http404`` for social_django's addresses if integrations in the database have addresses of their own.

    Both middlewares ask, because the one that stands first in ``MIDDLEWARE`` may answer.
    """
    if view in _STOCK_VIEWS and route.get("backend") in configuration.backends_in_database():
        raise Http404
