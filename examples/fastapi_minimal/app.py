"""Log in with one Bitbucket Server in FastAPI."""

import os
from html import escape
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from starlette.middleware.sessions import SessionMiddleware

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
app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=os.environ["SECRET_KEY"], https_only=ORIGIN.startswith("https:"))
app.routes.extend(bitbucket.routes)


@app.get("/", response_class=HTMLResponse)
def home(request: Request, user: Annotated[User | None, Depends(bitbucket.current_user)]) -> str:
    if user is None:
        return bitbucket.button(request)
    return f"Hello {escape(user.username)}{bitbucket.log_out_button(request)}"


@app.get("/me")
def me(user: Annotated[User, Depends(bitbucket.user_or_401)]) -> dict[str, str | None]:
    return {"username": user.username, "email": user.email}
