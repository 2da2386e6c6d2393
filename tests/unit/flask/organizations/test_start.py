"""Tests of what keeps an application with organizations from starting."""

from __future__ import annotations

import pytest

from social_bitbucket_server.flask import logins
from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.integration import BACKENDS, UnsafeConfigurationError
from tests.unit.flask.organizations.conftest import AppMaker

ONE = "social_bitbucket_server.backends.BitbucketServerOAuth1"
TWO = "social_bitbucket_server.backends.BitbucketServerOAuth2"


@pytest.mark.parametrize(("given", "missing"), [(ONE, TWO), (TWO, ONE)])
def test_a_backend_that_is_missing_is_named(make_app: AppMaker, given: str, missing: str) -> None:
    with pytest.raises(UnsafeConfigurationError, match=f"^Add {missing} to SOCIAL_AUTH_AUTHENTICATION_BACKENDS"):
        make_app(SOCIAL_AUTH_AUTHENTICATION_BACKENDS=[given])


def test_what_cannot_be_told_of_events_is_refused(make_app: AppMaker) -> None:
    with pytest.raises(UnsafeConfigurationError, match=r"^Mend SOCIAL_AUTH_ON_EVENT: It is a function"):
        make_app(SOCIAL_AUTH_ON_EVENT=5)


def test_roles_that_are_no_list_of_names_are_refused(make_app: AppMaker) -> None:
    setting = "SOCIAL_AUTH_BITBUCKET_SERVER_ORGANIZATION_ROLES"
    with pytest.raises(UnsafeConfigurationError, match=f"{setting}: It is a list of the names"):
        make_app(**{setting: "editor"})


def test_limits_on_slow_servers_hold_for_logins_by_both_oauths_and_for_tests(make_app: AppMaker) -> None:
    app = make_app(SOCIAL_AUTH_BITBUCKET_SERVER_SLOW_STEPS=7)
    with app.test_request_context():
        limits = [*(logins.backend_of(name).limits for name in BACKENDS), store.limits]
    assert [limit.slow_steps for limit in limits if limit is not None] == [7, 7, 7]


def test_both_backends_are_enough(make_app: AppMaker) -> None:
    assert make_app(SOCIAL_AUTH_AUTHENTICATION_BACKENDS=[ONE, TWO]).url_map


def test_the_configuration_does_not_show_the_password_of_a_proxy(make_app: AppMaker) -> None:
    proxies = "*=http://user:hunter2@proxy:3128"
    app = make_app(SOCIAL_AUTH_BITBUCKET_SERVER_PROXIES=proxies)
    assert app.config["SOCIAL_AUTH_BITBUCKET_SERVER_PROXIES"] == proxies
    assert "hunter2" not in repr(app.config)
