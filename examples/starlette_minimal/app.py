"""Log in with one Bitbucket Server in Starlette."""

import os
from html import escape
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from social_bitbucket_server.sqlalchemy import make_storage
from social_bitbucket_server.starlette import BitbucketServer

ORIGIN = os.environ.get("ORIGIN", "http://127.0.0.1:8000")

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
bitbucket = BitbucketServer(settings, make_storage(Base, User, session), teardown=session.remove)
Base.metadata.create_all(engine)


async def home(request: Request) -> HTMLResponse:
    user = await bitbucket.current_user(request)
    if user is None:
        return HTMLResponse(bitbucket.button(request))
    return HTMLResponse(f"Hello {escape(user.username)}{bitbucket.log_out_button(request)}")


app = Starlette(
    routes=[Route("/", home), *bitbucket.routes],
    middleware=[
        Middleware(SessionMiddleware, secret_key=os.environ["SECRET_KEY"], https_only=ORIGIN.startswith("https:"))
    ],
)
