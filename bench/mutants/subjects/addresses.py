"""Base URLs, and the IP addresses that they may lead to."""

from __future__ import annotations

from ..mutant import Mutant
from ..subject import Subject
from ..suites import Group

_ADDRESSES = "social_bitbucket_server/transport/addresses.py"
_SERVER_URL = "social_bitbucket_server/integration/server_url.py"

_MUTANTS = (
    Mutant(
        "cloud metadata at its IPv4 address is public",
        _ADDRESSES,
        '    "169.254.0.0/16",\n',
        "",
    ),
    Mutant(
        "the metadata of one cloud counts as a private address",
        _ADDRESSES,
        '    "100.100.100.200/32",\n',
        "",
    ),
    Mutant(
        "the wire server of one cloud is public",
        _ADDRESSES,
        '    "168.63.129.16/32",\n',
        "",
    ),
    Mutant(
        "cloud metadata at its IPv6 address counts as a private address",
        _ADDRESSES,
        '    "fd00:ec2::/32",\n',
        "",
    ),
    Mutant(
        "only one address of the loopback network is this machine",
        _ADDRESSES,
        '"127.0.0.0/8"',
        '"127.0.0.1/32"',
    ),
    Mutant(
        "an IPv4 address that is wrapped in 6to4 is public",
        _ADDRESSES,
        '    "2002::/16",\n',
        "",
    ),
    Mutant(
        "an IPv4 address that is translated into IPv6 is public",
        _ADDRESSES,
        '    "64:ff9b:1::/48",\n',
        "",
    ),
    Mutant(
        "most of a private network counts as public",
        _ADDRESSES,
        '"172.16.0.0/12"',
        '"172.16.0.0/16"',
    ),
    Mutant(
        "IPv6 addresses that are not assigned count as public",
        _ADDRESSES,
        """    if isinstance(address, IPv6Address) and address not in _PUBLIC_IPV6:
        return AddressClass.NEVER
""",
        "",
    ),
    Mutant(
        "an allowed network wins over what is never reached",
        _ADDRESSES,
        """    if _within(address, _NEVER):
        return AddressClass.NEVER
    if _within(address, _PRIVATE):
        return AddressClass.PRIVATE
""",
        """    if _within(address, _PRIVATE):
        return AddressClass.PRIVATE
    if _within(address, _NEVER):
        return AddressClass.NEVER
""",
    ),
    Mutant(
        "an allowed network may be larger than the private network that it is in",
        _ADDRESSES,
        "network.version == own.version and network.subnet_of(own) for own",
        "network.version == own.version and network.overlaps(own) for own",
    ),
    Mutant(
        "an allowed network may contain what is never reached",
        _ADDRESSES,
        """            if any(network.version == never.version and network.overlaps(never) for never in _NEVER):
                raise ValueError(f"{network} overlaps with addresses that are never reached.")
""",
        "",
    ),
    Mutant(
        "a private address that is mapped into IPv6 is refused in an allowed network",
        _ADDRESSES,
        "return _within(_unmapped(address), self.private_networks)",
        "return _within(address, self.private_networks)",
    ),
    Mutant(
        "every private address is allowed where one network is",
        _ADDRESSES,
        "return _within(_unmapped(address), self.private_networks)",
        "return bool(self.private_networks)",
    ),
    Mutant(
        "an empty list of hosts permits every host",
        _SERVER_URL,
        "return hosts is None or host in hosts",
        "return not hosts or host in hosts",
    ),
    Mutant(
        "organizations may enter IP addresses",
        _SERVER_URL,
        "ports=frozenset({443, 8443, 7990}), literal_hosts=frozenset(), single_label_hosts=False",
        "ports=frozenset({443, 8443, 7990}), single_label_hosts=False",
    ),
    Mutant(
        "organizations may enter names without a dot",
        _SERVER_URL,
        "if len(labels) == 1 and not rules.single_label_hosts:",
        "if not labels and not rules.single_label_hosts:",
    ),
    Mutant(
        "a listed host may be used with any port, and not only a listed loopback address",
        _SERVER_URL,
        "return is_loopback(host) and rules.literal_hosts is not None and host in rules.literal_hosts",
        "return rules.literal_hosts is not None and host in rules.literal_hosts",
    ),
    Mutant(
        "an IP address that is written as a number is taken for a name",
        _SERVER_URL,
        """    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        raise _invalid("Its host name looks like a number.")
""",
        "",
    ),
    Mutant(
        "an IP address that is written in hexadecimal is taken for a name",
        _SERVER_URL,
        're.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1])',
        're.fullmatch(r"[0-9]+", labels[-1])',
    ),
    Mutant(
        "a context path may lead upwards",
        _SERVER_URL,
        'if not _SEGMENT.fullmatch(segment) or segment in {".", ".."}:',
        "if not _SEGMENT.fullmatch(segment):",
    ),
    Mutant(
        "the port 65536 is a port",
        _SERVER_URL,
        "not 0 < int(text) < 65536",
        "not 0 < int(text) <= 65536",
    ),
    Mutant(
        "a host whose name begins like this machine's is this machine",
        _SERVER_URL,
        'if host == "localhost":',
        'if host.startswith("localhost"):',
    ),
    Mutant(
        "plain http needs no permission",
        _SERVER_URL,
        'if scheme == "http" and not (is_loopback(host) or _permits(rules.plain_http_hosts, host)):',
        'if scheme == "http" and not (is_loopback(host) or _permits(rules.literal_hosts, host)):',
    ),
    Mutant(
        "a space in a query is sent as a plus",
        _SERVER_URL,
        "urlencode(query, quote_via=quote)",
        "urlencode(query)",
    ),
    Mutant(
        "one server has two base URLs, with and without its scheme's own port",
        _SERVER_URL,
        "None if port == _DEFAULT_PORTS[scheme] else port, _path",
        "port, _path",
    ),
    Mutant(
        "a base URL may hold a query",
        _SERVER_URL,
        '    "?": "a question mark; leave out the query",\n',
        "",
    ),
    Mutant(
        "the group is left out of a search for a person among its members",
        _SERVER_URL,
        """        if group:
            query["group"] = group
""",
        "",
    ),
)

_TESTS = (
    Group(
        (
            "tests/unit/transport/test_addresses.py",
            "tests/unit/integration/test_server_url.py",
            "tests/unit/integration/test_integration.py",
            "tests/unit/integration/test_unsafe.py",
            "tests/unit/account/test_membership.py",
        )
    ),
    Group(
        (
            "tests/flow/transport/test_addresses.py",
            "tests/unit/flask_app/test_config.py",
            "tests/frameworks/django/test_checks.py",
        )
    ),
    Group(("tests/fuzz/test_entered.py", "tests/frameworks/django/test_admin.py"), "url or address or server"),
    Group(
        ("tests/security/test_transport.py",),
        "not django and not flask and not plain",
    ),
)

SUBJECT = Subject("addresses", _MUTANTS, _TESTS)
