import pytest

from social_bitbucket_server.sandbox.state.oauth1_tokens import Decision, Tokens


@pytest.fixture
def tokens():
    return Tokens()


def test_a_token_is_decided_once(tokens):
    token = tokens.begin("acme", "oob", 0.0)
    assert tokens.decide(token.value, 2, allow=False).decision is Decision.DENIED
    assert tokens.decide(token.value, 2, allow=True) is None


def test_a_token_that_is_not_there_is_not_decided(tokens):
    assert tokens.decide("unknown", 2, allow=True) is None


def test_a_token_that_nobody_decided_is_not_exchanged(tokens):
    assert tokens.exchange(tokens.begin("acme", "oob", 0.0).value, 0.0) is None


def test_a_denied_token_is_not_exchanged(tokens):
    token = tokens.begin("acme", "oob", 0.0)
    tokens.decide(token.value, 2, allow=False)
    assert tokens.exchange(token.value, 0.0) is None


def test_tokens_are_granted_and_revoked_by_user_and_consumer(tokens):
    for consumer_key, user_id in (("acme", 2), ("acme", 3), ("other", 2)):
        token = tokens.begin(consumer_key, "oob", 0.0)
        tokens.decide(token.value, user_id, allow=True)
        tokens.exchange(token.value, 0.0)
    assert len(tokens.granted(user_id=2)) == 2
    assert tokens.revoke(user_id=2, consumer_key="acme") == 1
    assert [(token.consumer_key, token.user_id) for token in tokens.granted()] == [("acme", 3), ("other", 2)]


def test_what_is_secret_is_not_written(tokens):
    token = tokens.begin("acme", "https://app.example/?secret", 0.0)
    decided = tokens.decide(token.value, 2, allow=True)
    access = tokens.exchange(token.value, 0.0)
    written = repr([token, decided, access])
    secret = [token.value, token.secret, decided.verifier, access.value, access.secret, access.session_handle]
    assert not any(value in written for value in [*secret, "secret"])
