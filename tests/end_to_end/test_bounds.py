"""What a process keeps from one login to the next has an end."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest

from bench.load.place import Place
from demo_app import integrations
from demo_app.integrations import SealedKeys
from demo_app.models import KeyPair
from social_bitbucket_server import transport
from social_bitbucket_server.key_ring import KeyRing
from social_bitbucket_server.keys import PrivateKey
from social_bitbucket_server.transport import Route


def sockets() -> int:
    """How many this process has open."""
    found = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found += os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")
    return found


@pytest.mark.postgresql
def test_connections_are_kept_to_so_many_servers_and_no_more(here: Place) -> None:
    before, route = sockets(), Route(verify=here.servers.ca)
    assert len(here.all_ports) > transport.SERVERS
    for port in here.all_ports:
        url = f"https://127.0.0.1:{port}/rest/api/latest/application-properties"
        assert transport.send("GET", url, {"Authorization": 'oauth_token="A1x1"'}, route=route).status == 200
    assert sockets() - before == transport.SERVERS


def test_so_many_keys_are_kept_open_and_no_more(private_key: PrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrations, "KEYS_KEPT", 2)
    keys = SealedKeys(KeyRing.parse(KeyRing.generate()))
    for number in "abc":
        sealed = keys.seal(private_key, integration_id=number, key_id=number)
        assert keys.open(KeyPair(id=number, integration_id=number, sealed_private_key=sealed)) == private_key
    assert keys._opened.cache_info().currsize == 2
