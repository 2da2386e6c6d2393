from urllib.parse import quote

import pytest
from authlib.oauth1.rfc5849.signature import construct_base_string

from social_bitbucket_server.sandbox.oauth1.messages import Message, base_string_url


def message(url="http://server.example/path", *, authorization="", query="", body="", method="GET"):
    return Message.read(method, url, authorization=authorization, query=query, body=body)


def test_the_base_string_is_the_one_in_rfc_5849():
    read = message(
        "http://EXAMPLE.COM:80/request",
        method="POST",
        authorization=(
            'OAuth realm="Example", oauth_consumer_key="9djdj82h48djs9d2", oauth_token="kkk9d7dh3k39sjv7", '
            'oauth_signature_method="HMAC-SHA1", oauth_timestamp="137131201", oauth_nonce="7d8f3e4a", '
            'oauth_signature="djosJKDKJSD8743243%2Fjdk33klY%3D"'
        ),
        query="b5=%3D%253D&a3=a&c%40=&a2=r%20b",
        body="c2&a3=2+q",
    )
    assert read.base_string == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D"
        "%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1"
        "%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    )


@pytest.mark.parametrize("value", ["", " ", "+", "a b", "ü", "日本", "~.-_", "%", "%2B", "&=?/#", "'()*!"])
def test_values_are_encoded_as_authlib_encodes_them(value):
    read = message(query=f"one={quote(value, safe='')}&Two=2")
    assert read.base_string == construct_base_string(
        "GET", "http://server.example/path", [("one", value), ("Two", "2")]
    )


@pytest.mark.parametrize(
    ("url", "normalized"),
    [
        ("HTTP://Server.Example:80/Path", "http://server.example/Path"),
        ("https://server.example:443/", "https://server.example/"),
        ("http://server.example:443/", "http://server.example:443/"),
        ("http://server.example:7990", "http://server.example:7990/"),
        ("http://server.example/a%2fb//c", "http://server.example/a%2fb//c"),
        ("http://[::80]/", "http://[::80]/"),
    ],
)
def test_scheme_and_host_are_lowered_and_the_default_port_is_dropped_and_the_path_is_left_alone(url, normalized):
    assert base_string_url(url) == normalized


def test_the_header_wins_over_the_query_and_the_query_over_the_body():
    read = message(authorization='OAuth a="header"', query="a=query&b=query", body="a=body&b=body&c=body")
    assert [read.get(name) for name in "abcd"] == ["header", "query", "body", None]


def test_a_header_value_without_quotes_is_passed_over():
    assert message(authorization='OAuth oauth_token=T, oauth_nonce="N"').parameters == (("oauth_nonce", "N"),)


def test_a_raw_plus_in_the_header_is_a_space():
    assert message(authorization='OAuth a="x+y", b="x%2By"').parameters == (("a", "x y"), ("b", "x+y"))


def test_the_realm_is_no_parameter():
    assert message(authorization='oauth REALM="r", a="1"').parameters == (("a", "1"),)


@pytest.mark.parametrize("authorization", ["", "Basic amFuZTpqYW5l", "Bearer T", "OAuthX a=1"])
def test_other_authorization_schemes_give_no_parameters(authorization):
    assert message(authorization=authorization).parameters == ()


def test_empty_parameters_count_as_missing():
    assert message(query="a=&b=1").missing("a", "b", "c") == ["a", "c"]


def test_oauth_parameters_are_told_apart_and_each_has_the_value_that_counts():
    read = message(authorization='OAuth oauth_token="1"', query="oauth_token=2&limit=3")
    assert read.oauth_parameters == {"oauth_token": "1"}
