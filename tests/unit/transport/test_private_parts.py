"""Tests that the private parts which the transport overrides are still there, and still called.

Without them, connections would be made past the checks of addresses, limits and time.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

PARTS = [
    (HTTPConnection, "_new_conn", HTTPConnection.connect),
    (HTTPSConnection, "_new_conn", HTTPSConnection.connect),
    (HTTPSConnection, "_tunnel", HTTPSConnection.connect),
    (HTTPSConnection, "_tunnel_host", HTTPSConnection._tunnel),
    (HTTPSConnection, "_tunnel_port", HTTPSConnection._tunnel),
    (HTTPConnection, "getresponse", urllib3.HTTPConnectionPool._make_request),
    (HTTPConnection, "response_class", http.client.HTTPConnection.getresponse),
    (urllib3.HTTPConnectionPool, "ConnectionCls", urllib3.HTTPConnectionPool._new_conn),
    (urllib3.HTTPConnectionPool, "_get_conn", urllib3.HTTPConnectionPool.urlopen),
    (urllib3.HTTPConnectionPool, "_put_conn", urllib3.HTTPConnectionPool.urlopen),
    (urllib3.HTTPConnectionPool, "pool", urllib3.HTTPConnectionPool._get_conn),
    (urllib3.response.HTTPResponse, "_pool", urllib3.HTTPConnectionPool._make_request),
    (urllib3.response.HTTPResponse, "_connection", urllib3.HTTPConnectionPool._make_request),
    (urllib3.PoolManager, "pool_classes_by_scheme", urllib3.PoolManager._new_pool),
    (http.client.HTTPResponse, "_read_status", http.client.HTTPResponse.begin),
    (http.client.HTTPResponse, "fp", http.client.HTTPResponse._read_status),
    (ssl.SSLContext, "sslsocket_class", ssl.SSLContext.wrap_socket),
]
"""An owner, the name that the transport overrides or sets, and the function that must use it."""


def complaint(owner: type, name: str, user: Callable[..., Any]) -> str:
    """Return what to do if *user* does not use the part *name* of *owner*, or an empty string."""
    if name in user.__code__.co_names:
        return ""
    package = owner.__module__.partition(".")[0]
    version = f" {urllib3.__version__}" if package == "urllib3" else ""
    return (
        f"{package}{version} does not use {owner.__name__}.{name} in {user.__qualname__} any more, and "
        "social_bitbucket_server/transport overrides it. Adapt connections.py or heads.py there. "
        "Until then, exclude this version in pyproject.toml."
    )


@pytest.mark.parametrize(("owner", "name", "user"), PARTS, ids=lambda part: getattr(part, "__name__", str(part)))
def test_the_part_is_used(owner: type, name: str, user: Callable[..., Any]) -> None:
    assert not complaint(owner, name, user), complaint(owner, name, user)


def test_a_part_that_is_gone_gets_a_clear_sentence() -> None:
    sentence = complaint(urllib3.HTTPConnectionPool, "_gone", urllib3.HTTPConnectionPool.urlopen)
    assert sentence.startswith(f"urllib3 {urllib3.__version__} does not use HTTPConnectionPool._gone in ")
    assert "exclude this version in pyproject.toml" in sentence
