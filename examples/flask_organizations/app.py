"""Many organizations, each with its own Bitbucket Server and login link."""

import os

import click
from flask import Flask, abort, redirect, render_template_string, url_for
from flask_login import LoginManager, UserMixin, current_user
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from social_bitbucket_server.flask.organizations import Organizations, log_in, login_link
from social_bitbucket_server.sqlalchemy import set_up_sqlite
from social_bitbucket_server.sqlalchemy.organizations import organization_models

engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///app.db"))
set_up_sqlite(engine)
session = scoped_session(sessionmaker(engine))


class Base(DeclarativeBase): ...


class Organization(Base):
    __tablename__ = "organizations"
    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]


class User(Base, UserMixin):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    is_admin: Mapped[bool] = mapped_column(default=False)


HOUR = 3600
models = organization_models(Base, Organization, User, session)
app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
app.config["SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN"] = os.environ["ORIGIN"]
app.config["SOCIAL_AUTH_BITBUCKET_SERVER_APPLICATION_NAME"] = "My application"
app.config["SOCIAL_AUTH_BITBUCKET_SERVER_KEY_RING"] = os.environ["KEY_RING"]
app.config["SOCIAL_AUTH_BITBUCKET_SERVER_TEST_ADDRESSES"] = os.environ.get("TEST_ADDRESSES", "").split()
LoginManager(app).user_loader(lambda user_id: session.get(User, int(user_id)))
app.teardown_appcontext(lambda error: session.remove())
Organizations(app, models, may_administer=lambda organization: current_user.is_admin)
Base.metadata.create_all(engine)
admin_links = URLSafeTimedSerializer(os.environ["SECRET_KEY"], salt="admin link")


@app.get("/")
def home():
    page = "{% if current_user.is_authenticated %}Hello {{ current_user.username }}{% endif %}"
    return render_template_string(page)


@app.get("/admin/<key>")
def admin(key):
    try:
        slug = admin_links.loads(key, max_age=HOUR)
    except BadSignature:
        abort(404)
    log_in(session.scalar(select(User).where(User.is_admin)))
    return redirect(url_for("bitbucket.integrations.integrations_list", slug=slug))


@app.cli.command("organization")
@click.argument("slug")
def add_organization(slug):
    """Make an organization if it is missing. Print its login link, and one for the administrator that works an hour."""
    organization = session.scalar(select(Organization).where(Organization.slug == slug))
    if organization is None:
        organization = Organization(slug=slug, name=slug.title())
        session.add(organization)
    if session.scalar(select(User).where(User.is_admin)) is None:
        session.add(User(username="administrator", is_admin=True))
    session.commit()
    with app.test_request_context(base_url=os.environ["ORIGIN"]):
        click.echo(f"People log in at {login_link(organization)}")
        click.echo(f"The administrator begins at {url_for('admin', key=admin_links.dumps(slug), _external=True)}")
