"""A WSGI application without a framework as the rows want it, with sessions on the server."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from http.cookies import SimpleCookie
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from social_core.exceptions import AuthCanceled, SocialAuthBaseException
from social_core.strategy import BaseStrategy

from social_bitbucket_server.any_framework import Logins, PlainStrategy, Visit, check_form_token, form_token
from social_bitbucket_server.backends import BitbucketServerOAuth1
from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.login import error_page
from tests.security.failures import failure
from tests.security.storage_world import (
    ACCOUNT,
    LOGIN_PAGE,
    Integrations,
    People,
    StorageWorld,
    make_people,
    settings,
)
from tests.security.world import HOST, Ingredients, Place, Serving

HTML = {"Content-Type": "text/html; charset=utf-8"}
Answer = tuple[int, dict[str, str], str]


class Application:
    """Its pages, and who is logged in."""

    def __init__(self, logins: Logins, people: People, tell: Callable[[SocialAuthBaseException], None]) -> None:
        self._logins, self._people, self._tell = logins, people, tell
        self._sessions: dict[str, dict[str, Any]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("session")
        key = cookie.value if cookie is not None and cookie.value in self._sessions else secrets.token_urlsafe(32)
        session = self._sessions.setdefault(key, {})
        try:
            status, headers, body = self._answer(environ, session)
        except AuthCanceled as error:
            self._tell(error)
            status, headers, body = 303, {"Location": LOGIN_PAGE}, ""
        except SocialAuthBaseException as error:
            self._tell(error)
            page = error_page(error)
            status, headers, body = page.status, dict(page.headers), page.body
        finally:
            self._people.session.remove()
        if session.pop("renewed", False):
            self._sessions[key] = {}
            key = secrets.token_urlsafe(32)
            self._sessions[key] = session
        cookie_line = ("Set-Cookie", f"session={key}; Path=/; HttpOnly; SameSite=Lax")
        start_response(f"{status} {HTTPStatus(status).phrase}", [*headers.items(), cookie_line])
        return [body.encode()]

    def _answer(self, environ: dict[str, Any], session: dict[str, Any]) -> Answer:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == LOGIN_PAGE:
            return 200, HTML, f'<form><input name="csrf_token" value="{form_token(session)}"></form>'
        if path == ACCOUNT:
            return (200 if "user_id" in session else 401), HTML, ""
        wanted = {"login": "POST", "complete": "GET"}.get(path.split("/")[1])
        if method != wanted:
            return (405 if wanted else 404), HTML, ""
        integration = path.strip("/").rpartition("/")[2]
        callback = f"/complete/bitbucket-server/{integration}/"
        if method == "POST":
            form = parse_qsl(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode())
            check_form_token(session, dict(form).get("csrf_token"), environ.get("HTTP_SEC_FETCH_SITE"))
            return 303, {"Location": self._logins.begin(Visit(session, form, integration), callback)}, ""

        def log_in(user: Any) -> None:
            session.clear()
            session.update(user_id=user.id, renewed=True)

        visit = Visit(session, parse_qsl(environ["QUERY_STRING"], keep_blank_values=True), integration)
        return 303, {"Location": self._logins.complete(visit, callback, log_in)}, ""


class PlainWorld(StorageWorld):
    """The application with the package's strategy for every framework."""

    strategy: ClassVar[type[BaseStrategy[Any]]] = PlainStrategy

    def start_with(self, settings: dict[str, Any]) -> None:
        Logins(settings, self.people.storage)

    def backend(self, place: Place) -> BitbucketServerOAuth1[Any]:
        visit = Visit({}, integration=place.integration_id)
        strategy = PlainStrategy(self.people.storage, settings(self.integrations.find), visit, HOST)
        return BitbucketServerOAuth1(strategy, place.callback())


@contextlib.contextmanager
def start(made_of: Ingredients) -> Iterator[PlainWorld]:
    """The application on a socket."""
    ring = KeyRing.generate()
    people, integrations, failures = make_people(made_of.database_url), Integrations(ring), []
    logins = Logins(settings(integrations.find), people.storage)
    app = Application(logins, people, lambda error: failures.append(failure(error)))
    world = PlainWorld(
        people=people,
        integrations=integrations,
        made_of=made_of,
        serving=Serving(app),
        audit=failures,
        **made_of.world,
    )
    world.canaries.values.add(ring.partition(":")[2])
    yield world
