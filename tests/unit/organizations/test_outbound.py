"""What an operator allows the servers of organizations: base URLs, addresses and proxies by an organization's id."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from social_bitbucket_server.integration import ConnectTo
from social_bitbucket_server.organizations import Outbound
from social_bitbucket_server.problems import BitbucketServerError

LISTED = Outbound(
    private_networks={
        "17": (ip_network("10.20.0.0/16"), ip_network("10.30.0.0/16")),
        "*": (ip_network("192.168.7.0/24"),),
    }
)
PROXIED = Outbound(
    proxies={"17": {"https": "http://acme-proxy:3128"}, "*": {"all": "http://user:hunter2@proxy:3128"}, "23": {}}
)
TEST = Outbound(test_addresses=frozenset({ip_address("127.0.0.1"), ip_address("::1")}))


@pytest.mark.parametrize(
    ("organization", "address", "is_permitted"),
    [
        ("17", "10.20.1.5", True),
        ("17", "10.30.1.5", True),
        ("17", "192.168.7.1", True),
        ("23", "192.168.7.1", True),
        ("23", "10.20.1.5", False),
        ("17", "10.40.1.5", False),
        ("17", "127.0.0.1", False),
        ("17", "93.184.216.34", True),
    ],
)
def test_private_networks_are_those_of_the_organization_and_of_all(
    organization: str, address: str, is_permitted: bool
) -> None:
    assert LISTED.address_policy(organization).permits(ip_address(address)) is is_permitted


def test_private_networks_and_addresses_for_tests_are_closed_by_default() -> None:
    policy = Outbound().way_out("17").address_policy
    assert not policy.permits(ip_address("10.20.1.5"))
    assert not policy.permits(ip_address("127.0.0.1"))


@pytest.mark.parametrize(
    ("base_url", "outbound", "is_allowed"),
    [
        ("https://bitbucket.acme.example", Outbound(), True),
        ("http://bitbucket.acme.example", Outbound(), False),
        ("http://bitbucket.acme.example", Outbound(plain_http_hosts=frozenset({"bitbucket.acme.example"})), True),
        ("http://bitbucket.acme.example", Outbound(plain_http_hosts=frozenset({"other.example"})), False),
        ("https://bitbucket.acme.example:80", Outbound(), False),
        ("http://127.0.0.1:7990", Outbound(), False),
        ("http://127.0.0.1:45678", TEST, True),
        ("http://[::1]:45678", TEST, True),
        ("http://127.0.0.2:7990", TEST, False),
        ("https://10.20.1.5", LISTED, False),
    ],
)
def test_a_base_url_is_one_that_the_operator_allows(base_url: str, outbound: Outbound, is_allowed: bool) -> None:
    way_out = outbound.way_out("17")
    if is_allowed:
        assert str(way_out.server(base_url).url) == base_url
        return
    with pytest.raises(BitbucketServerError) as caught:
        way_out.server(base_url)
    assert caught.value.code == "invalid_base_url"


@pytest.mark.parametrize(
    ("outbound", "organization", "proxies"),
    [
        (PROXIED, "17", {"https": "http://acme-proxy:3128"}),
        (PROXIED, "18", {"all": "http://user:hunter2@proxy:3128"}),
        (PROXIED, "23", {}),
        (Outbound(), "17", {}),
    ],
)
def test_an_organizations_own_proxies_stand_in_place_of_those_for_all(
    outbound: Outbound, organization: str, proxies: dict[str, str]
) -> None:
    assert outbound.way_out(organization).proxies == proxies


def test_the_password_of_a_proxy_is_not_shown() -> None:
    way_out = PROXIED.way_out("18")
    for shown in (PROXIED, way_out, way_out.server("https://bitbucket.acme.example")):
        assert "hunter2" not in repr(shown)


def test_a_server_is_reached_as_the_operator_and_its_row_say() -> None:
    outbound = Outbound(proxies={"*": {"all": "http://proxy:3128"}}, verify="/etc/ca.pem", timeout=3.0)
    server = outbound.way_out("17").server(
        "https://bitbucket.acme.example",
        connect_to="bitbucket.internal.example:8443",
        client_certificate="certificate",
        client_key="key",
    )
    assert (server.verify, server.timeout, server.proxies) == ("/etc/ca.pem", 3.0, {"all": "http://proxy:3128"})
    assert server.connect_to == ConnectTo("bitbucket.internal.example", 8443)
    assert (server.client_certificate, server.client_key) == ("certificate", "key")
    assert server.address_policy == outbound.address_policy("17")


def test_connections_go_only_where_base_urls_may() -> None:
    with pytest.raises(BitbucketServerError) as caught:
        Outbound().way_out("17").server("https://bitbucket.acme.example", connect_to="10.20.1.5:443")
    assert caught.value.code == "connect_to_invalid"
