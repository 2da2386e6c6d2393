"""The trial login names what a check-up without a person cannot see: the last steps, up to the profile."""

from __future__ import annotations

import re
from collections.abc import Callable
from unittest.mock import Mock

import pytest

from social_bitbucket_server.problems import BitbucketServerError, Code
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.transport.bulkhead import Bulkhead
from tests.capabilities import capability
from tests.flow.test_oauth2 import link_oauth2, prepare_upgrade
from tests.visitor import Page, Visitor


def try_login(owner: Visitor, path: str, sandbox: Sandbox, user: str = "jane", **fields: str) -> Page:
    """The whole way; returns the page that shows what came of it."""
    begun = owner.post(f"{path}/try", path, **fields)
    return owner.get(owner.get(sandbox.authorize(begun.location, user=user)).location)


def after_the_beginning(owner: Visitor, path: str, sandbox: Sandbox, change: Callable[[], object], **more: str) -> Page:
    begun = owner.post(f"{path}/try", path, **more)
    back = sandbox.authorize(begun.location, user="jane")
    change()
    return owner.get(owner.get(back).location)


@capability("trial login")
@pytest.mark.parametrize(
    ("faults", "sentence"),
    [
        ({"user_headers_removed": True, "whoami_closed": True}, "Bitbucket did not say who logged in."),
        ({"server_error": True, "only_path": "/access-token"}, "The Bitbucket Server reported an error of its own."),
        ({"interception": "page", "only_path": "/rest/"}, "Something in front of Bitbucket asks to log in."),
        ({"rate_limited": True, "only_path": "/users"}, "The Bitbucket Server limits our requests."),
        ({"seen_scheme": "https"}, "Bitbucket could not verify the signature."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_what_fails_on_the_way_back_is_found_by_its_right_name(
    owner: Visitor, acme: str, sandbox: Sandbox, faults: dict[str, object], sentence: str
) -> None:
    page = after_the_beginning(owner, acme, sandbox, lambda: sandbox.faults.update(faults))
    assert f"Trial login : failed {sentence}" in page.words
    assert "What to do" in page.words
    assert re.search(r"Reference [0-9A-F]{8}", page.words)


def test_who_declined_can_try_again_at_once(owner: Visitor, acme: str, sandbox: Sandbox) -> None:
    begun = owner.post(f"{acme}/try", acme)
    page = owner.get(owner.get(sandbox.authorize(begun.location, allow=False)).location)
    assert "Access was declined in Bitbucket." in page.words
    assert f'action="{acme}/try"' in page.text
    origin = sandbox.url.removesuffix("/bitbucket")
    assert f"form-action 'self' {origin};" in page.headers["Content-Security-Policy"]


def test_who_cannot_mend_it_is_not_asked_to_try_again(owner: Visitor, acme: str, sandbox: Sandbox) -> None:
    page = after_the_beginning(owner, acme, sandbox, lambda: sandbox.faults.update({"seen_scheme": "https"}))
    assert f'action="{acme}/test"' in page.text
    assert f'action="{acme}/try"' not in page.text
    assert "form-action 'self';" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("fault", ["user_headers_removed", "whoami_closed"])
def test_of_two_ways_to_ask_who_it_is_one_is_enough(owner: Visitor, acme: str, sandbox: Sandbox, fault: str) -> None:
    sandbox.faults.update({fault: True})
    assert "Bitbucket says that you are Jane Doe." in try_login(owner, acme, sandbox).words


def test_a_trial_that_found_no_room_at_the_server_can_come_back(
    owner: Visitor, acme: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = sandbox.authorize(owner.post(f"{acme}/try", acme).location, user="jane")
    with monkeypatch.context() as full:
        full.setattr(Bulkhead, "enter", Mock(side_effect=BitbucketServerError(Code.SERVER_BUSY)))
        refused = owner.get(address)
    assert (refused.status, refused.headers["Refresh"]) == (503, "5")
    assert "Bitbucket says that you are Jane Doe." in owner.get(owner.get(address).location).words


def test_a_service_account_is_named(owner: Visitor, acme: str, sandbox: Sandbox) -> None:
    page = try_login(owner, acme, sandbox, user="build-bot")
    assert "This Bitbucket account is not a person's." in page.words


def test_an_account_that_was_disabled_is_named(owner: Visitor, acme: str, sandbox: Sandbox) -> None:
    page = after_the_beginning(owner, acme, sandbox, lambda: sandbox.users.disable("jane"))
    assert "This Bitbucket account cannot be used to log in." in page.words
    assert "Ask your Bitbucket admin to enable the account." in page.words


@pytest.mark.parametrize(
    ("faults", "sentence"),
    [
        ({"codes_expired": True}, "Bitbucket does not accept the login's code."),
        (
            {"client_secret_refused": True},
            "Bitbucket does not know the client ID, or the client secret is another one.",
        ),
    ],
    ids=["codes_expired", "client_secret_refused"],
)
def test_the_faults_of_oauth_2_are_found_by_their_right_names(
    owner: Visitor, acme: str, sandbox: Sandbox, faults: dict[str, object], sentence: str
) -> None:
    sandbox.faults.version = "8.19.0"
    prepare_upgrade(owner, acme, sandbox)
    page = after_the_beginning(owner, acme, sandbox, lambda: sandbox.faults.update(faults), oauth="2")
    assert f"failed {sentence}" in page.words


@pytest.mark.parametrize(
    ("faults", "sentence"),
    [
        (
            {"client_secret_refused": True},
            "Bitbucket does not know the client ID, or the client secret is another one.",
        ),
        ({"version": "7.6.0"}, "This version of Bitbucket does not offer OAuth 2."),
    ],
    ids=["client_secret_refused", "version"],
)
def test_the_test_of_the_connection_names_what_is_wrong_with_oauth_2(
    owner: Visitor, other_sandbox: Sandbox, faults: dict[str, object], sentence: str
) -> None:
    path = owner.add_integration("acme", other_sandbox.url, "Other")
    link = link_oauth2(owner, path, other_sandbox)
    owner.post(f"{path}/oauth2", client_id=link.client_id, client_secret=link.client_secret)
    other_sandbox.faults.update(faults)
    page = owner.post(f"{path}/test", path, oauth="2")
    assert f"Credentials : failed {sentence}" in page.words
