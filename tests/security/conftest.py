"""The world that every row plays in."""

from __future__ import annotations

import importlib
import logging
import re
import ssl
from collections.abc import Callable, Iterator

import pytest
import trustme

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.transport import default_transport
from tests.postgresql import programs
from tests.raw_server import Behaviour, RawServer
from tests.security.world import (
    ALICE,
    MALLORY,
    Canaries,
    Counting,
    Ingredients,
    Listener,
    World,
    loopback_addresses,
)


@pytest.fixture(scope="session")
def certificate_authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def listeners(certificate_authority: trustme.CA) -> Iterator[tuple[Listener, Listener]]:
    """The sockets of FA and FB."""
    fa_address, _, fb_address = loopback_addresses()
    made = (
        Listener(fa_address, "bb-a.test", certificate_authority),
        Listener(fb_address, "bb-b.test", certificate_authority),
    )
    yield made
    for listener in made:
        listener.close()


@pytest.fixture
def database_url(request, tmp_path, must_be_there) -> str:
    """A file of SQLite's, or an empty database of what the test is parametrized with by ``on_every_database``."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path / 'application.sqlite'}"
    must_be_there(programs() is not None, "PostgreSQL")
    return request.getfixturevalue("new_postgresql_database")()


@pytest.fixture
def application(request) -> str:
    """Return the name of the application to try the row with: the parameter of ``everywhere``, or ``organizations``."""
    return getattr(request, "param", "organizations")


@pytest.fixture
def world(
    application, tmp_path, monkeypatch, caplog, certificate_authority, listeners, spare_keys, database_url
) -> Iterator[World]:
    canaries = Canaries()
    fa, fb = (listener.bitbucket(canaries) for listener in listeners)
    _, deny_address, _ = loopback_addresses()
    bundle = tmp_path / "ca.pem"
    certificate_authority.cert_pem.write_to_path(str(bundle))

    def make_private_key() -> PrivateKey:
        """One that this row has not had yet: two integrations never share one."""
        key = spare_keys.take()
        canaries.values |= set(re.findall(r"^[A-Za-z0-9+/]{64}$", key.pem(), re.MULTILINE))
        return key

    caplog.set_level(logging.DEBUG)
    # A framework is loaded where a row is tried with it.
    start = importlib.import_module(f"tests.security.{application}_world").start
    deny = Counting(deny_address)
    ingredients = Ingredients(
        folder=tmp_path,
        patch=monkeypatch,
        bundle=str(bundle),
        allowed=(fa.address, fb.address),
        database_url=database_url,
        make_private_key=make_private_key,
        world={
            "canaries": canaries,
            "fa": fa,
            "fb": fb,
            "deny": deny,
            "addresses": {fa.host: [fa.address], fb.host: [fb.address], "deny.test": [deny_address]},
            "log": caplog,
        },
    )
    with start(ingredients) as world:
        default_transport().resolver = world.resolve
        world.a, world.b = world.make_place("a", fa), world.make_place("b", fb)
        fa.knows(ALICE)
        fb.knows(MALLORY)
        try:
            yield world
        finally:
            world.stop()
            deny.close()
    world.check(caplog.text)


@pytest.fixture
def raw(world: World, certificate_authority: trustme.CA) -> Iterator[Callable[..., RawServer]]:
    """Organization B's server moves to bare sockets; returns what starts it, with a *certificate* or without TLS."""
    world.change_integration(world.b, base_url="https://bb-b.test:7990")
    started: list[RawServer] = []

    def start(behaviour: Behaviour, *, certificate: trustme.LeafCert | None = None, tls: bool = True) -> RawServer:
        stop()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (certificate or certificate_authority.issue_cert("bb-b.test")).configure_cert(context)
        started.append(RawServer(behaviour, world.fb.address, 7990, context if tls else None))
        return started[0].__enter__()

    def stop() -> None:
        while started:
            started.pop().__exit__()

    yield start
    stop()
