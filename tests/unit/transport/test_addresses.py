import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from social_bitbucket_server.transport import PUBLIC_ONLY, AddressPolicy, addresses
from social_bitbucket_server.transport.addresses import AddressClass, classify
from tests.security.rows import row

NEVER = [
    "0.0.0.0",
    "0.255.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "100.100.100.200",
    "168.63.129.16",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "fd00:ec2::23",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
    "1::1",
    "4000::1",
    "8000::1",
]
PRIVATE = [
    "10.0.0.0",
    "10.255.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "fc00::1",
    "fdff:ffff::1",
]
PUBLIC = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2606:4700:4700::1111",
    "2a00::1",
    "3ffe:ffff::1",
]
ALL = [(text, kind) for texts, kind in ((NEVER, "never"), (PRIVATE, "private"), (PUBLIC, "public")) for text in texts]

IPV4 = st.ip_addresses(v=4)
ANY = st.ip_addresses()


def within(networks):
    return st.sampled_from(networks).flatmap(
        lambda network: st.integers(int(network[0]), int(network[-1])).map(type(network[0]))
    )


@row(72)
@pytest.mark.parametrize(("text", "kind"), ALL)
def test_an_address_has_the_class_of_its_network(text, kind):
    assert classify(ipaddress.ip_address(text)) == kind


@pytest.mark.parametrize(("text", "kind"), [(text, kind) for text, kind in ALL if ":" not in text])
def test_a_mapped_address_has_the_class_of_the_address_in_it(text, kind):
    assert classify(ipaddress.ip_address(f"::ffff:{text}")) == kind


@given(within(addresses._NEVER))
def test_no_address_of_the_networks_that_are_never_reached_is_permitted(address):
    assert classify(address) is AddressClass.NEVER
    assert not PUBLIC_ONLY.permits(address)


@given(ANY)
def test_what_is_public_is_so_for_python_too(address):
    if classify(address) is AddressClass.PUBLIC:
        plain = getattr(address, "ipv4_mapped", None) or address
        assert plain.is_global
        assert not plain.is_multicast


@row(72)
@given(IPV4)
def test_an_ipv4_address_in_ipv6_is_never_more_than_itself(address):
    number = int(address)
    assert classify(ipaddress.IPv6Address(0xFFFF << 32 | number)) is classify(address)
    for prefix in (0, 0x64FF9B << 96, 0xFFFF << 48, 0x64FF9B0001 << 80):
        assert classify(ipaddress.IPv6Address(prefix | number)) is AddressClass.NEVER
    assert classify(ipaddress.IPv6Address(0x2002 << 112 | number << 80)) is AddressClass.NEVER


@given(ANY)
def test_permitted_are_the_public_addresses_and_no_others(address):
    assert PUBLIC_ONLY.permits(address) == (classify(address) is AddressClass.PUBLIC)


LISTED = AddressPolicy(private_networks=(ipaddress.ip_network("10.20.0.0/16"), ipaddress.ip_network("fd12:3456::/32")))


@pytest.mark.parametrize(
    ("text", "permitted"),
    [
        ("10.20.1.5", True),
        ("::ffff:10.20.1.5", True),
        ("10.21.0.0", False),
        ("10.19.255.255", False),
        ("192.168.0.1", False),
        ("fd12:3456::1", True),
        ("fd12:3457::1", False),
        ("127.0.0.1", False),
        ("1.1.1.1", True),
    ],
)
def test_private_networks_are_permitted_one_by_one(text, permitted):
    assert LISTED.permits(ipaddress.ip_address(text)) is permitted


@given(within(addresses._PRIVATE))
def test_a_private_address_is_permitted_only_where_its_network_is(address):
    assert LISTED.permits(address) == any(
        address.version == network.version and address in network for network in LISTED.private_networks
    )


@pytest.mark.parametrize(
    "network",
    [
        "0.0.0.0/0",
        "::/0",
        "127.0.0.0/8",
        "127.0.0.1/32",
        "169.254.0.0/16",
        "169.254.169.254/32",
        "8.0.0.0/8",
        "10.0.0.0/7",
        "172.0.0.0/11",
        "100.64.0.0/10",
        "100.100.100.200/32",
        "fc00::/7",
        "fd00:ec2::/32",
        "fd20:ce::/32",
        "fe80::/10",
        "::ffff:10.0.0.0/104",
        "2000::/3",
    ],
)
def test_no_policy_opens_more_than_private_networks(network):
    parsed = ipaddress.ip_network(network)
    with pytest.raises(ValueError, match=re.escape(str(parsed))):
        AddressPolicy(private_networks=(parsed,))


@pytest.mark.parametrize("network", ["10.0.0.0/8", "172.16.0.0/12", "192.168.7.0/24", "100.64.0.0/11", "fd00::/32"])
def test_private_networks_can_be_allowed(network):
    policy = AddressPolicy(private_networks=(ipaddress.ip_network(network),))
    assert policy.permits(ipaddress.ip_network(network)[1])


def test_a_test_address_is_permitted_alone():
    policy = AddressPolicy(test_addresses=frozenset({ipaddress.ip_address("127.0.0.2")}))
    assert policy.permits(ipaddress.ip_address("127.0.0.2"))
    assert not policy.permits(ipaddress.ip_address("127.0.0.1"))
    assert not policy.permits(ipaddress.ip_address("::ffff:127.0.0.2"))
