import traceback

import pytest

from social_bitbucket_server.account import EXTRA_DATA_KEY, IdentityToken, StoredToken, reseal, tokens
from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.integration import Integration, Server, ServerURL
from social_bitbucket_server.oauth import AccessToken
from social_bitbucket_server.problems import BitbucketServerError

GRANTED = AccessToken("the-token", "the-handle", 1000, 2000)


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr(tokens.time, "time", lambda: 50_000.5)


@pytest.fixture
def acme(private_key):
    return integration_of(private_key)


def integration_of(private_key, integration_id="acme-1", url="https://bitbucket.acme.test/bitbucket"):
    return Integration(
        id=integration_id,
        server=Server(ServerURL.parse(url)),
        consumer_key="c",
        private_key=private_key,
        namespace="ns",
    )


@pytest.fixture
def key_ring():
    return KeyRing.parse(KeyRing.generate())


def test_a_token_that_was_granted_knows_its_times_and_its_server(acme):
    stored = StoredToken.granted(GRANTED, acme)
    assert (stored.expires_at, stored.renewable_until) == (51_000, 52_000)
    assert stored.server == "https://bitbucket.acme.test/bitbucket"
    assert not stored.is_over
    assert stored.is_renewable


@pytest.mark.parametrize(("expires_in", "is_over"), [(None, False), (1000, False), (61, False), (59, True), (0, True)])
def test_a_token_is_over_a_minute_before_it_ends(acme, expires_in, is_over):
    assert StoredToken.granted(AccessToken("t", "h", expires_in, None), acme).is_over is is_over


@pytest.mark.parametrize(
    ("handle", "seconds", "is_renewable"), [("h", None, True), ("h", 10, True), ("h", 0, False), ("", 10, False)]
)
def test_a_token_is_renewable_with_its_handle_as_long_as_the_server_said(acme, handle, seconds, is_renewable):
    assert StoredToken.granted(AccessToken("t", handle, 0, seconds), acme).is_renewable is is_renewable


def test_what_was_sealed_opens_for_the_same_integration_and_person(acme, key_ring):
    stored = StoredToken.granted(GRANTED, acme)
    record = stored.seal(key_ring, acme, "ns:42")
    assert "the-" not in record
    assert StoredToken.open(record, key_ring, acme, "ns:42") == stored


def test_it_opens_for_nobody_else(acme, key_ring, private_key):
    record = StoredToken.granted(GRANTED, acme).seal(key_ring, acme, "ns:42")
    elsewhere = integration_of(private_key, "acme-2")
    other_ring = KeyRing.parse(KeyRing.generate())
    for ring, integration, uid in (
        (key_ring, acme, "ns:43"),
        (key_ring, elsewhere, "ns:42"),
        (other_ring, acme, "ns:42"),
    ):
        with pytest.raises(BitbucketServerError) as caught:
            StoredToken.open(record, ring, integration, uid)
        assert caught.value.code == "token_unopenable"


def test_a_record_for_another_purpose_is_no_token(acme, key_ring):
    record = key_ring.seal(b"{}", purpose="private-key", integration_id=acme.id, key_id="ns:42")
    with pytest.raises(BitbucketServerError) as caught:
        StoredToken.open(record, key_ring, acme, "ns:42")
    assert caught.value.code == "token_unopenable"


def test_a_token_goes_to_no_other_server_than_the_one_that_issued_it(acme, key_ring, private_key):
    record = StoredToken.granted(GRANTED, acme).seal(key_ring, acme, "ns:42")
    moved = integration_of(private_key, url="https://bitbucket.evil.test")
    with pytest.raises(BitbucketServerError) as caught:
        StoredToken.open(record, key_ring, moved, "ns:42")
    assert caught.value.code == "token_missing"


def test_a_token_does_not_show_itself(acme, key_ring):
    stored = StoredToken.granted(GRANTED, acme)
    record = stored.seal(key_ring, acme, "ns:42")
    opened = StoredToken.open(record, key_ring, acme, "ns:42")
    assert "the-" not in repr(stored) + repr(opened) + repr(opened.access_token()) + repr([opened.value])


def test_a_traceback_shows_no_token(acme, key_ring, private_key):
    record = StoredToken.granted(GRANTED, acme).seal(key_ring, acme, "ns:42")
    with pytest.raises(BitbucketServerError) as caught:
        StoredToken.open(record, key_ring, integration_of(private_key, url="https://bitbucket.evil.test"), "ns:42")
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "the-token" not in shown
    assert "the-handle" not in shown


class Identity:
    """One of social-core's identities."""

    def __init__(self):
        self.uid = "ns:42"
        self.extra_data = {"name": "jane", "integration": "acme-1"}
        self.saved = 0

    def set_extra_data(self, extra_data):
        changed = {**self.extra_data, **extra_data} != self.extra_data
        self.extra_data.update(extra_data)
        return changed

    def save(self):
        self.saved += 1


@pytest.fixture
def identity():
    return Identity()


def test_a_token_is_kept_in_the_extra_data(acme, key_ring, identity):
    store = IdentityToken(lambda: identity, key_ring, acme, "ns:42")
    store.keep(StoredToken.granted(GRANTED, acme))
    assert identity.saved == 1
    assert identity.extra_data["name"] == "jane"
    assert "the-" not in str(identity.extra_data)
    assert store.load().value == "the-token"


@pytest.mark.parametrize("record", [None, 5, {"a": 1}])
def test_no_record_is_no_token(acme, key_ring, identity, record):
    identity.extra_data[EXTRA_DATA_KEY] = record
    with pytest.raises(BitbucketServerError) as caught:
        IdentityToken(lambda: identity, key_ring, acme, "ns:42").load()
    assert caught.value.code == "token_missing"


def test_an_identity_that_is_gone_keeps_nothing(acme, key_ring):
    store = IdentityToken(lambda: None, key_ring, acme, "ns:42")
    store.keep(StoredToken.granted(GRANTED, acme))
    with pytest.raises(BitbucketServerError) as caught:
        store.load()
    assert caught.value.code == "token_missing"


def test_a_record_is_sealed_anew_with_the_newest_key_once(acme, identity):
    old = KeyRing.generate()
    new = KeyRing.generate().replace("1:", "2:", 1)
    IdentityToken(lambda: identity, KeyRing.parse(old), acme, "ns:42").keep(StoredToken.granted(GRANTED, acme))
    both = KeyRing.parse(f"{new},{old}")
    assert reseal(identity, both)
    assert not reseal(identity, both)
    assert IdentityToken(lambda: identity, KeyRing.parse(new), acme, "ns:42").load().value == "the-token"
