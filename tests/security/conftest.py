"""The world that every row plays in."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator

import pytest
import trustme

from demo_app import create_app, integrations
from demo_app.config import Settings
from social_bitbucket_server import transport
from social_bitbucket_server.addresses import AddressPolicy
from social_bitbucket_server.keys import PrivateKey
from tests.security.world import (
    ALICE,
    MALLORY,
    ORIGIN,
    AuditLines,
    Canaries,
    Counting,
    FakeBitbucket,
    Serving,
    World,
    loopback_addresses,
)


@pytest.fixture(scope="session")
def certificate_authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def key_pool() -> list[PrivateKey]:
    """Keys made once, because making one takes longer than a row."""
    return [PrivateKey.generate(2048) for _ in range(4)]


@pytest.fixture
def database_url(tmp_path) -> str:
    """Which database the application uses; a module may override it."""
    return f"sqlite:///{tmp_path / 'demo.sqlite'}"


@pytest.fixture
def world(tmp_path, monkeypatch, caplog, certificate_authority, key_pool, database_url) -> Iterator[World]:
    canaries = Canaries()
    fa_address, deny_address, fb_address = loopback_addresses()
    monkeypatch.setattr(
        Settings,
        "address_policy",
        lambda _settings, _slug: AddressPolicy(
            test_addresses=frozenset(map(transport.ipaddress.ip_address, (fa_address, fb_address)))
        ),
    )
    bundle = tmp_path / "ca.pem"
    certificate_authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setattr(Settings, "ca_bundle", str(bundle))
    keys = itertools.cycle(key_pool)
    monkeypatch.setattr(integrations, "make_private_key", lambda: next(keys))
    for key in key_pool:
        canaries.values |= set(re.findall(r"^[A-Za-z0-9+/]{64}$", key.pem(), re.MULTILINE))
    caplog.set_level(logging.DEBUG)
    app = create_app(
        {
            "PUBLIC_BASE_URL": ORIGIN,
            "INSTANCE_PATH": str(tmp_path / "instance"),
            "DATABASE_URL": database_url,
            "SECRET_KEY": "s" * 64,
        }
    )
    ring = (tmp_path / "instance" / "key_ring").read_text()
    canaries.values |= {part.partition(":")[2] for part in ring.strip().split(",")}
    deny = Counting(deny_address)
    serving = Serving(app)
    audit_logger = logging.getLogger("demo_app.audit")
    with (
        FakeBitbucket(fa_address, "bb-a.test", certificate_authority, canaries) as fa,
        FakeBitbucket(fb_address, "bb-b.test", certificate_authority, canaries) as fb,
    ):
        world = World(
            app,
            serving.port,
            canaries,
            fa,
            fb,
            deny,
            {"bb-a.test": [fa_address], "bb-b.test": [fb_address], "deny.test": [deny_address]},
        )
        lines = AuditLines(world.audit)
        audit_logger.addHandler(lines)
        monkeypatch.setattr(transport, "resolver", world.resolve)
        world.a, world.b = world.make_place("a", fa), world.make_place("b", fb)
        fa.knows(ALICE)
        fb.knows(MALLORY)
        try:
            yield world
        finally:
            serving.close()
            deny.close()
            audit_logger.removeHandler(lines)
            app.extensions["engine"].dispose()
    world.check(caplog.text)
