"""Ways into an organization: open, closed, replaced, and one integration that is enforced."""

from __future__ import annotations

import pytest

from social_bitbucket_server.organizations import ClosedBy, LoginWays


@pytest.mark.parametrize(
    ("ways", "closed_by"),
    [
        (LoginWays(), None),
        (LoginWays(is_closed=True), ClosedBy.LOGIN_LINK),
        (LoginWays(enforced="acme"), None),
        (LoginWays(enforced="other"), ClosedBy.ENFORCEMENT),
        (LoginWays(is_closed=True, enforced="acme"), ClosedBy.LOGIN_LINK),
        (LoginWays(is_closed=True, enforced="other"), ClosedBy.LOGIN_LINK),
    ],
)
def test_a_way_is_closed_by_the_login_link_or_by_another_integration(
    ways: LoginWays, closed_by: ClosedBy | None
) -> None:
    assert ways.closed_by("acme") is closed_by


def test_a_closed_login_link_shuts_no_integration_out() -> None:
    assert not LoginWays(is_closed=True).is_shut_out("acme")
    assert LoginWays(enforced="other").is_shut_out("acme")


@pytest.mark.parametrize(
    ("key", "given", "is_current"),
    [
        ("", "", True),
        ("", "old", True),
        ("new", "", False),
        ("new", "old", False),
        ("new", "new", True),
        ("new", "né", False),
    ],
)
def test_a_replaced_login_link_is_not_current(key: str, given: str, is_current: bool) -> None:
    assert LoginWays(key=key).is_current_link(given) is is_current
