"""A plain Flask application as the rows want it: many integrations, with the package's own routes and pages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

import flask_login
from flask import Flask, render_template_string
from social_core.exceptions import SocialAuthBaseException
from social_core.strategy import BaseStrategy

from social_bitbucket_server.backends import BitbucketServerOAuth1
from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.flask import BitbucketServer, FlaskStrategy, show_error
from tests.security.failures import failure
from tests.security.storage_world import ACCOUNT, LOGIN_PAGE, Integrations, StorageWorld, make_people, settings
from tests.security.world import Ingredients, Place, Serving


class FlaskWorld(StorageWorld):
    """The application with the package's strategy for Flask."""

    strategy: ClassVar[type[BaseStrategy[Any]]] = FlaskStrategy

    def start_with(self, settings: dict[str, Any]) -> None:
        app = Flask(__name__)
        app.config.update(settings, SECRET_KEY="s" * 64)
        BitbucketServer(app, self.people.storage)

    def backend(self, place: Place) -> BitbucketServerOAuth1[Any]:
        with self.serving.app.app_context():
            return BitbucketServerOAuth1(FlaskStrategy(self.people.storage), place.callback())


@contextlib.contextmanager
def start(made_of: Ingredients) -> Iterator[FlaskWorld]:
    """The application on a socket."""
    ring = KeyRing.generate()
    people, integrations = make_people(made_of.database_url), Integrations(ring)
    app = Flask(__name__)
    app.config.update(settings(integrations.find), SECRET_KEY="s" * 64, SESSION_COOKIE_SAMESITE="Lax")
    BitbucketServer(app, people.storage)
    users = flask_login.LoginManager(app)
    users.user_loader(lambda user_id: people.session.get(people.user_class, int(user_id)))
    app.teardown_appcontext(lambda _: people.session.remove())
    app.add_url_rule(LOGIN_PAGE, "home", lambda: render_template_string("{{ bitbucket_server_button() }}"))
    app.add_url_rule(ACCOUNT, "account", flask_login.login_required(lambda: flask_login.current_user.username))
    world = FlaskWorld(people=people, integrations=integrations, made_of=made_of, serving=Serving(app), **made_of.world)
    world.canaries.values.add(ring.partition(":")[2])

    def tell(error: SocialAuthBaseException) -> Any:
        world.audit.append(failure(error))
        return show_error(error)

    app.register_error_handler(SocialAuthBaseException, tell)
    yield world
