import dataclasses
import os
from pathlib import Path

import pytest

from social_bitbucket_server.crypto import Secret
from social_bitbucket_server.integration import BaseURLRules, ConnectTo, Server, ServerURL
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import PUBLIC_ONLY, Route

URL = ServerURL.parse("https://h.example/bitbucket")
PLAIN = ServerURL.parse("http://h.example", BaseURLRules(plain_http_hosts=None))
PROXY = "http://proxy.example:3128"


def test_a_server_is_reached_by_its_base_url_alone_unless_told_otherwise():
    assert Server(URL).route_for("acme") == Route(owner="acme")


def test_the_route_has_everything_that_the_server_is_reached_by():
    shown = {"client_certificate": "certificate", "client_key": Secret("key")}
    way = {"verify": "/etc/ssl/company.pem", "ca_certificates": "pem", "connect_to": ConnectTo("inside.example", 8443)}
    server = Server(URL, proxies={"https": PROXY}, address_policy=PUBLIC_ONLY, **shown, **way)
    assert server.route_for("acme") == Route(policy=PUBLIC_ONLY, proxy=PROXY, owner="acme", **shown, **way)


@pytest.mark.parametrize(
    ("proxies", "chosen"),
    [
        ({}, None),
        ({"http": "other"}, None),
        ({"all": "chosen"}, "chosen"),
        ({"all": "other", "all://h.example": "chosen"}, "chosen"),
        ({"all://h.example": "other", "https": "chosen"}, "chosen"),
        ({"https": "other", "https://h.example": "chosen"}, "chosen"),
        ({"https://h.example": "", "https": "chosen"}, "chosen"),
        ({"https": None}, None),
    ],
)
def test_the_proxy_with_the_most_exact_key_is_used(proxies, chosen):
    assert Server(URL, proxies=proxies).route_for("acme").proxy == chosen


def test_without_tls_a_proxy_cannot_be_told_another_host():
    server = Server(PLAIN, proxies={"http": PROXY}, connect_to=ConnectTo("inside.example", 80))
    with pytest.raises(BitbucketServerError) as caught:
        server.route_for("acme")
    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", "connect_to")


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"verify": False}, "verify"),
        ({"verify": ""}, "verify"),
        ({"verify": 1}, "verify"),
        ({"connect_to": "inside.example:8443"}, "connect_to"),
        ({"proxies": "http://proxy.example"}, "proxies"),
        ({"proxies": {"https": 3128}}, "proxies"),
        ({"timeout": "10"}, "timeout"),
        ({"timeout": (3, 27)}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
    ],
)
def test_a_bad_value_is_refused_by_name(change, parameter):
    with pytest.raises(BitbucketServerError) as caught:
        Server(URL, **change)
    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", parameter)


@pytest.mark.parametrize(
    ("given", "missing"),
    [({"client_certificate": "certificate"}, "client_key"), ({"client_key": "key"}, "client_certificate")],
)
def test_a_client_certificate_and_its_key_are_given_together(given, missing):
    with pytest.raises(BitbucketServerError) as caught:
        Server(URL, **given)
    assert (caught.value.code, caught.value.parameter) == ("setting_missing", missing)


def test_a_bundle_that_is_named_by_a_path_object_becomes_a_text():
    assert Server(URL, verify=Path("company.pem")).verify == os.fspath(Path("company.pem"))


def test_a_server_does_not_show_what_is_secret():
    server = Server(
        URL, client_certificate="certificate", client_key="the-key", proxies={"https": "http://me:it@proxy"}
    )
    assert "the-key" not in repr(server)
    assert "me:it" not in repr(server)
    assert "the-key" not in repr(server.client_key)


def test_a_server_is_a_value():
    assert dataclasses.replace(Server(URL)) == Server(URL)
    assert dataclasses.replace(Server(URL), timeout=5) != Server(URL)
