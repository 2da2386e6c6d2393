"""The texts and mappings of an operator's rules: what they mean, and what errors say and never show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from social_bitbucket_server.integration import SettingsOf
from social_bitbucket_server.organizations import Ids, read_hosts, read_outbound, read_private_networks, read_proxies
from social_bitbucket_server.organizations.outbound_settings import read_test_addresses
from social_bitbucket_server.problems import BitbucketServerError

IDS = Ids(re.compile(r"[1-9][0-9]{0,9}"), "'flask organizations list' prints the ids.")
NETWORK = "10.20.0.0/16"
PROXY = "http://user:hunter2@proxy:3128"


def networks(given: Any) -> Any:
    return read_private_networks(given, setting="NETWORKS", ids=IDS)


def proxies(given: str) -> Any:
    return read_proxies(given, setting="PROXIES", ids=IDS)


def reason_of(read: Callable[[Any], object], given: object) -> str:
    with pytest.raises(BitbucketServerError) as caught:
        read(given)
    assert caught.value.code == "setting_invalid"
    assert caught.value.setting in {"NETWORKS", "PROXIES"}
    assert "hunter2" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("", {}),
        ("17=10.20.0.0/16", {"17": [NETWORK]}),
        (
            " 17 = 10.20.0.0/16, 10.30.0.0/16 ;; *=fd12::/32; ",
            {"17": [NETWORK, "10.30.0.0/16"], "*": ["fd12::/32"]},
        ),
        ({}, {}),
        ({"17": [NETWORK], "*": ()}, {"17": [NETWORK], "*": []}),
    ],
)
def test_private_networks_are_given_by_id_as_a_text_or_a_mapping(
    given: str | Mapping[str, Iterable[str]], read: dict[str, list[str]]
) -> None:
    assert networks(given) == {name: tuple(map(ip_network, listed)) for name, listed in read.items()}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("17=8.8.8.0/24", "For 17: 8.8.8.0/24 is not within a private network."),
        ("*=10.0.0.0/8,127.0.0.0/8", "For *: 127.0.0.0/8 is not within a private network."),
        ("*=0.0.0.0/0", "0.0.0.0/0"),
        ("*=::/0", "::/0"),
        ("*=169.254.0.0/16", "169.254.0.0/16"),
        ("17=10.20.1.5/16", "10.20.1.5/16 has host bits set"),
        ("17=acme", "acme"),
        ("17=", "For 17:"),
        (f"17={PROXY}", "For 17: one of them is an address of something else."),
        ([NETWORK], "It does not map ids to lists of networks."),
        ({"acme": [NETWORK]}, "acme is not an id. 'flask organizations list' prints the ids."),
        ({17: [NETWORK]}, "17 is not an id."),
        ({"17": NETWORK}, "What 17 has is not a list of networks."),
        ({"17": None}, "What 17 has is not a list of networks."),
        ({"17": [10]}, "For 17: "),
    ],
)
def test_wrong_private_networks_are_refused_by_name(given: object, words: str) -> None:
    assert words in reason_of(networks, given)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("", {}),
        ("17=http://acme-proxy:3128/", {"17": {"all": "http://acme-proxy:3128/"}}),
        (
            f"17=https://[fc00::1]:3128; *={PROXY}",
            {"17": {"all": "https://[fc00::1]:3128"}, "*": {"all": PROXY}},
        ),
        ("*=http://us%40er:hunter2@proxy:3128", {"*": {"all": "http://us%40er:hunter2@proxy:3128"}}),
    ],
)
def test_proxies_are_given_by_id(given: str, read: dict[str, dict[str, str]]) -> None:
    assert proxies(given) == read


@pytest.mark.parametrize(
    "address", ["", "proxy:3128", "http://user:hunter2@proxy", "socks5://user:hunter2@p:1", "http://u@er:hunter2@p:1"]
)
def test_a_wrong_proxy_is_named_by_its_organization_alone(address: str) -> None:
    assert reason_of(proxies, f"17={address}").startswith("The one for 17 is not a scheme, a host and a port")


@pytest.mark.parametrize("entries", ["17={}; acme={}", "17={}; 0={}", "17={}; 017={}", "17={}; ={}", "17={}; {}"])
@pytest.mark.parametrize(("read", "value"), [(networks, NETWORK), (proxies, PROXY)])
def test_what_is_no_id_is_refused_and_not_shown(read: Callable[[Any], object], entries: str, value: str) -> None:
    reason = reason_of(read, entries.replace("{}", value))
    assert reason.startswith("Entry 2 does not begin with an id and =. 'flask organizations list' prints the ids.")
    assert value not in reason


@pytest.mark.parametrize("organization", ["17", "*"])
@pytest.mark.parametrize(("read", "value"), [(networks, NETWORK), (proxies, PROXY)])
def test_two_entries_of_one_organization_are_refused(
    read: Callable[[Any], object], organization: str, value: str
) -> None:
    given = f"{organization}={value}; {organization} = {value}"
    assert reason_of(read, given) == f"It has two entries for {organization}; put them together."


def test_hosts_are_compared_in_lower_case() -> None:
    assert read_hosts(["BB.acme.test", "other.test"], setting="HOSTS") == {"bb.acme.test", "other.test"}


def test_test_addresses_are_single_addresses() -> None:
    read = read_test_addresses(["127.0.0.1", "::1"], setting="ADDRESSES")
    assert read == {ip_address("127.0.0.1"), ip_address("::1")}


@pytest.mark.parametrize(
    ("read", "given", "words"),
    [
        (read_hosts, "bitbucket.test.example", "It is a list of hosts"),
        (read_hosts, 5, "It is a list of hosts"),
        (read_test_addresses, "127.0.0.1", "It is a list of IP addresses"),
        (read_test_addresses, 5, "It is a list of IP addresses"),
        (read_test_addresses, ["localhost"], "'localhost' does not appear to be an IPv4 or IPv6 address."),
        (read_test_addresses, ["127.0.0.0/8"], "127.0.0.0/8"),
    ],
)
def test_what_is_no_list_of_hosts_or_addresses_is_refused(read: Any, given: object, words: str) -> None:
    with pytest.raises(BitbucketServerError) as caught:
        read(given, setting="ITS_NAME")
    assert caught.value.setting == "ITS_NAME"
    assert caught.value.reason.startswith(words) or words in caught.value.reason


def test_the_settings_of_an_application_are_rules_for_each_organization() -> None:
    own = "SOCIAL_AUTH_BITBUCKET_SERVER_"
    given = {
        f"{own}PRIVATE_NETWORKS": {"17": [NETWORK], "18": ["10.21.0.0/16"], "*": ["192.168.7.0/24"]},
        f"{own}PROXIES": f"17={PROXY}; *=http://proxy:3128",
        f"{own}REQUESTS_TIMEOUT": 4,
        f"{own}VERIFY_SSL": "/etc/ssl/bundle.pem",
    }
    settings = SettingsOf("bitbucket-server", given)
    outbound = read_outbound(settings, IDS)
    assert outbound.way_out("17").proxies == {"all": PROXY}
    assert outbound.way_out("18").proxies == {"all": "http://proxy:3128"}
    assert (outbound.timeout, outbound.verify) == (4, "/etc/ssl/bundle.pem")
    assert outbound.private_networks.keys() == {"17", "18", "*"}
    assert read_outbound(settings, IDS, only="17").private_networks.keys() == {"17", "*"}


def test_a_mapping_of_proxies_is_for_everybody() -> None:
    settings = SettingsOf("bitbucket-server", {"SOCIAL_AUTH_BITBUCKET_SERVER_PROXIES": {"https": PROXY}})
    assert read_outbound(settings, IDS).way_out("17").proxies == {"https": PROXY}
