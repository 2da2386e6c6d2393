"""Logins for an application of Starlette or FastAPI: its routes, the button, error pages, and who is logged in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from inspect import isawaitable
from typing import Any
from urllib.parse import urlencode

from social_core.exceptions import SocialAuthBaseException
from social_core.storage import BaseStorage
from social_core.utils import setting_name
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ..integration import BACKENDS, OAUTH1, SettingsOf, refuse_unsafe_settings, refuse_unusable_settings
from ..login import HEADERS_OF_INVALID_HOST, INVALID_HOST, error_page, has_server, is_declined_login, is_host
from . import sessions
from .addresses import application_root, page_to_come_back_to, route_path
from .forms import button, read_checked_form
from .login_routes import Endpoint, LoginRoutes, Threads

_LOG_OUT = "bitbucket_server_log_out"


class BitbucketServer:
    """Adds "Log in with Bitbucket Server" to an application of Starlette or FastAPI, which gets its :attr:`routes`.

    *settings*: a mapping, by their full names; ``SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN`` is required.
    *storage*: social-core's, such as :func:`~social_bitbucket_server.sqlalchemy.make_storage` returns. *teardown* is
    called after each use of the storage, in the same thread: ``session.remove`` of a scoped session, for example.
    *log_in* is called with the request and the user who logged in, in a thread; ``None`` calls :meth:`log_in`.
    *show_error* gets the request and the error of a login that failed, and returns the page; it may be a coroutine
    function. ``None`` shows the ready-made page.

    Raises :class:`~social_bitbucket_server.integration.UnsafeConfigurationError`, now or with the first request. The
    application needs Starlette's ``SessionMiddleware``.

    - ``POST /login/bitbucket-server/`` and ``…/<integration>/`` begin; the form needs a ``form_token`` and may say in
      ``next`` where to go afterwards.
    - ``GET`` of these addresses is a page with that form, for links that should have been one.
    - ``GET /complete/bitbucket-server/`` and ``…/<integration>/`` is where a login comes back to.
    - ``POST /logout/`` logs out; the form needs a ``form_token``, too.

    Where OAuth 2 is configured, there are the same at ``/login/bitbucket-server-oauth2/`` and
    ``/complete/bitbucket-server-oauth2/``.
    """

    routes: list[BaseRoute]
    """The routes for the application, or for a mount in it."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        storage: type[BaseStorage],
        *,
        teardown: Callable[[], object] | None = None,
        log_in: Callable[[Request, Any], None] | None = None,
        show_error: Callable[[Request, SocialAuthBaseException], Response | Awaitable[Response]] | None = None,
    ) -> None:
        self._settings, self._storage, self._own_page = settings, storage, show_error
        self._threads = Threads(teardown)
        names = [name for name in BACKENDS if has_server(name, settings)] or [OAUTH1]
        self._paths = settings.get(setting_name("AUTHENTICATION_BACKENDS")) or [BACKENDS[name] for name in names]
        self._is_checked = False
        self._logins = {
            name: LoginRoutes(name, settings, storage, self._threads, log_in or self.log_in) for name in names
        }
        self.routes = [route for logins in self._logins.values() for route in logins.routes(self._guarded)]
        self.routes.append(Route("/logout/", self._guarded(self._log_out), name=_LOG_OUT, methods=["POST"]))

    def button(
        self,
        request: HTTPConnection,
        label: str = "",
        integration: str | None = None,
        next: str | None = None,  # noqa: A002  # the field's name
        backend: str | None = None,
    ) -> str:
        """Return a form with a button that begins a login, as HTML.

        *integration* is the id of one of many, or ``None``. *next* is the path to go to afterwards. *backend* is the
        name of one of the two; ``None`` takes OAuth 1's, if it is configured. Without a *label* the button says "Log in
        with Bitbucket". If the application has both backends, that of OAuth 2 says "Log in with Bitbucket (OAuth 2)".
        """
        self._check(request)
        return self._logins_with(backend).button(request, label, integration or "", next)

    def log_out_button(self, request: HTTPConnection, label: str = "Log out") -> str:
        """Return a form with a button that logs out and leads to the application's first page, as HTML."""
        self._check(request)
        return button(request, route_path(request, _LOG_OUT), label)

    async def current_user(self, request: HTTPConnection) -> Any:
        """Return the user who is logged in, or ``None``. FastAPI takes it as a dependency.

        After *teardown* the user belongs to no SQLAlchemy session: their columns can be read, but relationships that
        are not loaded cannot.
        """
        self._check(request)
        if not sessions.is_logged_in(request.session):
            return None
        return await self._threads.run(lambda: sessions.find_user(request.session, self._storage))

    async def user_or_401(self, request: HTTPConnection) -> Any:
        """Return the user who is logged in. Raises ``HTTPException`` with status 401 if nobody is: a program gets an
        answer that it understands."""
        user = await self.current_user(request)
        if user is None:
            raise HTTPException(HTTPStatus.UNAUTHORIZED, "Log in first.", {"WWW-Authenticate": "Cookie"})
        return user

    async def user_or_login(self, request: Request) -> Any:
        """Return the user who is logged in. Raises ``HTTPException`` with a redirect if nobody is: a browser gets the
        page ``SOCIAL_AUTH_LOGIN_URL`` or the page with the button, and comes back after the login."""
        user = await self.current_user(request)
        if user is None:
            page = str(self._settings.get(setting_name("LOGIN_URL")) or self._logins_with(None).page_path(request))
            path = page_to_come_back_to(request)
            separator = "&" if "?" in page else "?"
            address = f"{page}{separator}{urlencode({'next': path})}" if path else page
            raise HTTPException(HTTPStatus.SEE_OTHER, headers={"Location": address})
        return user

    def log_in(self, request: HTTPConnection, user: Any) -> None:
        """Make this browser's session that of *user*, and forget what it held before."""
        sessions.log_in(request.session, self._storage, user)

    def log_out(self, request: HTTPConnection) -> None:
        """Empty this browser's session. Call it for a POST whose form token was checked."""
        request.session.clear()

    async def connect(self, request: Request, integration: str | None = None, backend: str | None = None) -> Response:
        """Begin a login whose account is connected to the user who is logged in, as another way to log in.

        Call it for a POST; it checks the form's ``form_token``. *integration* is the id of one of many; ``None`` takes
        the form's field of this name. *backend* is as in :meth:`button`. A failure is answered with the error page.
        """
        logins = self._logins_with(backend)
        return await self._guarded(lambda posted: logins.begin(posted, integration or "", connects=True))(request)

    async def show_error(self, request: Request, error: SocialAuthBaseException) -> Response:
        """Return the page for a login that failed, or a redirect to ``SOCIAL_AUTH_LOGIN_ERROR_URL`` for a declined one.

        Without this setting, and for a person who is logged in and connects an account, a declined login has a page,
        too.
        """
        login_page = self._settings.get(setting_name("LOGIN_ERROR_URL"))
        if is_declined_login(error) and login_page:
            return RedirectResponse(login_page, HTTPStatus.SEE_OTHER)
        page = error_page(error, login_page or f"{application_root(request)}/")
        return Response(page.body, page.status, page.headers)

    def _check(self, connection: HTTPConnection) -> None:
        """Check the application once, at its first request: by then its settings and middleware are complete. If the
        check fails, fail every request. Raises UnsafeConfigurationError."""
        if self._is_checked:
            return
        refuse_unsafe_settings(self._settings)
        refuse_unusable_settings(self._settings, self._paths)
        origins = (SettingsOf(name, self._settings).get("CALLBACK_ORIGIN") for name in self._logins)
        sessions.refuse_lost_sessions(connection, map(str, origins))
        self._is_checked = True

    def _guarded(self, answer: Endpoint) -> Endpoint:
        """Return *answer* with its errors as pages, behind the checks of the application and of the request's host."""
        show_error = self._own_page or self.show_error

        async def guarded(request: Request) -> Response:
            self._check(request)
            if not is_host(request.headers.get("host", "")):
                return PlainTextResponse(INVALID_HOST, HTTPStatus.BAD_REQUEST, HEADERS_OF_INVALID_HOST)
            try:
                return await answer(request)
            except SocialAuthBaseException as error:
                page = show_error(request, error)
                return await page if isawaitable(page) else page

        return guarded

    async def _log_out(self, request: Request) -> Response:
        await read_checked_form(request)
        self.log_out(request)
        return RedirectResponse(f"{application_root(request)}/", HTTPStatus.SEE_OTHER)

    def _logins_with(self, backend: str | None) -> LoginRoutes:
        return self._logins[backend or next(iter(self._logins))]
