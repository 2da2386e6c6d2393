"""OAuth 1, OAuth 2, and the upgrade from one to the other."""

from __future__ import annotations

import pytest

from social_bitbucket_server.backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from social_bitbucket_server.organizations import OAuth, OAuthVersions

OAUTH1 = OAuthVersions(is_oauth1_ended=False, has_client_credentials=False)
UPGRADE = OAuthVersions(is_oauth1_ended=False, has_client_credentials=True)
OAUTH2 = OAuthVersions(is_oauth1_ended=True, has_client_credentials=True)
NEW_OAUTH2 = OAuthVersions(is_oauth1_ended=True, has_client_credentials=False)


@pytest.mark.parametrize(
    ("versions", "usable", "is_upgrade_begun"),
    [
        (OAUTH1, (OAuth.ONE,), False),
        (UPGRADE, (OAuth.ONE, OAuth.TWO), True),
        (OAUTH2, (OAuth.TWO,), False),
        (NEW_OAUTH2, (), False),
    ],
)
def test_the_version_that_is_known_to_work_comes_first(
    versions: OAuthVersions, usable: tuple[OAuth, ...], is_upgrade_begun: bool
) -> None:
    assert versions.usable == usable
    assert versions.is_upgrade_begun is is_upgrade_begun
    assert versions.is_tried(OAuth.TWO) is is_upgrade_begun
    assert not versions.is_tried(OAuth.ONE)


@pytest.mark.parametrize(
    ("versions", "wanted", "oauth"),
    [
        (OAUTH1, None, OAuth.ONE),
        (OAUTH1, "1", OAuth.ONE),
        (OAUTH1, "2", None),
        (UPGRADE, None, OAuth.ONE),
        (UPGRADE, "2", OAuth.TWO),
        (OAUTH2, None, OAuth.TWO),
        (OAUTH2, "1", None),
        (NEW_OAUTH2, None, None),
        (UPGRADE, "3", None),
        (UPGRADE, "", None),
    ],
)
def test_a_login_goes_by_the_wanted_version_if_people_can_use_it(
    versions: OAuthVersions, wanted: str | None, oauth: OAuth | None
) -> None:
    assert versions.choose(wanted) is oauth


@pytest.mark.parametrize(
    ("versions", "has_key_pair", "can_go_back"),
    [
        (OAUTH1, True, False),
        (UPGRADE, True, True),
        (OAUTH2, True, True),
        (OAUTH2, False, False),
        (NEW_OAUTH2, True, False),
    ],
)
def test_going_back_needs_both_versions(versions: OAuthVersions, has_key_pair: bool, can_go_back: bool) -> None:
    assert versions.can_go_back(has_key_pair=has_key_pair) is can_go_back


def test_each_version_has_a_backend() -> None:
    assert OAuth.ONE.backend == BitbucketServerOAuth1.name
    assert OAuth.TWO.backend == BitbucketServerOAuth2.name
