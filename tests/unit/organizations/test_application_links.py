"""Names and addresses of application links: no two are alike on one server."""

from __future__ import annotations

import itertools

import pytest

from social_bitbucket_server.organizations import link_name, link_path


@pytest.mark.parametrize(
    ("integration", "link", "path", "name"),
    [
        (1, 1, "/o/acme/", "Packages (Acme)"),
        (1, 2, "/o/acme/i/1/2/", "Packages (Acme, link 2)"),
        (2, 1, "/o/acme/i/2/", "Packages (Acme 2)"),
        (2, 3, "/o/acme/i/2/3/", "Packages (Acme 2, link 3)"),
    ],
)
def test_only_the_first_link_of_the_first_integration_has_the_organizations_own_address(
    integration: int, link: int, path: str, name: str
) -> None:
    assert link_path("/o/acme/", integration=integration, link=link) == path
    assert link_name("Packages", "Acme", integration=integration, link=link) == name


def test_the_link_of_an_upgrade_stands_beside_the_one_for_oauth_1() -> None:
    assert link_name("Packages", "Acme", is_upgrade=True) == "Packages (Acme) OAuth 2"


def test_no_two_links_of_an_organization_are_alike() -> None:
    places = list(itertools.product(range(1, 13), repeat=2))
    assert len({link_path("/", integration=one, link=other) for one, other in places}) == len(places)
    names = {
        link_name("Packages", "Acme", integration=one, link=other, is_upgrade=is_upgrade)
        for one, other in places
        for is_upgrade in (False, True)
    }
    assert len(names) == 2 * len(places)
