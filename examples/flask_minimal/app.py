"""Log in with one Bitbucket Server: the README's application."""

import os

from flask import Flask, render_template_string
from flask_login import LoginManager, UserMixin
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from social_bitbucket_server.flask import BitbucketServer
from social_bitbucket_server.sqlalchemy import make_storage

engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///app.db"))
session = scoped_session(sessionmaker(engine))


class Base(DeclarativeBase): ...


class User(Base, UserMixin):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)


app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
app.config["SOCIAL_AUTH_BITBUCKET_SERVER_URL"] = os.environ["BITBUCKET_URL"]
app.config["SOCIAL_AUTH_BITBUCKET_SERVER_KEY"] = "my-application"
app.config["SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY_FILE"] = "bitbucket.pem"
BitbucketServer(app, make_storage(Base, User, session))
LoginManager(app).user_loader(lambda user_id: session.get(User, int(user_id)))
app.teardown_appcontext(lambda error: session.remove())
Base.metadata.create_all(engine)


@app.get("/")
def home():
    page = "{{ 'Hello ' + current_user.username if current_user.is_authenticated else bitbucket_server_button() }}"
    return render_template_string(page)
