import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from .calling import ACCESS_TOKEN, WHOAMI, answer, problem


def exchange(caller, token, verifier, **changes):
    return caller.call("POST", ACCESS_TOKEN, token=token, oauth_verifier=verifier, **changes)


def renew(caller, granted, **changes):
    return caller.call(
        "POST",
        ACCESS_TOKEN,
        token=granted["oauth_token"],
        **({"oauth_session_handle": granted["oauth_session_handle"]} | changes),
    )


def test_an_access_token_comes_with_its_lifetimes_and_handle_and_names_nobody(caller, sandbox):
    response = exchange(caller, *caller.allowed_token(sandbox))
    assert response.headers["Content-Type"] == "text/plain"
    assert re.fullmatch(
        "oauth_token=[A-Za-z0-9]{32}&oauth_token_secret=[A-Za-z0-9]{32}&oauth_expires_in=157680000"
        "&oauth_session_handle=[A-Za-z0-9]{32}&oauth_authorization_expires_in=160272000",
        response.text,
    )


def test_a_get_answers_200_with_nothing(caller):
    response = caller.call("GET", ACCESS_TOKEN, token="T")
    assert (response.status_code, response.content) == (200, b"")


# In the order in which it is checked: whatever is wrong besides comes later.


def test_first_a_missing_token_is_named(caller):
    assert problem(caller.call("POST", ACCESS_TOKEN, signature="x")) == (400, "parameter_absent")


def test_then_an_unknown_token(caller):
    assert problem(exchange(caller, "unknown", "V", signature="x")) == (401, "token_rejected")


def test_then_a_token_older_than_ten_minutes(caller, sandbox):
    token = caller.request_token()
    sandbox.clock.advance(601)
    assert problem(exchange(caller, token, "V", signature="x")) == (401, "token_expired")


def test_a_token_just_below_ten_minutes_is_exchanged(caller, sandbox):
    token, verifier = caller.allowed_token(sandbox)
    sandbox.clock.advance(540)
    assert "oauth_token" in answer(exchange(caller, token, verifier))


def test_then_a_token_that_nobody_has_allowed(caller):
    assert problem(exchange(caller, caller.request_token(), "V", signature="x")) == (401, "permission_unknown")


def test_then_a_token_that_was_denied(caller, sandbox):
    token = caller.request_token()
    sandbox.authorize(caller.authorize_url(token), user="jane", allow=False)
    assert problem(exchange(caller, token, "denied", signature="x")) == (401, "permission_denied")


def test_then_another_consumer(caller, other_caller, sandbox):
    token, verifier = caller.allowed_token(sandbox)
    assert problem(exchange(other_caller, token, verifier, signature="x")) == (401, "token_rejected")


def test_then_a_missing_verifier(caller, sandbox):
    token, _ = caller.allowed_token(sandbox)
    refused = exchange(caller, token, None, signature="x")
    assert problem(refused) == (400, "parameter_absent")
    assert "oauth_parameters_absent=oauth_verifier" in refused.text


@pytest.mark.parametrize("verifier", ["wrong!", ""])
def test_then_a_wrong_verifier(caller, sandbox, verifier):
    token, _ = caller.allowed_token(sandbox)
    assert problem(exchange(caller, token, verifier, signature="x")) == (401, "token_rejected")


def test_then_the_signature_and_a_refused_one_leaves_the_token_usable(caller, impostor, sandbox):
    token, verifier = caller.allowed_token(sandbox)
    assert problem(exchange(impostor, token, verifier)) == (401, "signature_invalid")
    assert "oauth_token" in answer(exchange(caller, token, verifier))


def test_a_second_exchange_is_rejected(caller, sandbox):
    token, verifier = caller.allowed_token(sandbox)
    exchange(caller, token, verifier)
    assert problem(exchange(caller, token, verifier)) == (401, "token_rejected")


def test_a_plain_oauth_1_0_token_is_exchanged_without_a_verifier(caller, sandbox):
    token = caller.request_token(oauth_callback=None)
    sandbox.authorize(f"{caller.authorize_url(token)}&oauth_callback=https://app.example/", user="jane")
    assert "oauth_token" in answer(caller.call("POST", ACCESS_TOKEN, token=token))


def test_a_renewal_gives_a_new_token_and_ends_the_old_one(caller, sandbox):
    granted = caller.granted(sandbox)
    renewed = answer(renew(caller, granted))
    assert renewed["oauth_session_handle"] != granted["oauth_session_handle"]
    assert caller.call("GET", WHOAMI, token=renewed["oauth_token"]).text == "jane"
    assert problem(caller.call("GET", WHOAMI, token=granted["oauth_token"])) == (401, "token_rejected")


def test_a_renewal_with_another_handle_is_rejected(caller, sandbox):
    granted = caller.granted(sandbox)
    assert problem(renew(caller, granted, oauth_session_handle="wrong", signature="x")) == (401, "token_rejected")


def test_a_renewal_by_another_consumer_is_rejected(caller, other_caller, sandbox):
    assert problem(renew(other_caller, caller.granted(sandbox), signature="x")) == (401, "token_rejected")


def test_a_renewal_checks_the_signature(caller, impostor, sandbox):
    assert problem(renew(impostor, caller.granted(sandbox))) == (401, "signature_invalid")


def test_an_expired_token_can_be_renewed_until_its_session_ends(caller, sandbox):
    granted = caller.granted(sandbox)
    sandbox.clock.advance(157_680_001)
    assert problem(caller.call("GET", WHOAMI, token=granted["oauth_token"])) == (401, "token_expired")
    assert "oauth_token" in answer(renew(caller, granted))


def test_after_the_end_of_its_session_a_token_cannot_be_renewed(caller, sandbox):
    granted = caller.granted(sandbox)
    sandbox.clock.advance(160_272_001)
    assert problem(renew(caller, granted)) == (401, "permission_denied")


def test_of_many_exchanges_at_once_one_succeeds(caller, sandbox):
    token, verifier = caller.allowed_token(sandbox)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: exchange(caller, token, verifier).status_code, range(8)))
    assert sorted(statuses) == [200] + [401] * 7


def test_of_many_renewals_at_once_one_succeeds(caller, sandbox):
    granted = caller.granted(sandbox)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: renew(caller, granted).status_code, range(8)))
    assert sorted(statuses) == [200] + [401] * 7
