"""Many organizations in a Flask application, each with integrations of its own: pages, login links, and commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from flask import Blueprint, Flask
from social_core.exceptions import SocialAuthBaseException
from social_core.utils import setting_name
from werkzeug.routing import IntegerConverter, Map

from ...backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from ...integration import BACKENDS, SettingsOf, UnsafeConfigurationError, configured_backend
from ...login import HostCheck
from ...organizations import Limited, News
from ...sqlalchemy.organizations import OrganizationModels, Store
from ..extension import configure
from . import (
    account,
    browser_session,
    commands,
    configuration,
    errors,
    events,
    integrations,
    key_pair,
    login,
    login_link,
    navigation,
    oauth2,
    onboarding,
    organization,
    people,
    pipeline,
    recording,
    setup,
    templating,
    who,
)
from .app_settings import AppSettings
from .current import EXTENSION
from .requests import keep_private, refuse_foreign_forms

_BELOW_THE_PREFIX = (
    (organization.blueprint, ""),
    (login.blueprint, "/login"),
    (account.blueprint, "/account"),
    (integrations.blueprint, "/settings"),
    (people.blueprint, "/settings/people"),
    (events.blueprint, "/settings/events"),
    (login_link.blueprint, "/settings/login"),
    (configuration.blueprint, "/settings/configuration"),
    (onboarding.adding, "/settings/integrations/add"),
    (onboarding.blueprint, "/settings/integrations/<integration>"),
    (key_pair.blueprint, "/settings/integrations/<integration>/key-pair"),
    (oauth2.blueprint, "/settings/integrations/<integration>/oauth2"),
    (setup.of_an_integration, "/settings/integrations/<integration>"),
    (who.blueprint, "/settings/integrations/<integration>"),
)


class RowNumber(IntegerConverter):
    """A number that a row can have. No page is at a larger one: databases refuse to be asked for it."""

    def __init__(self, url_map: Map, **options: Any) -> None:
        super().__init__(url_map, max=2**31 - 1, **options)


class Organizations:
    """Adds organizations that let their people log in with their own Bitbucket Server to *app*.

    *models* are what :func:`~social_bitbucket_server.sqlalchemy.organizations.organization_models` returns. Flask-Login
    says who is logged in. All pages are below *url_prefix*, in which ``<slug>`` is the organization's; set-up links are
    below ``/setup/``, and logins come back below ``/complete/``.

    The application's own rules are functions. Those with *organization* get one of the application's own:

    - *may_administer(organization)*: whether the person who is logged in may change its integrations.
    - *may_log_in(organization)*: whether anybody may log in there now; ``None`` for always. If not, it has no pages.
    - *belongs_to(user, organization)*: whether a user is one of its people. ``None`` for those who log in through it.
    - *may_connect(user, organization)*: whether a user may connect a further Bitbucket account; ``None`` for all who
      belong to it.
    - *new_person(organization, details)*: returns a new user for the first login of somebody; ``None`` fills the
      attributes that the class of users has: ``username``, ``email``, ``name``, ``organization`` and so on.
    - *update_person(user, details, username_before)*: takes over what Bitbucket says at a later login.
    - *name_of(user)*: what the user is called on pages; ``None`` takes ``display_name``, ``name``, ``username`` or the
      like.
    - *forget(users)*: is called with those who have no way to log in any more, because the integration is deleted.
    - *limit(what, key)*: is told what somebody is about to do (:class:`Limited`), and raises to refuse it, such as
      ``werkzeug.exceptions.TooManyRequests``. ``None`` for no limits.
    - *next_page(organization, wanted)*: returns the address to go to after a login; *wanted* may be ``None`` and comes
      from the browser. ``None`` takes local addresses, or else the setting ``LOGIN_REDIRECT_URL``.
    - *admin_login(organization)*: the address, without a query, at which admins log in without Bitbucket, shown on the
      login page. It gets ``next``, the page that was wanted, in the query.

    *start_page* is the address of the application's own start page, to which error pages lead. A login is over after
    *longest_login*, or after *longest_pause* between two requests.

    Raises :class:`~social_bitbucket_server.integration.UnsafeConfigurationError` that names the setting, or says what
    SQLite needs.
    """

    def __init__(
        self,
        app: Flask,
        models: OrganizationModels,
        *,
        may_administer: Callable[[Any], bool],
        url_prefix: str = "/o/<slug>",
        may_log_in: Callable[[Any], bool] | None = None,
        belongs_to: Callable[[Any, Any], bool] | None = None,
        may_connect: Callable[[Any, Any], bool] | None = None,
        new_person: Callable[[Any, Mapping[str, Any]], Any] | None = None,
        update_person: Callable[[Any, Mapping[str, Any], str], None] | None = None,
        name_of: Callable[[Any], str] | None = None,
        forget: Callable[[Sequence[Any]], None] | None = None,
        limit: Callable[[Limited, str], None] | None = None,
        next_page: Callable[[Any, str | None], str] | None = None,
        admin_login: Callable[[Any], str] | None = None,
        start_page: str = "/",
        longest_login: timedelta = timedelta(hours=12),
        longest_pause: timedelta = timedelta(hours=1),
    ) -> None:
        self.settings = AppSettings.read(app)
        self.store: Store = Store(
            models,
            keys=self.settings.keys,
            outbound=self.settings.outbound,
            record=recording.record,
            limits=self.settings.limits,
            role_names=self.settings.role_names,
            may_log_in=may_log_in,
            belongs_to=belongs_to,
            may_connect=may_connect,
            new_person=new_person,
            update_person=update_person,
            name_of=name_of,
            forget=forget,
        )
        self.may_administer = may_administer
        self.limit = limit or (lambda _what, _key: None)
        self.next_page = next_page or navigation.local_page
        self.admin_login = admin_login
        self.start_page = start_page
        self.longest_login = longest_login
        self.longest_pause = longest_pause
        self.news = News()
        app.extensions[EXTENSION] = self
        recording.set_up(app)
        self._set_up_logins(app)
        app.url_map.converters["bitbucket_row"] = RowNumber
        app.register_blueprint(_pages(url_prefix))
        app.before_request(browser_session.end_if_over)
        templating.set_up(app)
        app.cli.add_command(commands.group)
        with app.app_context():
            self.store.refuse_unsafe_database()
            models.session().close()

    def _set_up_logins(self, app: Flask) -> None:
        integrations_by_oauth = {
            BitbucketServerOAuth1.name: self.store.integrations.for_login,
            BitbucketServerOAuth2.name: self.store.integrations.for_oauth2_login,
        }
        for backend, find in integrations_by_oauth.items():
            settings = SettingsOf(backend, app.config)
            app.config[settings.own_name("INTEGRATIONS")] = login.looking_up(find)
            app.config.setdefault(settings.own_name("PIPELINE"), pipeline.STEPS)
            app.config[settings.own_name("ON_EVENT")] = None  # told by the recording, of these events and all others
        accepted = SettingsOf(BitbucketServerOAuth1.name, app.config).own_name("PENDING_KEY_ACCEPTED")
        app.config[accepted] = self.store.key_rotation.promote_after_a_login
        app.config.setdefault(setting_name("LOGIN_REDIRECT_URL"), "/")
        configure(app, self.store.models.storage)
        setting = setting_name("AUTHENTICATION_BACKENDS")
        for backend, path in BACKENDS.items():  # people can log in by both, because each organization chooses one
            try:
                configured_backend(app.config[setting], backend)
            except SocialAuthBaseException:
                raise UnsafeConfigurationError(f"Add {path} to {setting}, or leave that setting out.") from None
        app.wsgi_app = HostCheck(app.wsgi_app)  # type: ignore[method-assign]  # as Flask documents it


def _pages(url_prefix: str) -> Blueprint:
    """Return all pages as one blueprint, with their looks."""
    pages = Blueprint(
        "bitbucket", __name__, template_folder="templates", static_folder="static", static_url_path="/bitbucket-server"
    )
    for blueprint, path in _BELOW_THE_PREFIX:
        pages.register_blueprint(blueprint, url_prefix=url_prefix + path)
    pages.register_blueprint(setup.blueprint, url_prefix="/setup/<token>")
    pages.register_blueprint(login.callbacks)
    pages.before_request(refuse_foreign_forms)
    pages.after_request(keep_private)
    errors.handle_errors(pages)
    return pages
