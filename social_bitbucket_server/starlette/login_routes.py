"""The routes of one backend: a page with the button, where a login begins, and where it comes back to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from social_core.storage import BaseStorage
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ..any_framework import Logins, Visit
from ..login import HEADERS_OF_LOGIN_PAGE, button_label, login_page
from . import sessions
from .addresses import route_path
from .forms import button, read_checked_form

Endpoint = Callable[[Request], Awaitable[Response]]


class Threads:
    """Runs work that waits for a database or a server in threads, so that the event loop goes on. After each piece of
    it *teardown* is called in its thread, if there is one."""

    def __init__(self, teardown: Callable[[], object] | None) -> None:
        self._teardown = teardown

    async def run(self, work: Callable[[], Any]) -> Any:
        """Return what *work* returns."""
        return await run_in_threadpool(self._run, work)

    def _run(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        finally:
            if self._teardown is not None:
                self._teardown()


class LoginRoutes:
    """Logins with the backend called *name*. *log_in* is called with the request and the user who logged in."""

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        storage: type[BaseStorage],
        threads: Threads,
        log_in: Callable[[Request, Any], None],
    ) -> None:
        self._name, self._settings, self._storage = name, settings, storage
        self._threads, self._log_in = threads, log_in
        self._logins = Logins(settings, storage, name)

    def routes(self, guarded: Callable[[Endpoint], Endpoint]) -> Iterator[Route]:
        """Yield the routes. *guarded* adds the error pages to each.

        Addresses work with and without a slash at their end. No redirect mends them: behind a proxy that ends TLS, it
        would take the verifier to http://.
        """
        for address in ("/", "", "/{integration}/", "/{integration}"):
            begin, complete = f"/login/{self._name}{address}", f"/complete/{self._name}{address}"
            yield Route(begin, guarded(self._begin), name=self._route("begin"), methods=["POST"])
            yield Route(begin, guarded(self._show_page), name=self._route("page"), methods=["GET"])
            yield Route(complete, guarded(self._complete), name=self._route("complete"), methods=["GET"])

    def button(self, connection: HTTPConnection, label: str, integration: str, next_path: str | None) -> str:
        """Return a form with a button that begins a login. An empty *label* stands for the usual one."""
        action = route_path(connection, self._route("begin"), integration)
        return button(connection, action, label or button_label(self._name, self._settings), next_path)

    def page_path(self, connection: HTTPConnection) -> str:
        """Return the path of the page with the button."""
        return route_path(connection, self._route("page"))

    async def begin(self, request: Request, integration: str, *, connects: bool = False) -> Response:
        """Begin the login that the form of *request* asks for. *connects*: the account is connected to the person who
        is logged in, and who asked for it. Raises ``SocialAuthBaseException``."""
        form = await read_checked_form(request)
        chosen = integration or dict(form).get("integration", "")
        host = "" if sessions.cookie_domain(request) else request.headers.get("host", "")
        visit = Visit(request.session, form, chosen, host)
        path = self._callback_path(request, chosen)

        def work() -> str:
            person = sessions.find_user(request.session, self._storage)
            begin = self._logins.connect if connects else self._logins.begin
            return begin(visit, path, person)

        return RedirectResponse(await self._threads.run(work), HTTPStatus.SEE_OTHER)

    async def _begin(self, request: Request) -> Response:
        return await self.begin(request, request.path_params.get("integration", ""))

    async def _show_page(self, request: Request) -> Response:
        integration = request.path_params.get("integration") or request.query_params.get("integration", "")
        form = self.button(request, "", integration, request.query_params.get("next"))
        return HTMLResponse(login_page(self._name, self._settings, form), headers=HEADERS_OF_LOGIN_PAGE)

    async def _complete(self, request: Request) -> Response:
        if request.method == "HEAD":  # Starlette routes it here, and it would use up the login
            return Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET"})
        integration = request.path_params.get("integration", "")
        path = self._callback_path(request, integration)
        visit = Visit(request.session, request.query_params.multi_items(), integration)

        def work() -> str:
            person = sessions.find_user(request.session, self._storage)
            return self._logins.complete(visit, path, lambda user: self._log_in(request, user), person)

        return RedirectResponse(await self._threads.run(work), HTTPStatus.SEE_OTHER)

    def _callback_path(self, request: Request, integration: str) -> str:
        return route_path(request, self._route("complete"), integration)

    def _route(self, what: str) -> str:
        return f"{self._name}.{what}"
