"""Log in with one Bitbucket Server in Starlette; FastAPI is the same."""

import os
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import parse_qsl

from social_core.exceptions import SocialAuthBaseException
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from social_bitbucket_server.any_framework import Logins, Visit, check_form_token, form_token
from social_bitbucket_server.login import error_page
from social_bitbucket_server.sqlalchemy import make_storage

ORIGIN = os.environ.get("ORIGIN", "http://127.0.0.1:8000")
CALLBACK = "/complete/bitbucket-server/"

engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///app.db"))
session = scoped_session(sessionmaker(engine))


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str | None]


settings: dict[str, Any] = {
    "SOCIAL_AUTH_BITBUCKET_SERVER_URL": os.environ["BITBUCKET_URL"],
    "SOCIAL_AUTH_BITBUCKET_SERVER_KEY": "my-application",
    "SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY_FILE": "bitbucket.pem",
    "SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN": ORIGIN,
}
logins = Logins(settings, make_storage(Base, User, session))
Base.metadata.create_all(engine)


async def in_thread(work: Callable[[], Any]) -> Any:
    """Wait for the database and Bitbucket outside the event loop."""

    def run() -> Any:
        try:
            return work()
        finally:
            session.remove()

    return await run_in_threadpool(run)


async def home(request: Request) -> Response:
    user = await in_thread(lambda: session.get(User, request.session.get("user_id", 0)))
    if user is not None:
        return HTMLResponse(f"<!doctype html><title>Home</title><p>Hello {escape(user.username)}</p>")
    return HTMLResponse(
        f"""<!doctype html><title>Home</title>
        <form method="post" action="/login/bitbucket-server/">
        <input type="hidden" name="form_token" value="{form_token(request.session)}">
        <button>Log in with Bitbucket</button>
        </form>"""
    )


async def begin(request: Request) -> Response:
    form = parse_qsl((await request.body()).decode(errors="replace"))
    check_form_token(request.session, dict(form).get("form_token"), request.headers.get("Sec-Fetch-Site"))
    address = await in_thread(lambda: logins.begin(Visit(request.session, form), CALLBACK))
    return RedirectResponse(address, 303)


async def complete(request: Request) -> Response:
    if request.method == "HEAD":  # Starlette routes it here, and it would use up the login
        return Response(status_code=405, headers={"Allow": "GET"})

    def log_in(user: User) -> None:
        request.session.clear()
        request.session["user_id"] = user.id

    visit = Visit(request.session, request.query_params.multi_items())
    return RedirectResponse(await in_thread(lambda: logins.complete(visit, CALLBACK, log_in)), 303)


async def show_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, SocialAuthBaseException)
    page = error_page(error)
    return Response(page.body, page.status, dict(page.headers))


app = Starlette(
    routes=[
        Route("/", home),
        Route("/login/bitbucket-server/", begin, methods=["POST"]),
        Route(CALLBACK, complete),
    ],
    middleware=[
        Middleware(SessionMiddleware, secret_key=os.environ["SECRET_KEY"], https_only=ORIGIN.startswith("https:"))
    ],
    exception_handlers={SocialAuthBaseException: show_error},
)
