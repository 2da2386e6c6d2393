"""Error pages for views that raise social-core's errors, and the end of sessions whose integration ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import auth
from django.utils.deprecation import MiddlewareMixin
from social_core.exceptions import SocialAuthBaseException

from ..login_backend import LoginBackend
from . import integrations
from .errors import show_error
from .login import INTEGRATION_SESSION_KEY

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


class LoginErrorMiddleware(MiddlewareMixin):
    """Shows what a view raises of social-core's errors as a page, social_django's views and an application's own. Those
    of logins elsewhere than at Bitbucket Servers are left to others."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The page, or nothing for all other errors."""
        if not isinstance(exception, SocialAuthBaseException):
            return None
        backend = exception.backend or getattr(request, "backend", None)
        return show_error(request, exception) if backend is None or isinstance(backend, LoginBackend) else None


class IntegrationSessionMiddleware(MiddlewareMixin):
    """Logs those out who logged in through an integration that was disabled or deleted since. It stands after
    ``AuthenticationMiddleware``, and asks the database once for each request of those people."""

    def process_request(self, request: HttpRequest) -> None:
        """End the session where its integration is not there any more."""
        integration_id = request.session.get(INTEGRATION_SESSION_KEY)
        if integration_id and integrations.find_enabled(id=integration_id) is None:
            auth.logout(request)
